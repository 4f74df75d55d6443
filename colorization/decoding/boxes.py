"""Boxes of ISO base media files (ISO/IEC 14496-12), in which HEIC, AVIF and JPEG 2000 come."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of each box in a range of bytes."""
    while start + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            header = 16
        box_end = end if size == 0 else min(end, start + size)
        if box_end < start + header:
            return
        yield name, start + header, box_end
        start = box_end
