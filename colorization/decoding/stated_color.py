"""Makes ICC profiles of colours that files state in other ways.

PNG files state them in the chunks cICP, gAMA and cHRM (PNG, third edition, section 4.3), JPEG 2000
in a box with a profile (ISO/IEC 15444-1, annex I.5.3.3), BMP after its pixels, GIF in an
application extension, AVIF and HEIC in a box with the numbers of ITU-T H.273, and cameras' JPEG in
their EXIF data (DCF 2.0).
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable

import numpy as np
from PIL import Image
from PIL.ExifTags import IFD, Base, Interop

from colorization.decoding import heif_items, jpeg_2000, png
from colorization.decoding.color_profile import (
    COLUMNS,
    CURVES,
    D50,
    GRAY_CURVE,
    HDR,
    UnusableProfile,
    hdr_transfer,
)
from colorization.errors import UnreadablePhoto
from colorization.lab.primaries import BT709, D65, PRIMARIES, xyz_from_rgb

_SRGB = PRIMARIES[BT709]
# Exponents of transfer characteristics in H.273, table 3. Browsers show those of video, 1, 6, 14
# and 15, and unknown ones as sRGB.
_EXPONENTS = {4: 2.2, 5: 2.8, 8: 1.0}
# Range of a PNG's gamma; other values are nonsense, which viewers ignore.
_GAMMAS = (0.1, 10)
# If 2.2 times a PNG's gamma differs from 1 by less than this, it means sRGB, as in libpng.
_GAMMA_TOLERANCE = 0.05
# PNG's types of colour that are gray.
_PNG_GRAYS = (0, 4)
# The matrix of Bradford's adaptation, from XYZ to cones (ICC.1:2010, annex E).
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
# Number of bytes at the beginning of a JPEG file that hold its EXIF data.
_HEAD = 2**16
# Chromaticities and exponent of Adobe RGB (1998).
_ADOBE, _ADOBE_EXPONENT = (*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 563 / 256
# EXIF's value of the colour space for sRGB.
_IS_SRGB = 1
# What precedes the profile in GIF files.
_GIF_PROFILE = b"\x21\xff\x0bICCRGBG1012"
# Raised by Pillow and Python for nonsensical numbers and EXIF data.
_PARSE_ERRORS = (ArithmeticError, LookupError, SyntaxError, TypeError, ValueError, struct.error)


class RefusedColors(UnreadablePhoto):
    """A sound photo whose colours cannot be read right."""


class HighDynamicRange(RefusedColors):
    """A photo in HDR."""

    def __init__(self, transfer: str):
        super().__init__(f"in HDR ({transfer}); save it in standard range, as sRGB")


def refuse_hdr(profile: bytes | None) -> None:
    """Refuses an ICC profile for HDR.

    Raises:
      HighDynamicRange: it is one.
    """
    with contextlib.suppress(UnusableProfile):
        if profile and (transfer := hdr_transfer(profile)):
            raise HighDynamicRange(transfer)


def stated_profile(data: bytes, picture: Image.Image) -> bytes | None:
    """ICC profile of the colours that a file states; None if they are sRGB or not stated.

    Args:
      data: the file.
      picture: the same, opened.

    Raises:
      HighDynamicRange: the colours are in HDR (PQ, HLG).
      RefusedColors: the values are of video's range.
    """
    embedded = picture.info.get("icc_profile")
    refuse_hdr(embedded)
    # Nonsensical data count as no statement.
    with contextlib.suppress(*_PARSE_ERRORS):
        if picture.format == "PNG":
            return _png_profile(data, picture, embedded)
        if embedded:
            return embedded
        if picture.format == "BMP":
            return _bmp_profile(data)
        if picture.format == "GIF":
            return _gif_profile(data)
        if picture.format in ("JPEG", "MPO") and b"R03\0" in data[:_HEAD]:
            return _camera_profile(picture)
        if picture.format == "JPEG2000":
            return jpeg_2000.profile(data)
        if picture.format in ("AVIF", "HEIF") and (numbers := heif_items.color_numbers(data)):
            return _profile_of_numbers(*numbers, picture.mode.startswith("RGB"))
    return embedded


def _profile_of_numbers(primaries: int, transfer: int, colored: bool) -> bytes | None:
    """The profile of colours given by their numbers in H.273; None if they are those of sRGB.

    Raises:
      HighDynamicRange: the colours are in HDR (PQ, HLG).
    """
    if transfer in HDR:
        raise HighDynamicRange(HDR[transfer])
    chromaticities = PRIMARIES.get(primaries, _SRGB)
    exponent = _EXPONENTS.get(transfer)
    if exponent is None and (chromaticities is _SRGB or not colored):
        return None
    return _profile(chromaticities, exponent, colored)


def _png_profile(data: bytes, picture: Image.Image, embedded: bytes | None) -> bytes | None:
    """The profile of a PNG file: of the chunk cICP, an embedded one, or of gAMA and cHRM."""
    # Pillow's mode for 16-bit grays with alpha is one of colours, so the header is read.
    colored = data[25] not in _PNG_GRAYS
    for name, start, end in png.chunks(data):
        if name == b"cICP" and end - start == 4:
            # The last byte says whether all values are used (PNG, third edition, 11.3.2.6).
            if data[start + 3] == 0:
                raise RefusedColors("in video's range (black is 16); save it in full range")
            return _profile_of_numbers(data[start], data[start + 1], colored)
        if name == b"IDAT":
            break
    # Gray pictures may have no other profile than one for gray (PNG 1.2, 4.2.2.4).
    if embedded and (colored or embedded[16:20] == b"GRAY"):
        return embedded
    return _profile_of_gamma(picture, colored)


def _profile_of_gamma(picture: Image.Image, colored: bool) -> bytes | None:
    """The profile of the chunks gAMA and cHRM, which the chunk sRGB overrides."""
    gamma = picture.info.get("gamma")
    if not gamma or "srgb" in picture.info or not _GAMMAS[0] <= gamma <= _GAMMAS[1]:
        return None
    chromaticities = tuple(picture.info.get("chromaticity", _SRGB))
    has_srgb_curve = abs(2.2 * gamma - 1) < _GAMMA_TOLERANCE
    if has_srgb_curve and (not colored or np.allclose(chromaticities, _SRGB, atol=0.002)):
        return None
    return _profile(chromaticities, None if has_srgb_curve else 1 / gamma, colored)


def _gif_profile(data: bytes) -> bytes | None:
    """The profile in a GIF file's application extension (ICC.1:2010, annex B.6)."""
    place = data.find(_GIF_PROFILE)
    if place < 0:
        return None
    profile, offset = b"", place + len(_GIF_PROFILE)
    # Blocks of up to 255 bytes follow, each after its length, and an empty one.
    while length := data[offset]:
        profile += data[offset + 1 : offset + 1 + length]
        offset += 1 + length
    return profile


def _bmp_profile(data: bytes) -> bytes | None:
    """The profile in a BMP file with a header of Windows 98 (BITMAPV5HEADER)."""
    header_size, header_start = 124, 14
    size, space = struct.unpack_from("<I52x4s", data, header_start)
    if size != header_size or space != b"DEBM":
        return None
    start, length = struct.unpack_from("<II", data, header_start + 112)
    profile = data[header_start + start : header_start + start + length]
    refuse_hdr(profile)
    return profile


def _camera_profile(picture: Image.Image) -> bytes | None:
    """The profile of Adobe RGB, if EXIF data state it and not sRGB (DCF 2.0, 3.2.2)."""
    exif = picture.getexif()
    interoperability = exif.get_ifd(IFD.Interop).get(Interop.InteropIndex)
    if interoperability != "R03" or exif.get_ifd(IFD.Exif).get(Base.ColorSpace) == _IS_SRGB:
        return None
    return _profile(_ADOBE, _ADOBE_EXPONENT, picture.mode == "RGB")


def _profile(
    chromaticities: tuple[float, ...], exponent: float | None, colored: bool
) -> bytes | None:
    """An ICC profile of primaries and a tone curve; None if the primaries are nonsense.

    Args:
      chromaticities: x and y of white, red, green and blue.
      exponent: of the power law from values to linear light; None for the curve of sRGB.
      colored: whether the profile is for RGB; else for grays.
    """
    if exponent is None:
        curve = _parametric_curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    else:
        curve = _parametric_curve(0, exponent)
    tags = {b"wtpt": _xyz(D50)}
    if colored:
        columns = _to_d50(chromaticities).T
        # No primary has negative luminance.
        if not (columns[:, 1] > 0).all():
            return None
        tags |= {name: _xyz(column) for name, column in zip(COLUMNS, columns, strict=True)}
        tags |= dict.fromkeys(CURVES, curve)
    else:
        tags[GRAY_CURVE] = curve
    return _packed(tags, b"RGB " if colored else b"GRAY")


def _packed(tags: dict[bytes, bytes], space: bytes) -> bytes:
    """An ICC profile of a monitor (ICC.1:2010, section 7).

    Args:
      tags: their signatures and contents.
      space: the signature of the profile's colour space.
    """
    content_start, table, content = 132 + 12 * len(tags), b"", b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, content_start + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x",
        content_start + len(content),
        0x04200000,
        b"mntr",
        space,
        b"XYZ ",
        b"acsp",
        *_fixed(D50),
    )
    return header + struct.pack(">I", len(tags)) + table + content


def _parametric_curve(form: int, *numbers: float) -> bytes:
    """A tone curve of type `para` (ICC.1:2010, parametricCurveType)."""
    return struct.pack(f">4s4xHH{len(numbers)}i", b"para", form, 0, *_fixed(numbers))


def _xyz(values: np.ndarray) -> bytes:
    """A tag of type `XYZ` (ICC.1:2010, XYZType)."""
    return struct.pack(">4s4x3i", b"XYZ ", *_fixed(values))


def _fixed(numbers: Iterable[float]) -> list[int]:
    """Numbers with 16 bits after the binary point (ICC.1:2010, s15Fixed16Number)."""
    return [round(float(number) * 65536) for number in numbers]


def _to_d50(chromaticities: tuple[float, ...]) -> np.ndarray:
    """Linear RGB to XYZ relative to D50, by Bradford's adaptation (ICC.1:2010, annex E)."""
    matrix = xyz_from_rgb(chromaticities)
    white = matrix.sum(axis=1)
    cones = np.diag(_BRADFORD @ D50 / (_BRADFORD @ white))
    return np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ matrix
