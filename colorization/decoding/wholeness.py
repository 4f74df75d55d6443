"""Checks that files of pictures are whole, because decoders also make pictures of broken ones.

A broken download often has the right size, but zeros in place of missing bytes. Without
compression, these look like any other black part of a picture.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image

from colorization.decoding import heif_items, jpeg, png, sgi

_QOI_END = bytes(7) + b"\x01"
_QOI_HEADER = 14
# TIFF's numbers of compressions.
_FAX_3, _FAX_4, _JPEG, _DEFLATE = (2, 3, 32771), 4, 7, (8, 32946)
# A run of zeros that no encoder writes, because every coded byte carries information; and bytes to
# replace it with.
_ZERO_RUN, _OTHER_RUN = bytes(64), b"\x55" * 64
# Runs of at least as many zeros, and runs that are too long to be the filling of a fax of group 3.
_MANY_ZEROS, _VERY_MANY_ZEROS = re.compile(rb"\0{64,}"), re.compile(rb"\0{512,}")
# Formats that may be uncompressed, and the number of zeros at the end from which on a file is in
# doubt.
_MAY_BE_UNCOMPRESSED = (
    *("BMP", "DDS", "DIB", "IM", "PCX", "PPM", "PSD", "SGI", "SUN", "TGA", "TIFF"),
)
_MIN_BLACK = 1024
# Those of them that may store the lowest row first.
_FROM_BELOW = ("BMP", "DIB", "SGI", "TGA")
# Number of pixels at the end of the last row that so many zeros cover at least.
_LAST_PIXELS = 64
# Level, of 255, up to which these count as black, because a profile may make them a dark gray.
_DARK = 32
# What erased sectors of memory cards hold, and those that were never written.
_ERASED_RUN = re.compile(rb"\0{64}|\xff{64}")
# HEIC and AVIF: a sector of FF. Of some 400 pictures, also even ones, none had more than 22 in a
# row.
_FULL_RUN = b"\xff" * 512
# Number of bytes at the end of a WebP picture without which decoders fail.
_TRAILING = 8
_CUT_SHORT = "image file is truncated"
_ZEROED = "parts of it are zeros; bring a whole copy"
_ERASED = "parts of it are erased; bring a whole copy"
_UNFIT = "its checksum does not fit; bring a whole copy"
# Number of bytes that are decompressed at a time.
_CHUNK_SIZE = 2**20


def why_broken(data: bytes, kind: str) -> str | None:
    """Why a file is broken although it can be decoded; None if it is whole.

    Args:
      data: the file.
      kind: Pillow's name of its format.
    """
    if kind == "JPEG":
        if jpeg.end_of_pixels(data) < 0 or jpeg.lacks_scans(data):
            return _CUT_SHORT
        zeros = jpeg.zeros_among_pixels(data)
        return _ZEROED if zeros and _differ(data, _with_zeros_replaced(data, *zeros)) else None
    if kind == "PNG":
        return _why_png_broken(data)
    if kind == "QOI":
        if _QOI_END not in data[_QOI_HEADER:]:
            return "its end is missing"
        # Zeros may follow the end and fill up a disk's sector.
        return _zeros_in(data, [(_QOI_HEADER, len(data.rstrip(b"\0")))])
    if kind == "SGI" and sgi.is_compressed(data):
        rows = sgi.rows(data)
        return _zeros_in(data, [(sgi.HEADER, 8 * len(rows)), *rows])
    # Zeros are a black block, but the smallest copies of the picture, at the end, are seldom black.
    copies = int.from_bytes(data[28:32], "little")
    if kind == "DDS" and data[84:88].strip(b"\0") and copies > 1 and not any(data[-256:]):
        return _ZEROED
    if kind in ("HEIF", "AVIF"):
        with contextlib.suppress(*heif_items.PARSE_ERRORS):
            parts = heif_items.coded_parts(data)
            return _zeros_in(data, parts) or (_ERASED if _hold(data, parts, _FULL_RUN) else None)
    return None


def why_smeared(data: bytes, picture: Image.Image) -> str | None:
    """As `why_broken`, for a file whose picture has been loaded."""
    if picture.format in ("JPEG", "MPO"):
        # Decoders fill missing parts with an even gray.
        last_pixel = np.asarray(
            picture.crop((picture.width - 1, picture.height - 1, *picture.size))
        )
        end = jpeg.end_of_pixels(data)
        is_gray = (abs(last_pixel - 127.5) < 1).all()
        longer = data[:end] + _OTHER_RUN + data[end:]
        return _CUT_SHORT if is_gray and _differ(data, longer) else None
    return _why_webp_smeared(data) if picture.format == "WEBP" else None


def _why_webp_smeared(data: bytes) -> str | None:
    name, start, size = next(_webp_pictures(data), (b"", 0, 0))
    coded = data[start : start + size]
    # Even parts of a picture are coded as zeros as well.
    if not _ERASED_RUN.search(coded):
        return None
    # Decoding fails without the last bytes, unless damage has led the decoder astray before, so
    # that it does not need them.
    whole, shorter = (_webp_file(name, part) for part in (coded, coded[:-_TRAILING]))
    return None if _differ(whole, shorter) else _ERASED


def _webp_file(name: bytes, coded: bytes) -> bytes:
    """A WebP file of a single coded picture, whose chunk has this name."""
    chunk = struct.pack("<4sI", name, len(coded)) + coded + bytes(len(coded) % 2)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunk), b"WEBP") + chunk


def why_doubtful(data: bytes, kind: str, image: Image.Image) -> str | None:
    """A warning about a file that ends in zeros, which may be a black part of it; else None.

    Args:
      data: the file.
      kind: Pillow's name of the format.
      image: the picture before it is turned upright, of mode RGB, L or I;16.
    """
    tail = data[-max(_MIN_BLACK, len(data) // 64) :]
    if kind not in _MAY_BE_UNCOMPRESSED or len(data) < 2 * _MIN_BLACK or any(tail):
        return None
    # Zeros may also stand for white, or follow the picture.
    left, right, lowest_row = max(0, image.width - _LAST_PIXELS), image.width, image.height - 1
    rows = (0, lowest_row) if kind in _FROM_BELOW else (lowest_row,)
    row_ends = (np.asarray(image.crop((left, row, right, row + 1)))[0] for row in rows)
    # A channel that is dark in all of these pixels is enough.
    darkest = min(pixels.reshape(right - left, -1).max(axis=0).min() for pixels in row_ends)
    if darkest > (257 * _DARK if image.mode == "I;16" else _DARK):
        return None
    return "its end is zeros, so that it is black there, or not whole"


def why_strips_broken(
    data: bytes,
    parts: Sequence[tuple[int, int]],
    compression: int,
    most_bytes: int,
    tables: bytes,
) -> str | None:
    """As `why_broken`, for the strips or tiles of a TIFF file.

    Args:
      data: the file.
      parts: start and size of each.
      compression: TIFF's number.
      most_bytes: maximum size of a decompressed strip or tile.
      tables: JPEG tables that all of them share, between start and end markers; empty without any.
    """
    bodies = [memoryview(data)[start : start + size] for start, size in parts]
    # Decoders do not need the checksum at the end, but zeros in its place are suspicious.
    if compression in _DEFLATE and not all(
        _fits_checksum([body], not any(body[-len(_ZERO_RUN) :]), most_bytes)
        for body in bodies
        if len(body)
    ):
        return _UNFIT
    if compression in (*_FAX_3, _FAX_4):
        # A few zeros may pad lines, and what follows the last one.
        zeros_of_damage = _MANY_ZEROS if compression == _FAX_4 else _VERY_MANY_ZEROS
        changed = bytearray(data)
        for start, size in parts:
            for zeros in zeros_of_damage.finditer(data, start, start + size):
                changed[slice(*zeros.span())] = b"\x55" * len(zeros[0])
        return _ZEROED if changed != data and _differ(data, changed) else None
    if compression == _JPEG:
        return next(filter(None, (_why_jpeg_broken(body, tables) for body in bodies)), None)
    return None


def _with_zeros_replaced(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + b"\x55" * (end - start) + data[end:]


def _differ(data: bytes, other_data: bytes) -> bool:
    """Whether two files show different pictures, or one of them cannot be read."""
    try:
        with Image.open(io.BytesIO(data)) as picture, Image.open(io.BytesIO(other_data)) as other:
            return picture.tobytes() != other.tobytes()
    except OSError:
        return True


def _why_jpeg_broken(body: memoryview, tables: bytes) -> str | None:
    """As `why_broken`, for a strip or tile, whose end marker may be missing or padded."""
    file = bytes(body[:2]) + tables[2:-2] + bytes(body[2:])
    if jpeg.end_of_pixels(file) < 0:
        file = file.rstrip(b"\0").removesuffix(b"\xff") + jpeg.END
    if jpeg.unread_process(file) is None:
        with (
            contextlib.suppress(OSError),
            Image.open(io.BytesIO(file), formats=["JPEG"]) as picture,
        ):
            # Only the means of the last blocks are needed.
            picture.draft(None, (1, 1))
            picture.load()
            return why_broken(file, "JPEG") or why_smeared(file, picture)
    return None


def _zeros_in(data: bytes, parts: Iterable[tuple[int, int]]) -> str | None:
    """The message if parts of coded pixels, given by start and size, hold zeros."""
    return _ZEROED if _hold(data, parts, _ZERO_RUN) else None


def _hold(data: bytes, parts: Iterable[tuple[int, int]], run: bytes) -> bool:
    """Whether one of the parts holds a run of bytes."""
    return any(data.find(run, start, start + size) >= 0 for start, size in parts)


def _why_png_broken(data: bytes) -> str | None:
    """Checks the checksums of a PNG file's pixels (ISO/IEC 15948, 5.3 and 10.1)."""
    bodies, is_sound = [], True
    for name, start, end in png.chunks(data):
        if name == b"IDAT":
            # The checksum covers the name and the content.
            body = memoryview(data)[start - 4 : end]
            bodies.append(body[4:])
            checksum = data[end : end + 4]
            is_sound &= len(checksum) < 4 or zlib.crc32(body) == int.from_bytes(checksum, "big")
        elif bodies:
            break
    # Some writers store wrong checksums of chunks, but the pixels have a checksum of their own.
    return None if is_sound or _fits_checksum(bodies, needs_end=True) else _UNFIT


def _fits_checksum(
    bodies: Iterable[memoryview], needs_end: bool, most_bytes: int = sys.maxsize
) -> bool:
    """Whether data compressed by zlib fit the checksum at their end.

    Args:
      bodies: parts of the data, in order.
      needs_end: whether a missing end is an error.
      most_bytes: maximum size of decompressed data without an end.
    """
    reader, size = zlib.decompressobj(), 0
    try:
        for body in bodies:
            while len(body) and not reader.eof and size <= 2 * most_bytes + _CHUNK_SIZE:
                size += len(reader.decompress(body, _CHUNK_SIZE))
                body = reader.unconsumed_tail
    except zlib.error:
        return False
    return reader.eof or not (needs_end or size > most_bytes)


def _webp_pictures(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and size of the chunks of a WebP file's coded pictures (RFC 9649, section 2)."""
    # The header of the file has twelve bytes.
    offset = 12
    while offset + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, offset)
        if name == b"ANMF":
            # Position, size and duration of a frame come first, then the chunks of its picture.
            size = 16
        elif name in (b"VP8 ", b"VP8L"):
            yield name, offset + 8, size
        offset += 8 + size + size % 2
