"""Samples that Pillow has no mode for, such as RGB of 16 bits or floats, and their way to sRGB."""

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
    row_blocks,
)
from colorization.lab.lab_numpy import to_bytes

_WHITE = 2**16 - 1
# With a median of floats above this, white cannot be 1: nobody overexposes half of a picture by
# four stops.
_OVEREXPOSED = 16
# Floats are judged by about so many of them, evenly spread over a picture.
_JUDGED = 2**20


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
      limits: values that stand for black and white; None if the file does not state them.
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


def is_opacity(values: np.ndarray, white: float) -> bool:
    """Whether a fourth channel of which a file does not say what it is looks like opacity.

    That is all or nothing at most pixels. The infrared channel of a scanner or an aeroplane is not,
    although dust is black in it, and what lies beside the film white.

    Args:
      values: of the channel.
      white: the value that would stand for opaque.
    """
    opaque = np.count_nonzero(values == white)
    return opaque > 0 and 2 * (opaque + np.count_nonzero(values == 0)) > values.size


def _black_and_white(values: np.ndarray) -> tuple[float, float]:
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
    some_values = values.reshape(-1)[:: -(-values.size // _JUDGED) or 1]
    some_values = some_values[np.isfinite(some_values)]
    largest = some_values.max(initial=0)
    is_whole = (some_values == np.rint(some_values)).all()
    if largest > 1 and (is_whole or np.median(some_values) > _OVEREXPOSED):
        return 0, 255 if largest <= 255 else _WHITE
    return 0, 1


def to_srgb(samples: Samples) -> tuple[Image.Image, Image.Image | None]:
    """Turns samples into a picture.

    Returns:
      The picture in sRGB, of mode "RGB", or if it is gray "L", with more than 8 bits "I;16"; and
      alpha of mode "L", or None if everything is opaque.
    """
    alpha = None
    if samples.alpha is not None:
        alpha = _scaled(samples.alpha, 0, samples.alpha_white)
        if (alpha == _WHITE).all():
            alpha = None
    if samples.space == "lab":
        picture = Image.fromarray(lab_to_srgb(samples.values))
    else:
        black, white = samples.limits or _black_and_white(samples.values)
        if samples.inverted:
            black, white = white, black
        values = _scaled(samples.values, black, white)
        if samples.premultiplied and alpha is not None:
            values = _divided_by_alpha(values, alpha)
        picture = _scaled_to_srgb(values, samples)
    return picture, None if alpha is None else Image.fromarray(to_bytes(alpha))


def _scaled(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """Scales values to uint16, black to 0 and white to 65535; NaN becomes black."""
    if values.dtype == np.uint16 and {black, white} == {0, _WHITE}:
        return values if black == 0 else _WHITE - values
    scaled = np.empty(values.shape, np.uint16)
    # Python's integers, unlike NumPy's, hold any difference of 64-bit limits.
    factor = _WHITE / (white - black)
    for rows in row_blocks(values):
        block = values[rows].astype(np.float64)
        block = np.nan_to_num((block - black) * factor, nan=0, posinf=_WHITE, neginf=0)
        scaled[rows] = np.clip(block + 0.5, 0, _WHITE)
    return scaled


def _divided_by_alpha(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Values divided by alpha, both uint16."""
    quotients = np.empty_like(values)
    for row, (line, opacity) in enumerate(zip(values, alpha, strict=True)):
        quotient = line.astype(np.uint32) * np.uint32(_WHITE) // np.maximum(opacity, 1)[:, None]
        quotients[row] = np.minimum(quotient, _WHITE)
    return quotients


def _scaled_to_srgb(values: np.ndarray, samples: Samples) -> Image.Image:
    """A picture in sRGB of the file's colours.

    Args:
      values: uint16 `[height, width, channels]`, scaled from those of `samples`.
      samples: as the file stores them.
    """
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
