"""JPEG XL files: what Pillow's plugin misreads in them.

It takes the bytes of deep grays with alpha for pixels, and shows the last picture of an animation.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from colorization.decoding.boxes import boxes
from colorization.decoding.samples import Samples

_CODESTREAM = b"\xff\x0a"
# Numbers of bits that a height or a width may take, if it is a multiple of 8 and if not, of the
# picture and of its preview (ISO/IEC 18181-1, D.2 and D.3).
_SIZE, _PREVIEW_SIZE = ((5,), (9, 13, 18, 30)), ((0, 0, 5, 9), (6, 8, 10, 12))
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


def is_animation(data: bytes) -> bool:
    """Whether a file says that its pictures follow each other in time (ISO/IEC 18181-1, D.3)."""
    bits = _Bits(_codestream(data)[len(_CODESTREAM) :])
    bits.skip_size(*_SIZE)
    is_default = bits.take(1)
    if is_default or not bits.take(1):
        return False
    bits.take(3)  # orientation
    if bits.take(1):  # intrinsic size
        bits.skip_size(*_SIZE)
    if bits.take(1):
        bits.skip_size(*_PREVIEW_SIZE)
    return bool(bits.take(1))


def _codestream(data: bytes) -> bytes:
    """The codestream, or its first part, of a file with or without boxes."""
    if data.startswith(_CODESTREAM):
        return data
    for name, start, end in boxes(data, 0, len(data)):
        if name in (b"jxlc", b"jxlp"):
            # A part begins with its number.
            return data[start + 4 * (name == b"jxlp") : end]
    return b""


class _Bits:
    """Numbers at the beginning of a codestream, their lowest bits first; zeros after its end."""

    def __init__(self, data: bytes) -> None:
        self._rest = int.from_bytes(data[:64], "little")

    def take(self, count: int) -> int:
        value = self._rest & ((1 << count) - 1)
        self._rest >>= count
        return value

    def skip_size(self, small_lengths: tuple, lengths: tuple) -> None:
        lengths = small_lengths if self.take(1) else lengths
        for is_width in (False, True):
            # The width may follow from the height.
            if is_width and self.take(3):
                return
            self.take(lengths[self.take(2) if len(lengths) > 1 else 0])
