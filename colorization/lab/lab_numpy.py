"""L* and a*b* of uint8 pictures in NumPy, with tables: twice as fast as TensorFlow's ops.

These functions prepare photos for training, merge and measure them, outside of any graph. The
reference is `lab_convert`, which follows the same standards; `tests/test_lab_numpy.py` compares the
two.
"""

from __future__ import annotations

import numpy as np

# Linear sRGB (IEC 61966-2-1) to X / Xn, Y / Yn and Z / Zn for illuminant D65. The numbers of
# `lab_convert` are repeated so that opening photos does not import TensorFlow.
RATIOS_FROM_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
) / np.array([[0.95047], [1.0], [1.08883]])

_RATIOS = RATIOS_FROM_RGB.astype(np.float32)
_KNEE = np.float32((6 / 29) ** 3)


def linear(levels: int) -> np.ndarray:
    """Linear light of the sRGB values 0/levels .. levels/levels (IEC 61966-2-1)."""
    values = np.arange(levels + 1) / levels
    curve = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return curve.astype(np.float32)


_LINEAR = linear(255)
_LINEAR_OF_FOUR = linear(4 * 255)

_LOW_BYTES = np.uint32(0x00FF_00FF)

# Tables are indexed by linear light and its ratios as uint16 counts, where ONE stands for 1.0.
# 65534 leaves room for rounding in sums.
ONE = 65534

_LUMINANCE = ONE * RATIOS_FROM_RGB[1][:, None] * _LINEAR
_RED_AND_GREEN = np.rint(_LUMINANCE[0] + _LUMINANCE[1][:, None]).astype(np.uint16).reshape(-1)
_RED, _GREEN, _BLUE = np.rint(_LUMINANCE).astype(np.uint16)


def _root(ratios: np.ndarray) -> np.ndarray:
    """f(t) of CIE 15:2004, see `lab_convert.rgb_to_lab`."""
    return np.where(ratios > _KNEE, np.cbrt(ratios), 841 / 108 * ratios + 16 / 116)


def _srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB values in 0..1 of linear light in 0..1 (IEC 61966-2-1)."""
    curve = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(linear > 0.0031308, curve, 12.92 * linear)


# Tables over the counts 0..65535: linear light, f(t), L* in eight bits.
_COUNTS = np.arange(2**16) / ONE
_CUBE_ROOT = _root(_COUNTS).astype(np.float32)
_LIGHTNESS = np.rint(2.55 * (116 * _root(_COUNTS) - 16)).clip(0, 255).astype(np.uint8)
# sRGB values in eight bits of truncated counts.
_ENCODED = np.rint(255 * _srgb(_COUNTS + 0.5 / ONE)).clip(0, 255).astype(np.uint8)
# Luminance in counts, and f(luminance), of each gray.
_GRAYS = {
    name: (ONE * linear(levels), _root(linear(levels)).astype(np.float32))
    for name, levels in (("uint8", 2**8 - 1), ("uint16", 2**16 - 1))
}


def lightness_bytes(pixels: np.ndarray) -> np.ndarray:
    """L* in eight bits.

    Args:
      pixels: uint8 `[height, width, 4]`: red, green, blue and a byte that is ignored.

    Returns:
      255 / 100 L*, rounded, uint8 `[height, width]`.
    """
    # Red and green are adjacent in memory, so that one look-up with 16 bits serves both.
    luminance = _RED_AND_GREEN.take(pixels.view("<u2")[..., 0], mode="clip")
    luminance += _BLUE.take(pixels[..., 2], mode="clip")
    return _LIGHTNESS.take(luminance, mode="clip")


def luminance_and_root(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luminance, which merging keeps, and its root, from which L* = 116 root - 16.

    Args:
      pixels: uint8 RGB `[height, width, 3]`, or grays `[height, width, 1]` of uint8 or uint16.

    Returns:
      Y / Yn in counts, 0..ONE, and f(Y / Yn), see `lab_convert.rgb_to_lab`; both float32
      `[height, width]`.
    """
    if pixels.shape[2] == 1:
        tables = _GRAYS[pixels.dtype.name]
        return tuple(table.take(pixels[..., 0], mode="clip") for table in tables)
    luminance = _luminance(pixels)
    root = _CUBE_ROOT.take(luminance, mode="clip")
    return luminance.astype(np.float32), root


def gray_bytes(pixels: np.ndarray) -> np.ndarray:
    """The grays of the same lightness, uint8 `[height, width]`, of uint8 RGB with a third axis."""
    return _ENCODED.take(_luminance(pixels), mode="clip")


def encoded(linear: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """sRGB values, uint8 or uint16, of linear light in counts, float32, clipped to 0..ONE."""
    if dtype == np.uint8:
        return _ENCODED.take(linear.astype(np.intp), mode="clip")
    return np.rint(np.iinfo(dtype).max * _srgb(linear.clip(0, ONE) / ONE)).astype(dtype)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """sRGB values of uint16 `[rows, ...]` in eight bits, rounded; row by row, to save memory."""
    result = np.empty(values.shape, np.uint8)
    for row, line in enumerate(values):
        result[row] = (line.astype(np.uint32) + 128) // 257
    return result


def _luminance(pixels: np.ndarray) -> np.ndarray:
    """Y / Yn of uint8 RGB `[height, width, 3]` in counts, uint16 `[height, width]`."""
    luminance = _RED.take(pixels[..., 0], mode="clip")
    luminance += _GREEN.take(pixels[..., 1], mode="clip")
    luminance += _BLUE.take(pixels[..., 2], mode="clip")
    return luminance


def chroma(picture: np.ndarray) -> np.ndarray:
    """a*b* of uint8 RGB `[height, width, 3]`: CIE units, float32 `[height, width, 2]`."""
    linear = _LINEAR.take(picture.reshape(-1, 3).T, mode="clip")
    return _chroma(linear).reshape(*picture.shape[:2], 2)


def halved_chroma_bytes(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a* and b* in eight bits at half the size, each pixel the mean of the sRGB values of four.

    Args:
      pixels: as for `lightness_bytes`; height and width even.

    Returns:
      a* + 128 and b* + 128, rounded, each uint8 `[height / 2, width / 2]`.
    """
    height, width, _ = pixels.shape
    packed = pixels.view("<u4")[..., 0]
    red_and_blue = _sums_of_four(packed & _LOW_BYTES)
    green = _sums_of_four((packed >> np.uint32(8)) & _LOW_BYTES)
    sums = red_and_blue[:, 0], green[:, 0], red_and_blue[:, 1]
    linear = np.stack([_LINEAR_OF_FOUR.take(channel, mode="clip") for channel in sums])
    ratios = _ratios(linear)
    ratios *= ONE
    ratios += 0.5
    x, y, z = _CUBE_ROOT.take(ratios.astype(np.uint16), mode="clip")
    x -= y
    x *= 500
    y -= z
    y *= 200
    a, b = ((plane + 128.5).astype(np.uint8).reshape(height // 2, width // 2) for plane in (x, y))
    return a, b


def is_gray(picture: np.ndarray) -> bool:
    """Whether every a* and b* value of uint8 RGB `[height, width, 3]` lies between -1 and 1."""
    # A single pixel with colour decides, and a sparse sample usually holds one.
    return all((np.abs(chroma(pixels)) < 1).all() for pixels in (picture[::16, ::16], picture))


def _chroma(linear: np.ndarray) -> np.ndarray:
    """a*b* `[pixels, 2]` of linear light `[3, pixels]`; formulas in `lab_convert.rgb_to_lab`."""
    x, y, z = _cube_root(_ratios(linear))
    ab = np.empty([linear.shape[1], 2], np.float32)
    x -= y
    np.multiply(x, 500, out=ab[:, 0])
    y -= z
    np.multiply(y, 200, out=ab[:, 1])
    return ab


def _sums_of_four(pairs: np.ndarray) -> np.ndarray:
    """Sums over squares of four pixels, uint16 `[pixels, 2]`; each uint32 holds two numbers."""
    rows = pairs[0::2] + pairs[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]).view("<u2").reshape(-1, 2)


def _ratios(linear: np.ndarray) -> np.ndarray:
    """X/Xn, Y/Yn and Z/Zn, float32 `[3, pixels]`, of linear light."""
    # This is no matrix product, because for three numbers its threads would wait longer than they
    # work.
    ratios = _RATIOS[:, :1] * linear[0]
    ratios += _RATIOS[:, 1:2] * linear[1]
    ratios += _RATIOS[:, 2:] * linear[2]
    return ratios


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
