"""JPEG XL files: Pillow's plugin takes the bytes of deep grays with alpha for pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image

from colorization.decoding.samples import Samples

# Bytes of a gray and its alpha -> type of samples, and the alpha of opaque pixels.
_DEEP = {4: (np.uint16, 2**16 - 1), 8: (np.float32, 1)}


def read_samples(picture: Image.Image) -> Samples | None:
    """The samples of a gray picture with alpha and more than 8 bits; None for other pictures.

    Args:
      picture: opened by Pillow, which decodes such files on opening.
    """
    decoded = getattr(picture, "_data", b"")
    size = len(decoded) // (picture.width * picture.height)
    if picture.mode != "LA" or size not in _DEEP:
        return None
    dtype, opaque = _DEEP[size]
    values = np.frombuffer(decoded, dtype).reshape(picture.height, picture.width, 2)
    return Samples(values[..., :1], alpha=values[..., 1], alpha_white=opaque)
