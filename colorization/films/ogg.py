"""Pages of Ogg files (RFC 3533, 6), which tell what is missing where FFmpeg passes over it."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from typing import NamedTuple

from colorization.films.crc import reversed_crc

_MARK = b"OggS"
# The flag of a track's last page.
_LAST = 4
_HEADER_SIZE = 27


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
            # The checksum counts as zeros in itself.
            checked = page[:22] + bytes(4) + page[26:]
            is_sound = len(page) == end - offset and reversed_crc(checked, 0) == checksum
            if is_sound:
                yield _Page(track, number, bool(flags & _LAST))
            offset = content.find(_MARK, end if is_sound else offset + 1)
