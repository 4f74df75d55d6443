"""The items of HEIC and AVIF files: pictures and what belongs to them.

One item, the primary one, is the picture to show. Properties belong to items, and references say
which item is part of which (ISO/IEC 23008-12, sections 6 and 9; ISO/IEC 14496-12, section 8.11).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from colorization.decoding.boxes import boxes

# Types of items that hold coded pictures: HEVC and AV1.
_CODED = (b"hvc1", b"av01")
# Types of items that are made of others: tiles, layers, a turned or cropped copy.
_DERIVED = (b"grid", b"iovl", b"iden")
_HIDDEN = 1
# References from what belongs to another picture: masks and depths, and small copies.
_BELONGS = (b"auxl", b"thmb")
# References to the parts that a picture is made of.
_MADE_OF = b"dimg"
# An entry of the item information box: version, flags, number and protection, then its type.
_EXIF_ITEM = re.compile(rb"(infe.{8}(?:..)?)Exif", re.DOTALL)
# Raised for boxes that are missing, cut short or nonsense.
PARSE_ERRORS = (ArithmeticError, LookupError, struct.error)


@dataclass(frozen=True)
class _Item:
    number: int
    kind: bytes
    is_hidden: bool


def coded_parts(data: bytes) -> list[tuple[int, int]]:
    """Start and size of the parts of a HEIC or AVIF file that hold coded pictures.

    Raises:
      Any of `PARSE_ERRORS`: the boxes are missing, cut short or nonsense.
    """
    meta = _meta(data)
    coded = {item.number for item in _items(data, *meta[b"iinf"]) if item.kind in _CODED}
    return [part for number, part in _locations(data, meta[b"iloc"][0]) if number in coded]


def count_pictures(data: bytes) -> int:
    """Number of the pictures in a file that stand for themselves.

    Raises:
      Any of `PARSE_ERRORS`: the boxes are missing, cut short or nonsense.
    """
    meta = _meta(data)
    parts = {_primary_item(data, meta)}
    for name, source, targets in _references(data, meta):
        if name in _BELONGS:
            parts.add(source)
        elif name == _MADE_OF:
            parts.update(targets)
    further = [
        item.number
        for item in _items(data, *meta[b"iinf"])
        if item.kind in _CODED + _DERIVED and not item.is_hidden and item.number not in parts
    ]
    return 1 + len(further)


def clean_aperture(data: bytes, width: int, height: int) -> tuple[int, int, int, int] | None:
    """The part of the primary picture that is to be shown, before it is turned.

    It is stated by its size, and by how far its middle lies from that of the picture (ISO/IEC
    14496-12, section 12.1.4).

    Args:
      data: the file.
      width, height: of the picture in pixels.

    Returns:
      Left, top, right and bottom edge in pixels; None if all is to be shown.

    Raises:
      Any of `PARSE_ERRORS`: the boxes are missing, cut short or nonsense.
    """
    meta = _meta(data)
    for name, start, _ in _properties(data, meta, _primary_item(data, meta)):
        if name == b"clap":
            numbers = struct.unpack_from(">IIIIiIiI", data, start)
            across, down, right, below = (
                numerator / denominator
                for numerator, denominator in zip(numbers[::2], numbers[1::2], strict=True)
            )
            left, top = round((width - across) / 2 + right), round((height - down) / 2 + below)
            edges = left, top, left + round(across), top + round(down)
            # Viewers show all of a picture whose aperture goes beyond it.
            if 0 <= left < edges[2] <= width and 0 <= top < edges[3] <= height:
                return edges
    return None


def color_numbers(data: bytes) -> tuple[int, int] | None:
    """Numbers in H.273 of the primaries and of the transfer that the primary picture states.

    Other pictures in the file, such as the brighter one for HDR screens, state their own.

    Raises:
      Any of `PARSE_ERRORS`: the boxes are missing, cut short or nonsense.
    """
    meta = _meta(data)
    primary = _primary_item(data, meta)
    parts = (
        targets[0]
        for name, source, targets in _references(data, meta)
        if name == _MADE_OF and source == primary and targets
    )
    # What is made of tiles may leave it to them.
    for item in (primary, *parts):
        for name, start, _ in _properties(data, meta, item):
            if name == b"colr" and data.startswith(b"nclx", start):
                return struct.unpack_from(">HH", data, start + 4)
    return None


def without_exif(data: bytes) -> bytes:
    """The file with the type of its EXIF data changed to one that no reader knows."""
    return _EXIF_ITEM.sub(rb"\1free", data)


def _meta(data: bytes) -> dict[bytes, tuple[int, int]]:
    """Start and end of the content of each box about the items, by name."""
    for name, start, end in boxes(data, 0, len(data)):
        if name == b"meta":
            return {inner: span for inner, *span in boxes(data, start + 4, end)}
    raise LookupError("no items")


def _items(data: bytes, start: int, end: int) -> Iterator[_Item]:
    """The items, from the content of the item information box."""
    # Version and flags, then the number of entries, of 16 bits in version 0.
    for name, entry, _ in boxes(data, start + (6 if data[start] == 0 else 8), end):
        if name == b"infe":
            # Item number and protection come before the type; in version 3, the number has 32 bits.
            layout = ">H2x4s" if data[entry] < 3 else ">I2x4s"
            number, kind = struct.unpack_from(layout, data, entry + 4)
            yield _Item(number, kind, is_hidden=bool(data[entry + 3] & _HIDDEN))


def _primary_item(data: bytes, meta: dict[bytes, tuple[int, int]]) -> int:
    start, _ = meta[b"pitm"]
    return struct.unpack_from(">H" if data[start] == 0 else ">I", data, start + 4)[0]


def _references(
    data: bytes, meta: dict[bytes, tuple[int, int]]
) -> Iterator[tuple[bytes, int, tuple[int, ...]]]:
    """Kind of each reference, the item that refers, and those that it refers to."""
    start, end = meta.get(b"iref", (0, 0))
    if start == end:
        return
    width, letter = (2, "H") if data[start] == 0 else (4, "I")
    for name, inner, _ in boxes(data, start + 4, end):
        source, count = struct.unpack_from(f">{letter}H", data, inner)
        yield name, source, struct.unpack_from(f">{count}{letter}", data, inner + width + 2)


def _properties(
    data: bytes, meta: dict[bytes, tuple[int, int]], item: int
) -> Iterator[tuple[bytes, int, int]]:
    """Boxes of the properties of an item, as `boxes` gives them."""
    properties = []
    for name, start, end in boxes(data, *meta[b"iprp"]):
        if name == b"ipco":
            properties = list(boxes(data, start, end))
        elif name == b"ipma":
            # Numbers count from 1; 0 stands for none.
            yield from (properties[n - 1] for n in _property_numbers(data, start, item) if n)


def _property_numbers(data: bytes, start: int, wanted: int) -> list[int]:
    """Numbers of an item's properties, from the content of a box of associations."""
    version, has_wide_numbers = data[start], data[start + 3] & 1
    (count,) = struct.unpack_from(">I", data, start + 4)
    offset = start + 8
    for _ in range(count):
        item, length = struct.unpack_from(">HB" if version == 0 else ">IB", data, offset)
        offset += 3 if version == 0 else 5
        numbers = struct.unpack_from(f">{length}{'H' if has_wide_numbers else 'B'}", data, offset)
        if item == wanted:
            # The first bit says whether a reader must know the property.
            return [number & (0x7FFF if has_wide_numbers else 0x7F) for number in numbers]
        offset += length * (2 if has_wide_numbers else 1)
    return []


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
