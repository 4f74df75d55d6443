"""Pictures as the bytes of a file."""

import io
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image


def encoded(picture: Image.Image, kind: str, **settings) -> bytes:
    """By Pillow; its name of the format, and what its encoder takes."""
    with io.BytesIO() as file:
        picture.save(file, kind, **settings)
        return file.getvalue()


def tiff(values: np.ndarray, **settings) -> bytes:
    """By tifffile, whatever the type of the samples."""
    with io.BytesIO() as file:
        tifffile.imwrite(file, values, **{"metadata": None, **settings})
        return file.getvalue()


def png_chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG file (ISO/IEC 15948, 5.3)."""
    checksum = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + checksum


def plain_png(
    width: int, height: int, color_type: int, depth: int, rows: bytes, *chunks: bytes
) -> bytes:
    """A PNG file by the book (ISO/IEC 15948), as Pillow writes none of 16 bits in colour.

    Args:
      rows: each of them a byte for its filter, and its samples.
      chunks: that stand before the pixels.
    """
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    pixels = png_chunk(b"IDAT", zlib.compress(rows))
    parts = [png_chunk(b"IHDR", header), *chunks, pixels, png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
