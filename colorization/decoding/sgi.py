"""Rows of compressed SGI files (Silicon Graphics, "The SGI Image File Format", version 1.00)."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

# Size of the header in bytes.
HEADER = 512


def is_compressed(data: bytes) -> bool:
    """Whether the rows of an SGI file are run lengths."""
    return data[2] == 1


def rows(data: bytes) -> list[tuple[int, int]]:
    """Start and size of the rows, from the table after the header."""
    height, channels = struct.unpack_from(">HH", data, 8)
    count = height * max(1, channels)
    table = np.frombuffer(data, ">u4", 2 * count, HEADER).tolist()
    return list(zip(table[:count], table[count:], strict=True))


def end_rows(picture: Image.Image, data: bytes) -> None:
    """Ends all rows with zeros, which Pillow needs although the table of sizes makes them optional.

    Args:
      picture: opened, not loaded yet.
      data: its file.
    """
    row_places = rows(data) if is_compressed(data) else []
    if not row_places or any(start + size > len(data) for start, size in row_places):
        return
    # The fourth byte is the number of bytes of a sample, and the zero has as many. A second zero
    # does no harm.
    terminator = bytes(data[3])
    # Rows are longest if every run is a single pixel.
    max_size = 2 * picture.width * len(terminator)
    ended_rows = [
        data[start : start + min(size, max_size)] + terminator for start, size in row_places
    ]
    sizes = np.array([len(row) for row in ended_rows])
    starts = HEADER + 8 * len(ended_rows) + np.cumsum(sizes) - sizes
    table = np.concatenate([starts, sizes]).astype(">u4").tobytes()
    picture.fp = io.BytesIO(data[:HEADER] + table + b"".join(ended_rows))
