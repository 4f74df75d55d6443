"""EXIF data of cameras' raw files, wherever each kind keeps them."""

from __future__ import annotations

import contextlib
import io

from PIL import Image
from PIL.ExifTags import IFD

from colorization.decoding import tiff_pages
from colorization.decoding.boxes import boxes
from colorization.decoding.jpeg import START

# TIFF directories with marks of Olympus and Panasonic in place of TIFF's own.
_LIKE_TIFF = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
_FUJIFILM, _MINOLTA, _SIGMA = b"FUJIFILMCCD-RAW", b"\0MRM", b"FOVb"
# Where Fujifilm stores offset and size of the JPEG file for the camera's screen.
_FUJIFILM_JPEG = 84
# Minolta's block with a TIFF file, and the number of bytes among which it begins.
_MINOLTA_TIFF, _BEGINNING = b"\0TTW", 2**16
# Canon's box with one TIFF file each for picture, settings and position of the camera.
_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_CANON_DIRECTORIES = {b"CMT2": IFD.Exif, b"CMT4": IFD.GPSInfo}


def raw_exif(data: bytes) -> Image.Exif:
    """EXIF data of a raw file, as far as they can be read."""
    if tiff_pages.is_tiff(data) or data.startswith(_LIKE_TIFF):
        return tiff_pages.exif(data)
    with contextlib.suppress(Exception):
        if data.startswith(_FUJIFILM):
            start = int.from_bytes(data[_FUJIFILM_JPEG : _FUJIFILM_JPEG + 4], "big")
            return _of_jpeg(data[start:])
        if data.startswith(_MINOLTA):
            # The size of the block comes before its content.
            start = data.index(_MINOLTA_TIFF, 0, _BEGINNING) + len(_MINOLTA_TIFF) + 4
            return tiff_pages.exif(data[start:])
        if data.startswith(_SIGMA):
            return _of_jpeg(data[data.index(START + b"\xff\xe1") :])
        return _of_canon(data)
    return Image.Exif()


def _of_jpeg(data: bytes) -> Image.Exif:
    """EXIF data of a JPEG file, whatever follows it."""
    with Image.open(io.BytesIO(data), formats=["JPEG", "MPO"]) as picture:
        return picture.getexif()


def _of_canon(data: bytes) -> Image.Exif:
    """EXIF data of a CR3 file; empty for other files."""
    exif = Image.Exif()
    movie = next((span for name, *span in boxes(data, 0, len(data)) if name == b"moov"), (0, 0))
    for _, start, end in boxes(data, *movie):
        if data.startswith(_CANON, start):
            inner = boxes(data, start + len(_CANON), end)
            parts = {name: tiff_pages.exif(data[slice(*span)]) for name, *span in inner}
            exif = parts[b"CMT1"]
            for name, tag in _CANON_DIRECTORIES.items():
                exif.get_ifd(tag).update(parts.get(name, {}))
    return exif
