"""Converts the colours of ICC profiles to sRGB, with 16 bits where it can.

The profiles that cameras, scanners and editors embed are evaluated here: tone curves, and for RGB a
matrix to CIE XYZ (ICC.1:2010, sections 8.3 and F.3). Profiles with look-up tables are left to
Little CMS, for which Pillow rounds colours to 8 bits.
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
# All values of 16 bits, as shares of white.
_LEVELS = np.arange(2**16, dtype=np.float64) / (2**16 - 1)
# Approximate number of samples that are converted to floats at a time.
_BLOCK = 2**21
# Tags of the tone curves and of the columns of the matrix, for red, green and blue; and of the tone
# curve of gray.
CURVES, COLUMNS = (b"rTRC", b"gTRC", b"bTRC"), (b"rXYZ", b"gXYZ", b"bXYZ")
GRAY_CURVE = b"kTRC"
# Tags of the look-up tables that Little CMS takes instead, in either of two intents.
_TABLES = {b"A2B0", b"A2B1", b"D2B1"}
# Transfer characteristics of HDR by their number in ITU-T H.273, and their names in the names of
# profiles.
HDR = {16: "PQ", 18: "HLG"}
_HDR_NAME = re.compile(rb"(?<![A-Za-z0-9])(PQ|PeQ|HLG)(?![A-Za-z0-9])")
# Names of standards for HDR. A profile with one of them may have any curves: they are not used.
_HDR_STANDARD = re.compile(rb"(?:rec|bt)\W*(?:2020|2100)|2084", re.IGNORECASE)
# Classes of profiles that are not for pictures in HDR: those of printers and of scanners.
_PAPER = (b"prtr", b"scnr")
# Places on a curve, as indices of `_LEVELS`, at which its exponent is measured. In standard range,
# the exponents are between the first two numbers and differ by less than the third. PQ has
# exponents of 5.5 to 8, HLG of 2.8 to 4.6.
_MEASURED_AT = [2**14, 2**15, 3 * 2**14]
_LEAST_EXPONENT, _MOST_EXPONENT, _MOST_DIFFERENCE = 0.9, 3.0, 0.5
# Difference of black and white on a curve from which on it can be one for photos.
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
    """Converts a picture of 8 bits to sRGB.

    Args:
      picture: of mode 1, L, RGB, CMYK, YCbCr or LAB.
      profile: its ICC profile, if it has one; ignored if it is damaged or of another colour space.

    Returns:
      A picture of mode L if the given one is of mode 1 or L, else RGB.
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
      profile: ICC profile of a gray device, or of an RGB device, for which red, green and blue are
        equal then.

    Returns:
      sRGB grays, uint16 `[...]`.

    Raises:
      UnusableProfile: see there.
    """
    is_rgb = profile[16:20] == b"RGB "
    tags = _tags(profile, b"RGB " if is_rgb else b"GRAY")
    if b"A2B0" in tags:
        return _gray_table(profile, "RGB" if is_rgb else "L").take(values)
    if is_rgb:
        luminance = _matrix(tags)[1] @ np.stack([_curve(tags[name]) for name in CURVES])
    else:
        luminance = _curve(tags[GRAY_CURVE])
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
    if b"A2B0" in tags or not set(CURVES) <= tags.keys():
        return np.asarray(_by_little_cms(Image.fromarray(to_bytes(values)), profile))
    curves = [_curve(tags[name]).astype(np.float32) for name in CURVES]
    matrix = (np.linalg.inv(_srgb_matrix()) @ _matrix(tags)).astype(np.float32)
    picture = np.empty(values.shape, np.uint8)
    for rows in row_blocks(values):
        block = values[rows]
        linear = np.stack([curve.take(block[..., i]) for i, curve in enumerate(curves)], axis=-1)
        picture[rows] = _linear_to_srgb(linear @ matrix.T)
    return picture


def row_blocks(values: np.ndarray) -> Iterator[slice]:
    """Slices of an array's rows that hold about `_BLOCK` samples each, to save memory."""
    rows = max(1, _BLOCK // max(1, values[0].size))
    return (slice(top, top + rows) for top in range(0, len(values), rows))


def lab_to_srgb(values: np.ndarray) -> np.ndarray:
    """sRGB, uint8 `[height, width, 3]`, of CIE L*a*b* relative to D50, float (CIE 15:2004)."""
    picture = np.empty(values.shape, np.uint8)
    from_xyz = np.linalg.inv(_srgb_matrix()).T
    for row, (lightness, a, b) in enumerate(np.moveaxis(values.astype(np.float64), 2, 1)):
        y = (lightness + 16) / 116
        roots = np.stack([y + a / 500, y, y - b / 200], axis=-1)
        picture[row] = _linear_to_srgb(_cubed(roots) * D50 @ from_xyz)
    return picture


@_as_unusable()
def hdr_transfer(profile: bytes) -> str | None:
    """The transfer characteristics of HDR that a profile is made for, "PQ" or "HLG"; else None.

    The tag `cicp` states them (ICC.1:2022, section 9.2.17). Older profiles have only a name. Those
    of some papers and monitors have "PQ" in their names, too; they are told apart by their class,
    or by curves that are close to a power law.

    Raises:
      UnusableProfile: see there.
    """
    tags = _tags(profile, profile[16:20])
    if tags.get(b"cicp", b"")[:4] == b"cicp":
        return HDR.get(tags[b"cicp"][9])
    name = tags.get(b"desc", b"").replace(b"\0", b"")
    transfer = _HDR_NAME.search(name)
    if not transfer or profile[12:16] in _PAPER:
        return None
    if not _HDR_STANDARD.search(name) and _has_power_law(tags):
        return None
    return "HLG" if transfer[0] == b"HLG" else "PQ"


def _cubed(roots: np.ndarray) -> np.ndarray:
    """The inverse of f(t) of CIE 15:2004, see `lab_convert.rgb_to_lab`."""
    return np.where(roots > 6 / 29, roots**3, 108 / 841 * (roots - 4 / 29))


def _linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB, uint8 `[...]`, of linear light in 0..1, clipped to it."""
    return encoded((ONE * np.clip(linear, 0, 1)).astype(np.float32), np.dtype(np.uint8))


@cache
def _srgb_matrix() -> np.ndarray:
    """Linear sRGB to XYZ relative to D50, as Little CMS has it."""
    profile = ImageCms.ImageCmsProfile(_SRGB).tobytes()
    return _matrix(_tags(profile, b"RGB "))


def _gray_table(profile: bytes, mode: str) -> np.ndarray:
    """sRGB grays, uint16, of all uint16 values by a profile with look-up tables.

    Args:
      profile: ICC profile.
      mode: "L", or "RGB" if it is one for RGB.
    """
    ramp = Image.frombytes("L", (256, 1), bytes(range(256))).convert(mode)
    grays = gray_bytes(np.asarray(_by_little_cms(ramp, profile)))[0].astype(np.float64)
    table = np.interp(np.arange(2**16), 257 * np.arange(256), 257 * grays)
    return np.rint(table).astype(np.uint16)


@_as_unusable()
def _by_little_cms(picture: Image.Image, profile: bytes) -> Image.Image:
    """A picture of mode RGB in sRGB.

    Little CMS takes the black of a profile for that of sRGB in the perceptual intent, which paper
    needs. Curves and a matrix have one meaning in all intents, that of `rgb_to_srgb`.
    """
    has_matrix = profile[16:20] == b"RGB " and _TABLES.isdisjoint(_tags(profile, b"RGB "))
    return ImageCms.profileToProfile(
        picture,
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        _SRGB,
        ImageCms.Intent.RELATIVE_COLORIMETRIC if has_matrix else ImageCms.Intent.PERCEPTUAL,
        outputMode="RGB",
    )


def _has_power_law(tags: dict[bytes, bytes]) -> bool:
    """Whether there are tone curves that are close to a power law, as those of sRGB and L* are."""
    names = (*CURVES, GRAY_CURVE)
    curves = [_curve(tags[name])[_MEASURED_AT] for name in names if name in tags]
    if not curves:
        return False
    exponents = np.log(curves) / np.log(_LEVELS[_MEASURED_AT])
    is_standard = (exponents > _LEAST_EXPONENT) & (exponents < _MOST_EXPONENT)
    return bool(is_standard.all() and (np.ptp(exponents, axis=1) < _MOST_DIFFERENCE).all())


def _tags(profile: bytes, space: bytes) -> dict[bytes, bytes]:
    """Signature -> content of a profile's tags (ICC.1:2010, section 7)."""
    (count,) = struct.unpack_from(">I", profile, 128)
    if profile[36:40] != b"acsp" or profile[16:20] != space or count > 1000:
        raise UnusableProfile("no profile, or of another colour space")
    table = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(count)]
    return {name: profile[start : start + size] for name, start, size in table}


def _curve(tag: bytes) -> np.ndarray:
    """A tone curve at `_LEVELS` (ICC.1:2010, curveType and parametricCurveType)."""
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
    """A curve of type `para` at `_LEVELS`, with the letters of ICC.1:2010, parametricCurveType."""
    form = struct.unpack_from(">H", tag, 8)[0]
    count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(form)
    if count is None:
        raise UnusableProfile("a curve of an unknown type")
    numbers = [number / 65536 for number in struct.unpack_from(f">{count}i", tag, 12)]
    gamma, a, b, c, d, e, f = (numbers + [0.0] * 7)[:7]
    if form == 0:
        a, b, c, d = 1.0, 0.0, 0.0, 0.0
    elif form in (1, 2):
        # Below -b / a the curve is constant. The constant, zero in type 1, is added above, too.
        constant = c
        c, d, e, f = 0.0, (-b / a if a else 0.0), constant, constant
    power = np.maximum(a * _LEVELS + b, 0) ** gamma
    return np.where(d <= _LEVELS, power + e, c * _LEVELS + f)


def _matrix(tags: dict[bytes, bytes]) -> np.ndarray:
    """Linear RGB to XYZ relative to D50 (ICC.1:2010, F.3)."""
    columns = [struct.unpack_from(">3i", tags[name], 8) for name in COLUMNS]
    return np.array(columns).T / 65536
