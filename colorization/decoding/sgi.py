"""Rows of compressed SGI files (Silicon Graphics, "The SGI Image File Format", version 1.00)."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

HEADER = 512


def is_compressed(data: bytes) -> bool:
    """Whether the rows of an SGI file are run lengths."""
    return data[2] == 1


def rows(data: bytes) -> list[tuple[int, int]]:
    """Beginning and size of the rows, as the table behind the header tells them."""
    height, channels = struct.unpack_from(">HH", data, 8)
    count = height * max(1, channels)
    table = np.frombuffer(data, ">u4", 2 * count, HEADER).tolist()
    return list(zip(table[:count], table[count:], strict=True))


def end_rows(picture: Image.Image, data: bytes) -> None:
    """Has Pillow read rows to the ends that the table tells, whether or not a zero is there.

    Args:
      picture: opened, not loaded yet.
      data: its file.
    """
    places = rows(data) if is_compressed(data) else []
    if not places or any(start + size > len(data) for start, size in places):
        return
    # In rows of 16 bits, the zero has as many. A second one harms nothing.
    end = bytes(data[3])
    # A run of one pixel is as much longer as it can get.
    longest = 2 * picture.width * len(end)
    parts = [data[start : start + min(size, longest)] + end for start, size in places]
    sizes = np.array([len(part) for part in parts])
    starts = HEADER + 8 * len(parts) + np.cumsum(sizes) - sizes
    table = np.concatenate([starts, sizes]).astype(">u4").tobytes()
    picture.fp = io.BytesIO(data[:HEADER] + table + b"".join(parts))
