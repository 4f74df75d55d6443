"""Colours as files state them where Pillow finds no ICC profile: as one all the same.

PNG files state them in the chunks cICP, gAMA and cHRM (PNG, third edition, section 4.3), JPEG 2000
in a box with a profile (ISO/IEC 15444-1, annex I.5.3.3), BMP behind its pixels, AVIF and HEIC in a
box with the numbers of ITU-T H.273, and cameras' JPEG in their EXIF data (DCF 2.0).
"""

from __future__ import annotations

import contextlib
import struct

import numpy as np
from PIL import Image

from colorization.decoding import png
from colorization.decoding.boxes import boxes
from colorization.decoding.color_profile import D50, HDR, UnusableProfile, hdr_transfer
from colorization.errors import UnreadablePhoto
from colorization.lab.primaries import BT709, D65, PRIMARIES, xyz_from_rgb

_SRGB = PRIMARIES[BT709]
# Exponents of transfer characteristics in H.273, table 3. Those of video, 1, 6, 14 and 15, are
# shown as sRGB by browsers, and so is what is unknown.
_EXPONENTS = {4: 2.2, 5: 2.8, 8: 1.0}
# A PNG's gamma that near to sRGB's, 1 / 2.2, means sRGB, as libpng has it.
_NEARLY = 0.05
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")
# Exponents beyond which a PNG's gamma is nonsense, which viewers ignore.
_GAMMAS = (0.1, 10)
# PNG's types of colour that are gray.
_PNG_GRAYS = (0, 4)
# Bytes at the beginning of a file in which the boxes about the picture lie in AVIF and HEIC, and
# EXIF data in JPEG.
_HEAD = 2**16
# Adobe RGB (1998): chromaticities and exponent, and the tags by which cameras tell of it.
_ADOBE, _ADOBE_EXPONENT = (*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 563 / 256
_EXIF, _INTEROPERABILITY, _COLOR_SPACE, _IS_SRGB = 0x8769, 0xA005, 0xA001, 1
# What Pillow and Python raise for numbers and EXIF data that are nonsense.
_NONSENSE = (ArithmeticError, LookupError, SyntaxError, TypeError, ValueError, struct.error)


class HighDynamicRange(UnreadablePhoto):
    """A photo whose colours are those of HDR."""

    def __init__(self, transfer: str):
        super().__init__(f"in HDR ({transfer}); save it in standard range, as sRGB")


def refuse_hdr(profile: bytes | None) -> None:
    """Refuses an ICC profile that is one of HDR.

    Raises:
      HighDynamicRange: it is.
    """
    with contextlib.suppress(UnusableProfile):
        if profile and (transfer := hdr_transfer(profile)):
            raise HighDynamicRange(transfer)


def stated_profile(data: bytes, picture: Image.Image) -> bytes | None:
    """ICC profile of the colours that a file states; None where they are sRGB or not stated.

    Args:
      data: the file.
      picture: the same, opened.

    Raises:
      HighDynamicRange: the colours are those of HDR (PQ, HLG).
    """
    own = picture.info.get("icc_profile")
    refuse_hdr(own)
    # Any bytes may stand there, and nonsense states nothing.
    with contextlib.suppress(*_NONSENSE):
        if picture.format == "PNG":
            # Pillow's mode is that of colours for grays with alpha of 16 bits.
            colored = data[25] not in _PNG_GRAYS
            numbers = _png_numbers(data)
            if numbers:
                return _of_numbers(*numbers, colored)
            return own or _of_gamma(picture, colored)
        if own:
            return own
        if picture.format == "BMP":
            return _bmp_profile(data)
        if picture.format in ("JPEG", "MPO") and b"R03\0" in data[:_HEAD]:
            return _camera_profile(picture)
        if picture.format == "JPEG2000":
            return _jpeg_2000_profile(data)
        if picture.format in ("AVIF", "HEIF"):
            place = data[:_HEAD].find(b"colrnclx")
            if 0 <= place <= len(data) - 12:
                numbers = struct.unpack_from(">HH", data, place + 8)
                return _of_numbers(*numbers, picture.mode.startswith("RGB"))
    return own


def _of_numbers(primaries: int, transfer: int, colored: bool) -> bytes | None:
    """The profile of colours by their numbers in H.273."""
    if transfer in HDR:
        raise HighDynamicRange(HDR[transfer])
    places = PRIMARIES.get(primaries, _SRGB)
    exponent = _EXPONENTS.get(transfer)
    if exponent is None and (places is _SRGB or not colored):
        return None
    return _profile(places, exponent, colored)


def _png_numbers(data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer characteristics of a PNG file's chunk cICP."""
    for name, start, end in png.chunks(data):
        if name == b"cICP" and end - start == 4:
            return data[start], data[start + 1]
        if name == b"IDAT":
            break
    return None


def _of_gamma(picture: Image.Image, colored: bool) -> bytes | None:
    """The profile of the chunks gAMA and cHRM, which the chunk sRGB overrides."""
    gamma = picture.info.get("gamma")
    if not gamma or "srgb" in picture.info or not _GAMMAS[0] <= gamma <= _GAMMAS[1]:
        return None
    places = tuple(picture.info.get("chromaticity", _SRGB))
    is_srgb = abs(2.2 * gamma - 1) < _NEARLY
    if is_srgb and (not colored or np.allclose(places, _SRGB, atol=0.002)):
        return None
    return _profile(places, None if is_srgb else 1 / gamma, colored)


def _bmp_profile(data: bytes) -> bytes | None:
    """The profile in a BMP file with a header of Windows 98 (BITMAPV5HEADER)."""
    header, begin = 124, 14
    size, space = struct.unpack_from("<I52x4s", data, begin)
    if size != header or space != b"DEBM":
        return None
    start, length = struct.unpack_from("<II", data, begin + 112)
    profile = data[begin + start : begin + start + length]
    refuse_hdr(profile)
    return profile


def _camera_profile(picture: Image.Image) -> bytes | None:
    """The profile of Adobe RGB, where EXIF data tell of it and not of sRGB (DCF 2.0, 3.2.2)."""
    exif = picture.getexif()
    told = exif.get_ifd(_INTEROPERABILITY).get(1)
    if told != "R03" or exif.get_ifd(_EXIF).get(_COLOR_SPACE) == _IS_SRGB:
        return None
    return _profile(_ADOBE, _ADOBE_EXPONENT, picture.mode == "RGB")


def _jpeg_2000_profile(data: bytes) -> bytes | None:
    for name, start, end in boxes(data, 0, len(data)):
        if name == b"jp2h":
            for inner, begin, finish in boxes(data, start, end):
                # Methods 2 and 3 say that a profile follows.
                if inner == b"colr" and data[begin : begin + 1] in (b"\2", b"\3"):
                    return data[begin + 3 : finish]
    return None


def _profile(places: tuple[float, ...], exponent: float | None, colored: bool) -> bytes | None:
    """An ICC profile (ICC.1:2010) of primaries and a power law, or sRGB's curve for None.

    Args:
      places: chromaticities x, y of white, red, green, blue.
      exponent: of linear light over values.
      colored: whether it is for RGB; else for grays.
    """
    curve = struct.pack(">4s4xHHi", b"para", 0, 0, round((exponent or 1) * 65536))
    if exponent is None:
        numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        curve = struct.pack(">4s4xHH5i", b"para", 3, 0, *(round(n * 65536) for n in numbers))
    tags = {b"wtpt": _xyz(D50)}
    if colored:
        columns = _to_d50(places).T
        # No primary of a sound file takes luminance away.
        if not (columns[:, 1] > 0).all():
            return None
        tags |= {name: _xyz(column) for name, column in zip(_COLUMNS, columns, strict=True)}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    else:
        tags[b"kTRC"] = curve
    place, table, content = 132 + 12 * len(tags), b"", b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, place + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x",
        place + len(content),
        0x04200000,
        b"mntr",
        b"RGB " if colored else b"GRAY",
        b"XYZ ",
        b"acsp",
        *(round(value * 65536) for value in D50),
    )
    return header + struct.pack(">I", len(tags)) + table + content


def _xyz(values: np.ndarray) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(float(value) * 65536) for value in values))


def _to_d50(places: tuple[float, ...]) -> np.ndarray:
    """Linear RGB to XYZ relative to D50, by Bradford's adaptation (ICC.1:2010, annex E)."""
    matrix = xyz_from_rgb(places)
    white = matrix.sum(axis=1)
    cones = np.diag(_BRADFORD @ D50 / (_BRADFORD @ white))
    return np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ matrix
