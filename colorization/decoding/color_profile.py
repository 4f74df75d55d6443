"""ICC profiles for pictures of 16 bits, which Pillow's binding of Little CMS takes in 8 bits only.

Evaluated are the profiles that cameras, scanners and editors embed: tone curves, and for RGB a
matrix to CIE XYZ (ICC.1:2010, sections 8.3 and F.3). Through profiles with look-up tables, the
colours go by Little CMS, rounded to 8 bits before.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
from collections.abc import Iterator
from functools import cache

import numpy as np
from PIL import Image, ImageCms

from colorization.lab.lab_numpy import ONE, encoded, gray_bytes, to_bytes

# CIE XYZ of the white that profiles are relative to (ICC.1:2010, 7.2.16).
D50 = np.array([0.9642, 1.0, 0.8249])
_SRGB = ImageCms.createProfile("sRGB")
_LEVELS = np.arange(2**16, dtype=np.float64) / (2**16 - 1)
# Number of samples, about, that are turned into floats at once.
_BLOCK = 2**21
# Transfer characteristics of HDR by their number in ITU-T H.273, and what names of profiles have.
HDR = {16: "PQ", 18: "HLG"}
_HDR_NAME = re.compile(rb"(?<![A-Za-z0-9])(PQ|PeQ|HLG)(?![A-Za-z0-9])")
# Names of standards that PQ and HLG belong to, whatever stands in for their curves.
_HDR_STANDARD = re.compile(rb"(?:rec|bt)\W*(?:2020|2100)|2084", re.IGNORECASE)
# Classes of profiles that are none of pictures in HDR: of printers and of scanners.
_PAPER = (b"prtr", b"scnr")
_CURVES = (b"rTRC", b"gTRC", b"bTRC", b"kTRC")
# Places on a curve, as numbers of `_LEVELS`, and the exponents that curves in standard range have
# there, which differ by less than so much. PQ has 5.5 to 8 and HLG 2.8 to 4.6.
_LOOKED_AT = [2**14, 2**15, 3 * 2**14]
_LEAST_EXPONENT, _MOST_EXPONENT, _MOST_BEND = 0.9, 3.0, 0.5
# Difference of black and white on a curve from which on it can be one of photos.
_LEAST_RANGE = 0.05


class UnusableProfile(ValueError):
    """A profile that is damaged, or of another colour space than the picture's."""


@contextlib.contextmanager
def _as_unusable() -> Iterator[None]:
    """Turns into `UnusableProfile` whatever goes wrong with a profile, which may hold any bytes."""
    try:
        with np.errstate(all="ignore"):
            yield
    except (UnusableProfile, MemoryError):
        raise
    except Exception as error:
        raise UnusableProfile(str(error)) from error


def picture_to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """A picture of 8 bits, of mode 1, L, RGB, CMYK, YCbCr or LAB, in sRGB: of mode L, else RGB.

    A profile that is damaged or of another colour space says nothing about the photo.
    """
    if picture.mode in ("1", "L"):
        grays = picture.convert("L")
        with contextlib.suppress(UnusableProfile):
            # Little CMS rounds within 8 bits and is off by up to ten levels in the shadows.
            if profile:
                table = gray_to_srgb(np.arange(256, dtype=np.uint16) * 257, profile)
                return grays.point(to_bytes(table).tolist())
        return grays
    if profile:
        with contextlib.suppress(UnusableProfile):
            return _by_little_cms(picture, profile)
    # Converting copies, even to the same mode.
    return picture if picture.mode == "RGB" else picture.convert("RGB")


@_as_unusable()
def gray_to_srgb(values: np.ndarray, profile: bytes) -> np.ndarray:
    """Grays of the same luminance in sRGB.

    Args:
      values: uint16 `[...]`.
      profile: ICC profile of a gray device.

    Returns:
      sRGB grays, uint16 `[...]`.

    Raises:
      UnusableProfile: see there.
    """
    tags = _tags(profile, b"GRAY")
    if b"A2B0" in tags:
        return _gray_table(profile).take(values)
    luminance = _curve(tags[b"kTRC"])
    if profile[20:24] == b"Lab ":
        # The curve gives L* / 100 then (ICC.1:2010, F.2).
        luminance = _cubed((100 * luminance + 16) / 116)
    table = encoded((ONE * luminance).astype(np.float32), np.dtype(np.uint16))
    return table.take(values)


@_as_unusable()
def rgb_to_srgb(values: np.ndarray, profile: bytes) -> np.ndarray:
    """Colours in sRGB; what lies outside of it is clipped.

    Args:
      values: uint16 `[height, width, 3]`.
      profile: ICC profile of an RGB device.

    Returns:
      uint8 `[height, width, 3]`.

    Raises:
      UnusableProfile: see there.
    """
    tags = _tags(profile, b"RGB ")
    if b"A2B0" in tags or not {b"rTRC", b"gTRC", b"bTRC"} <= tags.keys():
        return _by_table(values, profile)
    curves = [_curve(tags[name]).astype(np.float32) for name in (b"rTRC", b"gTRC", b"bTRC")]
    matrix = (np.linalg.inv(_srgb_matrix()) @ _matrix(tags)).astype(np.float32)
    picture = np.empty(values.shape, np.uint8)
    rows = max(1, _BLOCK // values[0].size)
    for top in range(0, len(values), rows):
        block = values[top : top + rows]
        linear = np.stack([curve.take(block[..., i]) for i, curve in enumerate(curves)], axis=-1)
        picture[top : top + rows] = _linear_to_srgb(linear @ matrix.T)
    return picture


def lab_to_srgb(values: np.ndarray) -> np.ndarray:
    """CIE L*a*b* relative to D50, float `[height, width, 3]`, to sRGB, uint8 (CIE 15:2004)."""
    picture = np.empty(values.shape, np.uint8)
    from_xyz = np.linalg.inv(_srgb_matrix()).T
    for row, (lightness, a, b) in enumerate(np.moveaxis(values.astype(np.float64), 2, 1)):
        y = (lightness + 16) / 116
        roots = np.stack([y + a / 500, y, y - b / 200], axis=-1)
        picture[row] = _linear_to_srgb(_cubed(roots) * D50 @ from_xyz)
    return picture


def _cubed(roots: np.ndarray) -> np.ndarray:
    """The inverse of f(t) of CIE 15:2004, see `lab_convert.rgb_to_lab`."""
    return np.where(roots > 6 / 29, roots**3, 108 / 841 * (roots - 4 / 29))


def _linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB, uint8 `[...]`, of linear light in 0..1, clipped to it."""
    return encoded((ONE * np.clip(linear, 0, 1) + 0.5).astype(np.float32), np.dtype(np.uint8))


@cache
def _srgb_matrix() -> np.ndarray:
    """Linear sRGB to XYZ relative to D50, as Little CMS has it."""
    profile = ImageCms.ImageCmsProfile(_SRGB).tobytes()
    return _matrix(_tags(profile, b"RGB "))


def _by_table(values: np.ndarray, profile: bytes) -> np.ndarray:
    return np.asarray(_by_little_cms(Image.fromarray(to_bytes(values)), profile))


def _gray_table(profile: bytes) -> np.ndarray:
    """sRGB grays, uint16, of all uint16 values by a gray profile with look-up tables."""
    ramp = Image.frombytes("L", (256, 1), bytes(range(256)))
    grays = gray_bytes(np.asarray(_by_little_cms(ramp, profile)))[0].astype(np.float64)
    table = np.interp(np.arange(2**16), 257 * np.arange(256), 257 * grays)
    return np.rint(table).astype(np.uint16)


@_as_unusable()
def _by_little_cms(picture: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.profileToProfile(picture, source, _SRGB, outputMode="RGB")


@_as_unusable()
def hdr_transfer(profile: bytes) -> str | None:
    """The transfer characteristics of HDR that a profile is made for, "PQ" or "HLG"; else None.

    The tag `cicp` of ICC.1:2022 tells them, section 9.2.17; profiles of old only have a name. Paper
    and monitors have such names, too, but curves near to a power law.

    Raises:
      UnusableProfile: see there.
    """
    tags = _tags(profile, profile[16:20])
    if tags.get(b"cicp", b"")[:4] == b"cicp":
        return HDR.get(tags[b"cicp"][9])
    name = tags.get(b"desc", b"").replace(b"\0", b"")
    told = _HDR_NAME.search(name)
    if not told or profile[12:16] in _PAPER:
        return None
    if not _HDR_STANDARD.search(name) and _has_power_law(tags):
        return None
    return "HLG" if told[0] == b"HLG" else "PQ"


def _has_power_law(tags: dict[bytes, bytes]) -> bool:
    """Whether there are tone curves, and these are about a power law, as of sRGB or L*."""
    curves = [_curve(tags[name])[_LOOKED_AT] for name in _CURVES if name in tags]
    if not curves:
        return False
    exponents = np.log(curves) / np.log(_LEVELS[_LOOKED_AT])
    within = (exponents > _LEAST_EXPONENT) & (exponents < _MOST_EXPONENT)
    return bool(within.all() and (np.ptp(exponents, axis=1) < _MOST_BEND).all())


def _tags(profile: bytes, space: bytes) -> dict[bytes, bytes]:
    """Signature -> content of a profile's tags (ICC.1:2010, section 7)."""
    (count,) = struct.unpack_from(">I", profile, 128)
    if profile[36:40] != b"acsp" or profile[16:20] != space or count > 1000:
        raise UnusableProfile("no profile, or of another colour space")
    table = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(count)]
    return {name: profile[start : start + size] for name, start, size in table}


def _curve(tag: bytes) -> np.ndarray:
    """A tone curve at `_LEVELS`: `curv` or `para` (ICC.1:2010, sections 10.5 and 10.15)."""
    kind, number = tag[:4], struct.unpack_from(">I", tag, 8)[0]
    if kind == b"para":
        curve = np.clip(_parametric(tag), 0, 1)
    elif kind != b"curv":
        raise UnusableProfile("a curve of an unknown type")
    elif number == 0:
        curve = _LEVELS
    elif number == 1:
        curve = _LEVELS ** (struct.unpack_from(">H", tag, 12)[0] / 256)
    else:
        points = np.frombuffer(tag, ">u2", number, 12) / 65535
        curve = np.interp(_LEVELS, np.linspace(0, 1, number), points)
    # A comparison with NaN is false.
    if not abs(curve[-1] - curve[0]) >= _LEAST_RANGE:
        raise UnusableProfile("a curve without a range")
    return curve


def _parametric(tag: bytes) -> np.ndarray:
    form = struct.unpack_from(">H", tag, 8)[0]
    count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(form)
    if count is None:
        raise UnusableProfile("a curve of an unknown type")
    numbers = [number / 65536 for number in struct.unpack_from(f">{count}i", tag, 12)]
    gamma, a, b, c, d, e, f = (numbers + [0.0] * 7)[:7]
    if form == 0:
        a, b, c, d = 1.0, 0.0, 0.0, 0.0
    elif form in (1, 2):
        # Below -b / a, the constant c, which type 2 adds above as well.
        offset = c
        c, d, e, f = 0.0, (-b / a if a else 0.0), offset, offset
    power = np.maximum(a * _LEVELS + b, 0) ** gamma
    return np.where(d <= _LEVELS, power + e, c * _LEVELS + f)


def _matrix(tags: dict[bytes, bytes]) -> np.ndarray:
    """Linear RGB to XYZ relative to D50 (ICC.1:2010, F.3)."""
    columns = [struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    return np.array(columns).T / 65536
