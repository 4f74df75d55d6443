"""Finds pictures that are scrambled: recordings of pay television, and copies of protected DVDs.

FFmpeg passes over scrambled packets of a transport stream without a word, and takes those of a DVD
for pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from colorization.films.file_end import transport_packets
from colorization.films.source import container_name, film_path, main_pictures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer

# Bytes that are read at a time, in which the packets of a transport stream keep their places.
_BLOCK = 2**22
# The first bit of those in a packet's header that say how it is scrambled (ISO/IEC 13818-1,
# 2.4.3.3), and the bit that says that it is damaged.
_SCRAMBLED, _DAMAGED = 0x80, 0x80
# Sectors of DVDs each hold a pack, whose header has this many bytes. The header of the packet in
# it follows: two bits of its seventh byte say how it is scrambled (2.4.3.7).
_SECTOR, _PACK_HEADER, _SCRAMBLED_IN_PACK = 2048, 14, 0x30


def scrambled_share(film: InputContainer) -> float:
    """Share of the packets with a film's pictures that are scrambled; reads the whole file."""
    path, number = film_path(film), main_pictures(film).id
    if container_name(film) == "mpegts":
        counts = [_count_in_transport(block, number) for block in _blocks(path)]
    elif container_name(film) == "mpeg":
        counts = [_count_in_sectors(block, number & 0xFF) for block in _blocks(path)]
    else:
        return 0.0
    scrambled, total = np.sum(counts, axis=0)
    return float(scrambled / max(total, 1))


def _blocks(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _count_in_transport(block: bytes, number: int) -> tuple[int, int]:
    """Numbers of scrambled and of all packets of a track, given by its number (PID)."""
    start, size = transport_packets(block)
    if not size:
        return 0, 0
    count = (len(block) - start) // size
    packets = np.frombuffer(block, np.uint8, count * size, start).reshape(count, size)
    numbers = (packets[:, 1] & 0x1F).astype(np.int16) << 8 | packets[:, 2]
    is_own = (numbers == number) & (packets[:, 0] == ord("G")) & (packets[:, 1] & _DAMAGED == 0)
    return np.count_nonzero(packets[is_own, 3] & _SCRAMBLED), np.count_nonzero(is_own)


def _count_in_sectors(block: bytes, number: int) -> tuple[int, int]:
    """Numbers of scrambled and of all sectors of a track, given by the end of its start code."""
    sectors = np.frombuffer(block, np.uint8, len(block) // _SECTOR * _SECTOR).reshape(-1, _SECTOR)
    headers = sectors[:, _PACK_HEADER:]
    starts_pack = (sectors[:, :4] == (0, 0, 1, 0xBA)).all(1)
    is_own = starts_pack & (headers[:, :4] == (0, 0, 1, number)).all(1)
    return np.count_nonzero(headers[is_own, 6] & _SCRAMBLED_IN_PACK), np.count_nonzero(is_own)
