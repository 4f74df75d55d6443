"""Whether files of pictures are whole: decoders make pictures of broken ones, too.

A broken download often has the right size, but zeros where bytes have not arrived. In formats that
do not compress, these are a black part of the picture like any other.
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

from colorization.decoding import jpeg, png, sgi
from colorization.decoding.boxes import coded_parts

_QOI_END = bytes(7) + b"\x01"
_QOI_HEADER = 14
# TIFF's numbers of compressions.
_FAX_3, _FAX_4, _JPEG, _DEFLATE = (2, 3, 32771), 4, 7, (8, 32946)
# Zeros among coded pixels that no encoder writes, as each byte stands for something new.
_ZEROS, _OTHER = bytes(64), b"\x55" * 64
# Formats that may be uncompressed, and zeros at the end from which on they are mentioned.
_UNCOMPRESSED = ("BMP", "DDS", "DIB", "IM", "PCX", "PPM", "PSD", "SGI", "SUN", "TGA", "TIFF")
_FEWEST_BLACK = 1024
# Those of them that may begin with the lowest row.
_FROM_BELOW = ("BMP", "DIB", "SGI", "TGA")
# Pixels at the end of the last row that so many zeros stand for at least; and level of 255 up to
# which these are black, of which a profile may make a dark gray.
_LAST_PIXELS, _DARK = 64, 32
# Lossy WebP: the pixels of a picture for each zero that may stand at its end, the fewest even ones
# that each of many zeros stands for, and the most that a colour varies in an even row.
_PIXELS_OF_ZERO, _LEAST_OF_ZERO, _EVEN = 2048, 256, 8
# Bytes at the end of a picture that decoders need.
_FEW = 8
_MANY_ZEROS, _LONG_FILLING = re.compile(rb"\0{64,}"), re.compile(rb"\0{512,}")
_CUT = "image file is truncated"
_ZEROED = "parts of it are zeros; bring a whole copy"
_UNFIT = "its checksum does not fit; bring a whole copy"
# Bytes that are decompressed at once to check them.
_PIECE = 2**20


def why_broken(data: bytes, kind: str) -> str | None:
    """Says why a file that can be decoded is broken all the same; None if it is whole.

    Args:
      data: the file.
      kind: Pillow's name of its format.
    """
    if kind == "JPEG":
        if jpeg.end_of_pixels(data) < 0 or jpeg.lacks_scans(data):
            return _CUT
        zeros = jpeg.zeros_among_pixels(data)
        return _ZEROED if zeros and _differ(data, _with_other(data, *zeros)) else None
    if kind == "PNG":
        return _of_png(data)
    if kind == "QOI":
        if _QOI_END not in data[_QOI_HEADER:]:
            return "its end is missing"
        # Zeros may follow the end, as disks hand out whole sectors.
        return _zeros_in(data, [(_QOI_HEADER, len(data.rstrip(b"\0")))])
    if kind == "SGI" and sgi.is_compressed(data):
        places = sgi.rows(data)
        return _zeros_in(data, [(sgi.HEADER, 8 * len(places)), *places])
    # Zeros are a black block, but the smaller copies of a picture at the end are seldom black.
    copies = int.from_bytes(data[28:32], "little")
    if kind == "DDS" and data[84:88].strip(b"\0") and copies > 1 and not any(data[-256:]):
        return _ZEROED
    if kind in ("HEIF", "AVIF"):
        with contextlib.suppress(struct.error, IndexError):
            return _zeros_in(data, coded_parts(data))
    return None


def why_smeared(data: bytes, picture: Image.Image) -> str | None:
    """The same of a file whose picture has been loaded."""
    if picture.format in ("JPEG", "MPO"):
        # Decoders make an even gray of what is missing.
        last = np.asarray(picture.crop((picture.width - 1, picture.height - 1, *picture.size)))
        end = jpeg.end_of_pixels(data)
        gray = (abs(last - 127.5) < 1).all()
        return _CUT if gray and _differ(data, data[:end] + _OTHER + data[end:]) else None
    return _why_webp_smeared(data, picture) if picture.format == "WEBP" else None


def _why_webp_smeared(data: bytes, picture: Image.Image) -> str | None:
    start, size = next(_webp_pictures(data, 12), (0, 0))
    coded = data[start : start + size]
    # An even part is coded as zeros, too.
    longest = max(map(len, _MANY_ZEROS.findall(coded)), default=0)
    if data[start - 8 : start - 4] == b"VP8L":
        broken = longest and not _differ(data, _without_end(data, start, start + size))
    else:
        broken = _is_lossy_smeared(coded, longest, picture)
    return _ZEROED if broken else None


def _without_end(data: bytes, start: int, end: int) -> bytes:
    """A WebP file whose coded picture lacks its last bytes.

    Decoders of lossless pictures fail then, unless they have gone astray and do not come that far.
    """
    riff, size = (length - _FEW for length in (int.from_bytes(data[4:8], "little"), end - start))
    before = data[:4] + struct.pack("<I", riff) + data[8 : start - 4] + struct.pack("<I", size)
    return before + data[start : end - _FEW] + data[end:]


def _is_lossy_smeared(coded: bytes, longest: int, picture: Image.Image) -> bool:
    # A part that is coded as zeros is even across or down.
    if longest:
        grays = np.asarray(picture.convert("L"))
        even = (grays[1:, 1:] == grays[1:, :-1]) | (grays[1:, 1:] == grays[:-1, 1:])
        if np.count_nonzero(even) < _LEAST_OF_ZERO * longest:
            return True
    # Where they are many at the end, but the lowest row has several colours, the decoder has
    # smeared what was above over the part that is missing.
    zeros = len(coded) - len(coded.rstrip(b"\0"))
    if zeros <= max(len(_ZEROS), picture.width * picture.height // _PIXELS_OF_ZERO):
        return False
    row = picture.crop((0, picture.height - 1, *picture.size)).convert("RGB")
    return any(high - low > _EVEN for low, high in row.getextrema())


def doubt(data: bytes, kind: str, image: Image.Image) -> str | None:
    """What the user should hear of a file whose end is zeros, which may be a black part of it.

    Args:
      data: the file.
      kind: Pillow's name of the format.
      image: what it shows, before it is turned upright: of mode RGB, L or I;16.
    """
    tail = data[-max(_FEWEST_BLACK, len(data) // 64) :]
    if kind not in _UNCOMPRESSED or len(data) < 2 * _FEWEST_BLACK or any(tail):
        return None
    # Zeros may be white, or stand behind the picture.
    left, right, lowest = max(0, image.width - _LAST_PIXELS), image.width, image.height - 1
    rows = (0, lowest) if kind in _FROM_BELOW else (lowest,)
    ends = (np.asarray(image.crop((left, row, right, row + 1)))[0] for row in rows)
    darkest = min(end.reshape(right - left, -1).max(axis=0).min() for end in ends)
    if darkest > (257 * _DARK if image.mode == "I;16" else _DARK):
        return None
    return "its end is zeros, so that it is black there, or not whole"


def why_strips_broken(
    data: bytes,
    parts: Sequence[tuple[int, int]],
    compression: int,
    most_bytes: int,
    tables: bytes = b"",
) -> str | None:
    """The same of the strips or tiles of a TIFF file.

    Args:
      data: the file.
      parts: beginning and size of each.
      compression: TIFF's number of it.
      most_bytes: of a strip or tile when decompressed.
      tables: of JPEG that all of them share, between its markers of beginning and end.
    """
    bodies = [memoryview(data)[start : start + size] for start, size in parts]
    # Decoders need no checksum at the end, but zeros in its place are amiss.
    if compression in _DEFLATE and not all(
        _fits_checksum([body], not any(body[-len(_ZEROS) :]), most_bytes)
        for body in bodies
        if len(body)
    ):
        return _UNFIT
    if compression in (*_FAX_3, _FAX_4):
        # Zeros may fill up lines a little, and what follows the last one.
        filling, other = (_MANY_ZEROS if compression == _FAX_4 else _LONG_FILLING), bytearray(data)
        for start, size in parts:
            for zeros in filling.finditer(data, start, start + size):
                other[slice(*zeros.span())] = b"\x55" * len(zeros[0])
        return _ZEROED if other != data and _differ(data, other) else None
    if compression == _JPEG:
        return next(filter(None, (_why_jpeg_broken(body, tables) for body in bodies)), None)
    return None


def _with_other(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + b"\x55" * (end - start) + data[end:]


def _differ(data: bytes, other: bytes) -> bool:
    """Whether two files show different pictures."""
    try:
        with Image.open(io.BytesIO(data)) as picture, Image.open(io.BytesIO(other)) as changed:
            return picture.tobytes() != changed.tobytes()
    except OSError:
        return True


def _why_jpeg_broken(body: memoryview, tables: bytes) -> str | None:
    """The same of a strip or tile, whose end marker writers may leave out, or fill up behind it."""
    whole = bytes(body[:2]) + tables[2:-2] + bytes(body[2:])
    if jpeg.end_of_pixels(whole) < 0:
        whole = whole.rstrip(b"\0").removesuffix(b"\xff") + jpeg.END
    if jpeg.unread_process(whole) is None:
        with contextlib.suppress(OSError), Image.open(io.BytesIO(whole), formats=["JPEG"]) as part:
            # The last blocks' means alone are looked at.
            part.draft(None, (1, 1))
            part.load()
            return why_broken(whole, "JPEG") or why_smeared(whole, part)
    return None


def _zeros_in(data: bytes, parts: Iterable[tuple[int, int]]) -> str | None:
    """Says so if bytes of coded pixels, given by beginning and size of their parts, are missing."""
    if any(data.find(_ZEROS, start, start + size) >= 0 for start, size in parts):
        return _ZEROED
    return None


def _of_png(data: bytes) -> str | None:
    """Compares the checksums of a PNG file's pixels (ISO/IEC 15948, 5.3 and 10.1)."""
    bodies, fits = [], True
    for name, start, end in png.chunks(data):
        if name == b"IDAT":
            # The checksum is that of the name and the content.
            body = memoryview(data)[start - 4 : end]
            bodies.append(body[4:])
            checksum = data[end : end + 4]
            fits &= len(checksum) < 4 or zlib.crc32(body) == int.from_bytes(checksum, "big")
        elif bodies:
            break
    # Writers exist whose chunks have wrong checksums, but the pixels have one of their own.
    return None if fits or _fits_checksum(bodies, ended=True) else _UNFIT


def _fits_checksum(
    bodies: Iterable[memoryview], ended: bool, most_bytes: int = sys.maxsize
) -> bool:
    """Whether what zlib has compressed has the checksum that it tells at its end.

    Args:
      bodies: one after the other.
      ended: whether it is amiss when the end is missing.
      most_bytes: when decompressed, which is not overstepped without an end.
    """
    reader, size = zlib.decompressobj(), 0
    try:
        for body in bodies:
            while len(body) and not reader.eof and size <= 2 * most_bytes + _PIECE:
                size += len(reader.decompress(body, _PIECE))
                body = reader.unconsumed_tail
    except zlib.error:
        return False
    return reader.eof or not (ended or size > most_bytes)


def _webp_pictures(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Beginning and size of a WebP file's coded pictures (RFC 9649, section 2)."""
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"ANMF":
            # Chunks lie in it behind place, size and duration of a frame.
            size = 16
        elif name in (b"VP8 ", b"VP8L"):
            yield at + 8, size
        at += 8 + size + size % 2
