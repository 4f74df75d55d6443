"""What files hold, by their headers, before they are read whole or decoded."""

from __future__ import annotations

import io
import math
import os
from typing import BinaryIO

from PIL import Image

from colorization.decoding import psd, tiff_pages
from colorization.decoding.file_kinds import START, begins_as_picture
from colorization.decoding.refusals import ABOVE_LIMIT, refuse_large, why_unknown
from colorization.errors import UnreadablePhoto

# Size in bytes above which the header of a file is checked first; few photos are as large.
LARGE = 2**29
# Maximum size of a file, the range of TIFF's 32-bit offsets. The largest picture, with four
# channels of 32 bits, takes half of it, which leaves room for layers and further pages.
MAX_BYTES = 2**32
# Beginnings of JPEG XL files. Pillow's plugin decodes them as soon as it opens them, so that their
# size is guessed: at good quality, there are about so many pixels a byte.
_JPEG_XL = b"\xff\x0a", b"\x00\x00\x00\x0cJXL "
_JPEG_XL_PIXELS = 4


def refuse_large_file(file: BinaryIO) -> None:
    """Refuses a large file that is no picture, or whose pictures are all too large.

    Args:
      file: at its beginning, where it is left again.

    Raises:
      UnreadablePhoto: says what it is.
    """
    file.seek(0, os.SEEK_END)
    size = file.tell()
    file.seek(0)
    if size <= LARGE:
        return
    sizes = _sizes(file)
    if sizes:
        refuse_large(*min(sizes, key=math.prod))
    if size > MAX_BYTES:
        raise UnreadablePhoto(
            f"a file of {size / 2**30:.1f} GiB, above the limit of {MAX_BYTES / 2**30:g}; save the "
            "photo alone, without layers and other pages"
        )
    # Seeking the end first empties the buffer, to which the whole file would be appended.
    file.seek(0, os.SEEK_END)
    file.seek(0)


def rough_pixels(data: bytes) -> int:
    """About how many pixels a photo has, of several pages the largest, without decoding it.

    Args:
      data: the file's bytes. If no header tells, as in most cameras' raw files, each byte counts
        as a pixel.
    """
    if data.startswith(_JPEG_XL):
        return _JPEG_XL_PIXELS * len(data)
    try:
        return max(map(math.prod, _sizes(io.BytesIO(data))), default=len(data))
    # What is no photo is refused when it is read.
    except UnreadablePhoto:
        return len(data)


def _sizes(file: BinaryIO) -> list[tuple[int, int]]:
    """Width and height of the pictures, if the header states them; else empty."""
    start = file.read(START)
    file.seek(0)
    try:
        if tiff_pages.is_tiff(start):
            return tiff_pages.sizes(file)
        if psd.is_document(start):
            return [psd.size(start)]
        with Image.open(file) as picture:
            return [picture.size]
    except Image.DecompressionBombError as error:
        raise UnreadablePhoto(ABOVE_LIMIT) from error
    # Other errors of a picture are reported when it is read.
    except Exception as error:
        if not begins_as_picture(start):
            raise UnreadablePhoto(why_unknown(start)) from error
        return []
