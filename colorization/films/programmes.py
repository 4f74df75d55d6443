"""Programmes of a transport stream (ISO/IEC 13818-1): tuners may record several in one file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from colorization.films.crc import reversed_crc
from colorization.films.file_end import transport_packets
from colorization.films.source import LOOK_AHEAD, container_name, film_path

if TYPE_CHECKING:
    from av import VideoStream
    from av.container import InputContainer
    from av.stream import Stream

# Tables that list the programmes, and the tracks of one (2.4.4.4, table 2-31).
_PROGRAMMES_TABLE, _TRACKS_TABLE = 0, 2
_PACKET_SIZE = 188


def own_tracks(film: InputContainer, pictures: VideoStream) -> list[Stream]:
    """All tracks but those that are known to belong only to other programmes than the pictures."""
    programmes = _programmes(film_path(film)) if container_name(film) == "mpegts" else []
    own = [numbers for numbers in programmes if pictures.id in numbers]
    if not own:
        return list(film.streams)
    foreign = set().union(*programmes) - set().union(*own)
    return [track for track in film.streams if track.id not in foreign]


def _programmes(path: str) -> list[set[int]]:
    """For each programme at the beginning of a file, the numbers (PID) of its tracks."""
    with open(path, "rb") as file:
        start, size = transport_packets(file.read(2**16))
    if not size:
        return []
    content = np.memmap(path, np.uint8, mode="r")[start : start + LOOK_AHEAD]
    packets = content[: len(content) // size * size].reshape(-1, size)
    numbers = (packets[:, 1] & 0x1F).astype(np.int16) << 8 | packets[:, 2]
    tables = {
        # Four bytes for each programme: its number, and that of packets with its table (2.4.4.3).
        _number(section, entry + 2)
        for section in _sections(packets[numbers == 0], _PROGRAMMES_TABLE)
        for entry in range(8, len(section) - 7, 4)
    }
    programmes: defaultdict[bytes, set[int]] = defaultdict(set)
    for table in tables:
        for section in _sections(packets[numbers == table], _TRACKS_TABLE):
            # Behind the descriptions of the programme, a type, a number and descriptions of each
            # track (2.4.4.8).
            entry = 12 + (_number(section, 10) & 0xFFF)
            while entry < len(section) - 8:
                programmes[section[3:5]].add(_number(section, entry + 1))
                entry += 5 + (_number(section, entry + 3) & 0xFFF)
    return list(programmes.values())


def _number(section: bytes, offset: int) -> int:
    """The number of 13 bits at the end of two bytes."""
    return int.from_bytes(section[offset : offset + 2], "big") & 0x1FFF


def _sections(packets: np.ndarray, table: int) -> Iterator[bytes]:
    """The undamaged sections of a table (2.4.3.2 and 2.4.4).

    Args:
      packets: all with the same number, uint8 `[count, size]`.
      table: its identifier.
    """
    pending = b""
    for packet in map(bytes, packets):
        # An adaptation field may come first.
        payload = packet[4 + (1 + packet[4] if packet[3] & 0x20 else 0) : _PACKET_SIZE]
        parts = [payload]
        if packet[1] & 0x40 and payload:
            start = 1 + payload[0]
            parts = [payload[1:start], payload[start:]]
        # The rest of the section before, and the beginning of a new one.
        for number, part in enumerate(parts):
            pending = part if number else pending + part
            while len(pending) >= (size := 3 + (_number(pending, 1) & 0xFFF)):
                section, pending = pending[:size], pending[size:]
                # A CRC over a section and its own CRC (annex A) leaves nothing.
                if section[0] == table and reversed_crc(section, 0xFFFFFFFF) == 0:
                    yield section
