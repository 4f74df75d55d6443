"""JPEG 2000 files whose samples have fewer than 8 bits, which Pillow makes too dark."""

from __future__ import annotations

from PIL import Image

# Markers at the start of a codestream, and the offset of the number of components after them; three
# bytes for each component follow (ISO/IEC 15444-1, A.5.1).
_START, _COUNT = b"\xff\x4f\xff\x51", 40
_MODES = ("L", "LA", "RGB", "RGBA")


def widen(picture: Image.Image, data: bytes) -> None:
    """Scales samples, which Pillow has shifted to 8 bits, so that the highest becomes 255.

    Args:
      picture: loaded.
      data: its file.
    """
    offset = data.find(_START) + _COUNT
    count = int.from_bytes(data[offset : offset + 2], "big")
    # A byte holds the number of bits less one; its first bit means that samples are signed.
    depths = [byte + 1 for byte in data[offset + 2 : offset + 2 + 3 * count : 3]]
    bands = picture.split()
    if picture.mode in _MODES and count == len(bands) and min(depths) < 8:
        scaled = map(_scaled, bands, depths)
        picture.paste(Image.merge(picture.mode, list(scaled)))


def _scaled(band: Image.Image, bits: int) -> Image.Image:
    if bits >= 8:
        return band
    highest = 2**bits - 1
    return band.point(
        [(255 * (level >> 8 - bits) + highest // 2) // highest for level in range(256)]
    )
