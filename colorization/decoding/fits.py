"""FITS files, whose bytes Pillow reads in the wrong order and without their scale."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from colorization.decoding.refusals import unread_kind
from colorization.decoding.samples import Samples
from colorization.errors import UnreadablePhoto

# Size of a block in bytes; headers are a whole number of blocks, which consist of cards.
_BLOCK, _CARD_SIZE = 2880, 80
# A card that says how pixels are stored: its keyword and value. Remarks may hold the like.
_STORAGE = re.compile(rb"(BITPIX|BSCALE|BZERO|NAXIS3) *= *([^ /]+)")
# A card of an extension that holds no picture (section 7).
_TABLE = re.compile(rb"XTENSION= *'(?!IMAGE)")
# The beginning of a further picture (section 7.1).
_NEXT_PICTURE = b"XTENSION= 'IMAGE"
# BITPIX -> type of samples (FITS standard 4.0, table 8).
_TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


def read_samples(picture: Image.Image, data: bytes) -> Samples:
    """The samples of a picture, scaled as the header says.

    Args:
      picture: opened, not loaded yet.
      data: its file.

    Raises:
      UnreadablePhoto: it is compressed, has several planes, or is a table.
    """
    decoder, _, pixels_start, _ = picture.tile[0]
    cards = [data[start : start + _CARD_SIZE] for start in range(0, pixels_start, _CARD_SIZE)]
    # Exponents may be written with Fortran's D (section 4.2.4).
    header = {
        card[1]: float(card[2].replace(b"D", b"E")) for card in map(_STORAGE.match, cards) if card
    }
    if decoder != "raw" or header.get(b"NAXIS3", 1) != 1 or any(map(_TABLE.match, cards)):
        raise UnreadablePhoto(unread_kind("FITS", "compressed, of several planes, or a table"))
    # Where fewer than 80 bytes of pixels follow, the offset of Pillow lies before the header's end.
    pixels_start += -pixels_start % _BLOCK
    dtype = np.dtype(_TYPES[int(header[b"BITPIX"])])
    width, height = picture.size
    pixels = np.frombuffer(data, dtype, width * height, pixels_start)
    values = pixels.reshape(height, width, 1)[::-1]
    scale, zero = header.get(b"BSCALE", 1), header.get(b"BZERO", 0)
    if dtype.kind != "f" and scale == 1 and zero == 2 ** (8 * dtype.itemsize - 1):
        # This is how unsigned integers are stored, with their first bit inverted (section 5.3).
        unsigned = np.dtype(f"u{dtype.itemsize}")
        values = values.astype(dtype.newbyteorder("=")).view(unsigned) ^ unsigned.type(int(zero))
    elif (scale, zero) != (1, 0):
        values = values * scale + zero
    return Samples(values.astype(values.dtype.newbyteorder("=")))


def has_further(picture: Image.Image, data: bytes) -> bool:
    """Whether another picture follows the first one.

    Args:
      picture: opened, not loaded yet.
      data: its file.
    """
    starts = range(picture.tile[0].offset // _BLOCK * _BLOCK, len(data), _BLOCK)
    return any(data.startswith(_NEXT_PICTURE, start) for start in starts)
