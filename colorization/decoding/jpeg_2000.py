"""JPEG 2000 files whose samples have fewer than 8 bits, of which Pillow makes too dark ones."""

from __future__ import annotations

from PIL import Image

# Markers that a codestream begins with, and the place of the number of components behind them,
# of which each has three bytes (ISO/IEC 15444-1, A.5.1).
_START, _COUNT = b"\xff\x4f\xff\x51", 40
_MODES = ("L", "LA", "RGB", "RGBA")


def widen(picture: Image.Image, data: bytes) -> None:
    """Scales samples, which Pillow has shifted to 8 bits, so that the highest becomes 255.

    Args:
      picture: loaded.
      data: its file.
    """
    at = data.find(_START) + _COUNT
    count = int.from_bytes(data[at : at + 2], "big")
    # The first bit tells that they are signed, the others their bits less one.
    depths = [byte + 1 for byte in data[at + 2 : at + 2 + 3 * count : 3]]
    bands = picture.split()
    if picture.mode in _MODES and count == len(bands) and min(depths) < 8:
        scaled = map(_scaled, bands, depths)
        picture.paste(Image.merge(picture.mode, list(scaled)))


def _scaled(band: Image.Image, bits: int) -> Image.Image:
    if bits >= 8:
        return band
    most = 2**bits - 1
    return band.point([(255 * (level >> 8 - bits) + most // 2) // most for level in range(256)])
