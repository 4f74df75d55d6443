"""Netpbm's formats PBM, PGM and PPM, of which files may hold several pictures."""

from __future__ import annotations

import re

from PIL import Image

_NEXT = re.compile(rb"\s*P[1-6]\s+[\d#]")


def has_further(picture: Image.Image, data: bytes) -> bool:
    """Whether another picture follows the first one.

    Args:
      picture: opened, not loaded yet.
      data: its file.
    """
    decoder, _, begin, args = picture.tile[0]
    # A plain file holds one only, and of floats there are no further ones.
    if decoder == "ppm_plain" or picture.mode == "F":
        return False
    highest = args[1] if isinstance(args, tuple) else 255
    deep = highest > 255 or args == "I;16B"
    samples = picture.width * len(picture.getbands())
    row = -(-samples // 8) if picture.mode == "1" else samples * (1 + deep)
    return bool(_NEXT.match(data, begin + row * picture.height))
