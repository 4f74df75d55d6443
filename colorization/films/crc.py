"""The CRC of Ogg and of transport streams: zlib's polynomial, its bits the other way round."""

from __future__ import annotations

import zlib

# Each byte with its bits the other way round.
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def reversed_crc(data: bytes, start: int) -> int:
    """The CRC-32 of polynomial 0x04C11DB7, the highest bit first, without a final complement.

    Args:
      data: to check.
      start: value before the first byte: 0, or 0xFFFFFFFF; their bits are the same in either order.
    """
    crc = zlib.crc32(data.translate(_REVERSED_BITS), start ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
