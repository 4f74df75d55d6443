"""Pictures with samples that Pillow has no mode for, such as RGB of 16 bits or floats, to sRGB."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from colorization.decoding.color_profile import (
    UnusableProfile,
    gray_to_srgb,
    lab_to_srgb,
    picture_to_srgb,
    rgb_to_srgb,
)
from colorization.lab.lab_numpy import to_bytes

_WHITE = 2**16 - 1
# With a median of floats above this, white cannot be 1: nobody overexposes half of a picture by
# four stops.
_OVEREXPOSED = 16
_SAMPLE_SIZE = 2**20
# Approximate number of samples that are converted to floats at a time.
_BLOCK = 2**21


@dataclass(frozen=True)
class Samples:
    """A decoded picture as its file stores it.

    Attributes:
      values: `[height, width, channels]`, integers or floats of any size.
      space: "gray" (one channel), "rgb" (three), "cmyk" (four; no ink is 0), or "lab" (three; CIE
        L*a*b* relative to D50, float).
      alpha: `[height, width]` of the same type; None if there is none.
      alpha_white: the value of alpha that stands for opaque.
      premultiplied: whether the values are multiplied by alpha.
      inverted: whether white is zero.
      limits: values that stand for black and white; None where `black_and_white` decides.
      profile: ICC profile; None if there is none.
      notes: remarks for the user, such as on what was left out.
    """

    values: np.ndarray
    space: str = "gray"
    alpha: np.ndarray | None = None
    alpha_white: float = _WHITE
    premultiplied: bool = False
    inverted: bool = False
    limits: tuple[float, float] | None = None
    profile: bytes | None = None
    notes: tuple[str, ...] = ()


def black_and_white(values: np.ndarray) -> tuple[float, float]:
    """The values that stand for black and white if a file does not state them.

    Integers: zero and the highest value of the type; values below zero are black, as in
    scikit-image's `img_as_ubyte`. Those of 32 and 64 bits often hold pictures of 8 or 16 bits,
    which would be all black, so white is 255 or 65535 if no value is larger.

    Floats: 0 and 1, as in ImageMagick 6.9 and darktable (`imageio_tiff.c`); values beyond are
    clipped, as in ImageMagick. If they are whole numbers or far above 1, they are pictures of 8 or
    16 bits that were stored as floats, and white is 255 or 65535.
    """
    if values.dtype.kind in "iu":
        highest = np.iinfo(values.dtype).max
        if values.itemsize <= 2:
            return 0, highest
        largest = values.max(initial=0)
        return 0, next(white for white in (255, _WHITE, highest) if largest <= white)
    sample = values.reshape(-1)[:: -(-values.size // _SAMPLE_SIZE) or 1]
    sample = sample[np.isfinite(sample)]
    largest = sample.max(initial=0)
    if largest > 1 and ((sample == np.rint(sample)).all() or np.median(sample) > _OVEREXPOSED):
        return 0, 255 if largest <= 255 else _WHITE
    return 0, 1


def to_srgb(samples: Samples) -> tuple[Image.Image, Image.Image | None]:
    """Turns samples into a picture.

    Returns:
      The picture in sRGB, of mode "I;16" or "L" if it is gray with more than 8 bits or not, else
      "RGB"; and alpha of mode "L", or None if everything is opaque.
    """
    alpha = None
    if samples.alpha is not None:
        alpha = _scaled(samples.alpha, 0, samples.alpha_white)
        if (alpha == _WHITE).all():
            alpha = None
    if samples.space == "lab":
        picture = Image.fromarray(lab_to_srgb(samples.values))
    else:
        black, white = samples.limits or black_and_white(samples.values)
        if samples.inverted:
            black, white = white, black
        values = _scaled(samples.values, black, white)
        if samples.premultiplied and alpha is not None:
            values = _divided_by_alpha(values, alpha)
        picture = _converted(values, samples)
    return picture, None if alpha is None else Image.fromarray(to_bytes(alpha))


def _scaled(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """Scales values to uint16, black to 0 and white to 65535; NaN becomes black."""
    if values.dtype == np.uint16 and {black, white} == {0, _WHITE}:
        return values if black == 0 else _WHITE - values
    scaled = np.empty(values.shape, np.uint16)
    # The difference of 64-bit limits is exact in Python's integers, and in its floats.
    factor = _WHITE / (white - black)
    rows = max(1, _BLOCK // max(1, values[0].size))
    for top in range(0, len(values), rows):
        block = values[top : top + rows].astype(np.float64)
        block = np.nan_to_num((block - black) * factor, nan=0, posinf=_WHITE, neginf=0)
        scaled[top : top + rows] = np.clip(block + 0.5, 0, _WHITE)
    return scaled


def _divided_by_alpha(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Values divided by alpha, both uint16."""
    quotients = np.empty_like(values)
    for row, (line, opacity) in enumerate(zip(values, alpha, strict=True)):
        quotient = line.astype(np.uint32) * np.uint32(_WHITE) // np.maximum(opacity, 1)[:, None]
        quotients[row] = np.minimum(quotient, _WHITE)
    return quotients


def _converted(values: np.ndarray, samples: Samples) -> Image.Image:
    """Converts uint16 samples in the file's own colours to a picture in sRGB."""
    profile = samples.profile
    if samples.space == "cmyk":
        picture = Image.frombytes("CMYK", values.shape[1::-1], to_bytes(values).tobytes())
        return picture_to_srgb(picture, profile)
    if samples.space == "rgb":
        # An unusable profile is ignored.
        with contextlib.suppress(UnusableProfile):
            if profile:
                return Image.fromarray(rgb_to_srgb(values, profile))
        return Image.fromarray(to_bytes(values))
    grays = values[..., 0]
    with contextlib.suppress(UnusableProfile):
        grays = gray_to_srgb(grays, profile) if profile else grays
    grays = grays if samples.values.itemsize > 1 else to_bytes(grays)
    return Image.fromarray(np.ascontiguousarray(grays))
