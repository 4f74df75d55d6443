"""FITS files, of which Pillow takes bytes in the wrong order and leaves the scale out."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from colorization.decoding.deep import Samples
from colorization.decoding.refusals import unread_kind
from colorization.errors import UnreadablePhoto

# Bytes of a block, of which headers have a whole number.
_BLOCK = 2880
_CARD = re.compile(rb"(BITPIX|BSCALE|BZERO|NAXIS3) *= *([^ /]+)")
# What follows a file without a picture of its own, but for those with one (section 7).
_TABLE = re.compile(rb"XTENSION= *'(?!IMAGE)")
# What further pictures begin with (section 7.1).
_FURTHER = b"XTENSION= 'IMAGE"
# Types of samples by the number that stands in the header (FITS standard 4.0, table 8).
_TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


def read_samples(picture: Image.Image, data: bytes) -> Samples:
    """The samples of a picture that Pillow has opened, scaled as the header says.

    Args:
      picture: not loaded yet.
      data: its file.

    Raises:
      UnreadablePhoto: it is compressed, has several planes, or is a table.
    """
    decoder, _, begin, _ = picture.tile[0]
    # Exponents may be written with the letter of Fortran (section 4.2.4).
    header = {name: float(value.replace(b"D", b"E")) for name, value in _CARD.findall(data[:begin])}
    if decoder != "raw" or header.get(b"NAXIS3", 1) != 1 or _TABLE.search(data[:begin]):
        raise UnreadablePhoto(unread_kind("FITS", "compressed, of several planes, or a table"))
    # Pillow takes short data for a part of the header, which ends with a block.
    begin += -begin % _BLOCK
    kind = np.dtype(_TYPES[int(header[b"BITPIX"])])
    width, height = picture.size
    values = np.frombuffer(data, kind, width * height, begin).reshape(height, width, 1)[::-1]
    scale, zero = header.get(b"BSCALE", 1), header.get(b"BZERO", 0)
    if kind.kind != "f" and scale == 1 and zero == 2 ** (8 * kind.itemsize - 1):
        # Unsigned integers are stored so (section 5.3): their first bit is turned.
        unsigned = np.dtype(f"u{kind.itemsize}")
        values = values.astype(kind.newbyteorder("=")).view(unsigned) ^ unsigned.type(int(zero))
    elif (scale, zero) != (1, 0):
        values = values * scale + zero
    return Samples(values.astype(values.dtype.newbyteorder("=")))


def has_further(picture: Image.Image, data: bytes) -> bool:
    """Whether another picture follows the one that Pillow has opened, but not loaded yet."""
    begins = range(picture.tile[0].offset // _BLOCK * _BLOCK, len(data), _BLOCK)
    return any(data.startswith(_FURTHER, begin) for begin in begins)
