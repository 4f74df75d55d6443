"""Boxes of ISO base media files (ISO/IEC 14496-12), in which HEIC, AVIF and JPEG 2000 come."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

# Types of items that hold coded pictures: HEVC and AV1.
_CODED = (b"hvc1", b"av01")
# An entry of the item information box: version, flags, number and protection, then its type.
_EXIF_ITEM = re.compile(rb"(infe.{8}(?:..)?)Exif", re.DOTALL)


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


def coded_parts(data: bytes) -> list[tuple[int, int]]:
    """Start and size of the parts of a HEIC or AVIF file that hold coded pictures.

    They are listed in the item location and information boxes (ISO/IEC 14496-12, section 8.11).

    Raises:
      struct.error, IndexError: the boxes are cut short.
    """
    parts: list[tuple[int, int]] = []
    for name, start, end in boxes(data, 0, len(data)):
        if name == b"meta":
            inner = {name: span for name, *span in boxes(data, start + 4, end)}
            if b"iinf" in inner and b"iloc" in inner:
                coded = _coded_items(data, *inner[b"iinf"])
                located = _locations(data, inner[b"iloc"][0])
                parts += [part for item, part in located if item in coded]
    return parts


def without_exif(data: bytes) -> bytes:
    """The file with the type of its EXIF data changed to one that no reader knows."""
    return _EXIF_ITEM.sub(rb"\1free", data)


def _coded_items(data: bytes, start: int, end: int) -> set[int]:
    """Numbers of the items that hold coded pictures, from the item information box."""
    # Version and flags, then the number of entries, of 16 bits in version 0.
    entries_start = start + (6 if data[start] == 0 else 8)
    items = set()
    for name, entry, _ in boxes(data, entries_start, end):
        # Item number and protection come before the type; in version 3, the number has 32 bits.
        layout = ">H2x4s" if data[entry] < 3 else ">I2x4s"
        number, kind = struct.unpack_from(layout, data, entry + 4)
        if name == b"infe" and kind in _CODED:
            items.add(number)
    return items


def _locations(data: bytes, start: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Number of an item, and start and size of a part of it, for items in the file itself.

    Args:
      data: the file.
      start: of the content of the item location box.

    Raises:
      IndexError: the box is cut short.
    """
    version, offset = data[start], start + 6
    offset_size, length_size = data[start + 4] >> 4, data[start + 4] & 15
    base_size, index_size = data[start + 5] >> 4, data[start + 5] & 15

    def read_number(size: int) -> int:
        nonlocal offset
        offset += size
        if offset > len(data):
            raise IndexError("cut short")
        return int.from_bytes(data[offset - size : offset], "big")

    for _ in range(read_number(2 if version < 2 else 4)):
        item = read_number(2 if version < 2 else 4)
        # Method 0 counts from the start of the file.
        is_in_file = version == 0 or read_number(2) & 15 == 0
        # The number of the file that holds the item is passed over.
        read_number(2)
        base = read_number(base_size)
        for _ in range(read_number(2)):
            # The index of the part is passed over.
            read_number(index_size if version else 0)
            part_start, part_size = base + read_number(offset_size), read_number(length_size)
            if is_in_file:
                yield item, (part_start, part_size)
