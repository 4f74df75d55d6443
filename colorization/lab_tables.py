"""L* and a*b* of uint8 pictures by table, in NumPy: less than half the time of TensorFlow's ops.

What every photo of every epoch goes through is worth it, and what is done photo by photo outside
of a graph. The standards and their numbers are those of `lab_convert`.
"""

from __future__ import annotations

import numpy as np

from lab_convert import RATIOS_FROM_RGB

_RATIOS = RATIOS_FROM_RGB.astype(np.float32)
_KNEE = np.float32((6 / 29) ** 3)


def _linear(levels: int) -> np.ndarray:
    """Linear light of the sRGB values 0/levels .. levels/levels (IEC 61966-2-1)."""
    values = np.arange(levels + 1) / levels
    curve = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return curve.astype(np.float32)


_LINEAR = _linear(255)
_LINEAR_OF_FOUR = _linear(4 * 255)
# What each value of red, green and blue adds to Y / Yn.
_LUMINANCE = _RATIOS[1][:, None] * _LINEAR


def lightness(picture: np.ndarray) -> np.ndarray:
    """L* of uint8 RGB `[height, width, 3]`: 0..100, float32 `[height, width, 1]`."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    luminance = _LUMINANCE[0].take(red, mode="clip")
    luminance += _LUMINANCE[1].take(green, mode="clip")
    luminance += _LUMINANCE[2].take(blue, mode="clip")
    values = _cube_root(luminance)
    values *= 116
    values -= 16
    return values[..., None]


def chroma(picture: np.ndarray) -> np.ndarray:
    """a*b* of uint8 RGB `[height, width, 3]`: CIE units, float32 `[height, width, 2]`."""
    linear = _LINEAR.take(picture.reshape(-1, 3).T, mode="clip")
    return _chroma(linear).reshape(*picture.shape[:2], 2)


def halved_chroma(picture: np.ndarray) -> np.ndarray:
    """a*b* of the picture at half its size, each pixel the mean of the sRGB values of four.

    Takes uint8 RGB `[height, width, 3]`, both even. Returns CIE units, float32
    `[height / 2, width / 2, 2]`.
    """
    height, width, _ = picture.shape
    rows = np.add(picture[0::2], picture[1::2], dtype=np.uint16).reshape(-1, 6)
    # Channel by channel: NumPy is slow where the last axis is short.
    sums = np.stack([rows[:, channel] + rows[:, channel + 3] for channel in range(3)])
    return _chroma(_LINEAR_OF_FOUR.take(sums, mode="clip")).reshape(height // 2, width // 2, 2)


def code(ab: np.ndarray, scale: float) -> np.ndarray:
    """`lab_convert.encode_chroma`: sigmoid(ab / scale), float32 in 0..1."""
    values = ab * np.float32(-1 / scale)
    # Far below zero the exponential is infinite and the code zero, as it should be.
    with np.errstate(over="ignore"):
        np.exp(values, out=values)
    values += 1
    return np.reciprocal(values, out=values)


def is_gray(picture: np.ndarray) -> bool:
    """Whether every a* and b* value of uint8 RGB `[height, width, 3]` lies between -1 and 1."""
    # One pixel with colour settles it, and a sparse sample mostly has one.
    return all((np.abs(chroma(part)) < 1).all() for part in (picture[::16, ::16], picture))


def _chroma(linear: np.ndarray) -> np.ndarray:
    """a*b* `[pixels, 2]` of linear light `[3, pixels]`; formulas in `lab_convert.rgb_to_lab`."""
    # Not a matrix product: for three numbers, its threads would wait longer than they work.
    ratios = _RATIOS[:, :1] * linear[0]
    ratios += _RATIOS[:, 1:2] * linear[1]
    ratios += _RATIOS[:, 2:] * linear[2]
    x, y, z = _cube_root(ratios)
    ab = np.empty([linear.shape[1], 2], np.float32)
    x -= y
    np.multiply(x, 500, out=ab[:, 0])
    y -= z
    np.multiply(y, 200, out=ab[:, 1])
    return ab


def _cube_root(ratios: np.ndarray) -> np.ndarray:
    """f(t) of CIE 15:2004, see `lab_convert.rgb_to_lab`; overwrites its argument."""
    line = np.minimum(ratios - _KNEE, 0)
    line *= np.float32(841 / 108)
    np.maximum(ratios, _KNEE, out=ratios)
    np.log(ratios, out=ratios)
    ratios *= np.float32(1 / 3)
    np.exp(ratios, out=ratios)
    ratios += line
    return ratios
