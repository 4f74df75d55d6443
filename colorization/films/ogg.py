"""Pages of Ogg files (RFC 3533, 6), which tell what is missing where FFmpeg passes over it."""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

_MARK = b"OggS"
# The flag of a track's last page.
_LAST = 4
_HEADER_SIZE = 27
# Each byte with its bits the other way round.
REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Page(NamedTuple):
    """A page; `number` counts those of its track."""

    track: int
    number: int
    is_last: bool


def missing_from_ogg(path: str) -> list[str]:
    """Describes in a few words each thing that is missing from an Ogg file."""
    next_numbers: dict[int, int] = {}
    ended: dict[int, bool] = {}
    lost = 0
    for page in _sound_pages(path):
        lost += max(0, page.number - next_numbers.get(page.track, page.number))
        next_numbers[page.track] = page.number + 1
        ended[page.track] = page.is_last
    missing = [f"{lost:,} of its pages are missing or damaged"] if lost else []
    # A broadcast that was recorded has no last page either.
    return missing if all(ended.values()) else [*missing, "its end may be missing"]


def _sound_pages(path: str) -> Iterator[_Page]:
    """The pages of a file that are not damaged."""
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        offset = content.find(_MARK)
        while offset >= 0:
            header = content[offset : offset + _HEADER_SIZE].ljust(_HEADER_SIZE, b"\0")
            flags, track, number, checksum, parts = struct.unpack("<5xB8x3IB", header)
            end = offset + _HEADER_SIZE + parts
            end += sum(content[offset + _HEADER_SIZE : end])
            page = content[offset:end]
            is_sound = len(page) == end - offset and _checksum(page) == checksum
            if is_sound:
                yield _Page(track, number, bool(flags & _LAST))
            offset = content.find(_MARK, end if is_sound else offset + 1)


def _checksum(page: bytes) -> int:
    """The checksum of a page: a CRC whose bits run the other way round than those of zlib's."""
    page = page[:22] + bytes(4) + page[26:]
    crc = zlib.crc32(page.translate(REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
