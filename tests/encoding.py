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


def odd_tiff(values: np.ndarray) -> bytes:
    """A sound photo with a text beyond the file's end: Pillow warns of it, and tifffile logs it."""
    data = tiff(values, extratags=[(33432, "s", 0, "(c) nobody at all", True)])
    entry = data.index(struct.pack("<HH", 33432, 2))
    return data[: entry + 8] + struct.pack("<I", 2**31 - 1) + data[entry + 12 :]


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


def sgi(values: np.ndarray, end: bytes = b"\0") -> bytes:
    """A compressed SGI file ("The SGI Image File Format", version 1.00), its lowest row first.

    Args:
      values: `[height, width, channels]`, uint8 or uint16.
      end: what stands behind the runs of a row, none of which repeats a pixel.
    """
    height, width, channels = values.shape
    size = values.itemsize
    header = struct.pack(
        ">HBBHHHH", 474, 1, size, 3 if channels > 1 else 2, width, height, channels
    )
    stored = np.moveaxis(values[::-1], 2, 0).reshape(-1, width).astype(f">u{size}")
    rows = []
    for row in stored:
        runs = (row[at : at + 127] for at in range(0, width, 127))
        coded = ((0x80 | len(run)).to_bytes(size, "big") + run.tobytes() for run in runs)
        rows.append(b"".join(coded) + end)
    starts = 512 + 8 * len(rows) + len(rows[0]) * np.arange(len(rows))
    table = struct.pack(f">{2 * len(rows)}I", *starts.tolist(), *map(len, rows))
    return header.ljust(512, b"\0") + table + b"".join(rows)
