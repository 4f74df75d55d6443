"""JPEG XL files, of which Pillow's plugin takes the bytes of deep grays with alpha for pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image

from colorization.decoding.deep import Samples

# Types of samples, and the value of alpha that is opaque, by the bytes of a gray and its alpha.
_DEEP = {4: (np.uint16, 2**16 - 1), 8: (np.float32, 1)}


def read_samples(picture: Image.Image) -> Samples | None:
    """The samples of grays with alpha of more than 8 bits; None if it is something else.

    Args:
      picture: opened by Pillow, which decodes such files right then.
    """
    decoded = getattr(picture, "_data", b"")
    size = len(decoded) // (picture.width * picture.height)
    if picture.mode != "LA" or size not in _DEEP:
        return None
    dtype, opaque = _DEEP[size]
    values = np.frombuffer(decoded, dtype).reshape(picture.height, picture.width, 2)
    return Samples(values[..., :1], alpha=values[..., 1], alpha_white=opaque)
