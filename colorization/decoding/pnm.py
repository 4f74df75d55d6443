"""Netpbm's formats PBM, PGM and PPM, whose files may hold several pictures."""

from __future__ import annotations

import re

from PIL import Image

# Beginning of a further picture.
_NEXT = re.compile(rb"\s*P[1-6]\s+[\d#]")


def has_further(picture: Image.Image, data: bytes) -> bool:
    """Whether another picture follows the first one.

    Args:
      picture: opened, not loaded yet.
      data: its file.
    """
    decoder, _, pixels_start, args = picture.tile[0]
    # Plain files and those of floats hold a single picture.
    if decoder == "ppm_plain" or picture.mode == "F":
        return False
    highest = args[1] if isinstance(args, tuple) else 255
    has_16_bits = highest > 255 or args == "I;16B"
    samples = picture.width * len(picture.getbands())
    row_size = -(-samples // 8) if picture.mode == "1" else samples * (1 + has_16_bits)
    return bool(_NEXT.match(data, pixels_start + row_size * picture.height))
