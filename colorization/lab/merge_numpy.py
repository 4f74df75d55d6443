"""Merging in NumPy, with tables: five times as fast as TensorFlow's ops.

The reference is `model.merge_ops`, which exported models use because they have no Python;
`tests/test_merge_numpy.py` compares the two. All cores work on the strips of a large picture.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from colorization.lab import lab_numpy
from colorization.lab.lab_numpy import RATIOS_FROM_RGB
from colorization.machine import cores

# Window radius of the guided filter in pixels of the chroma, and the squared step of L* below which
# an edge does not count; both tuned with benchmarks/upsampling.py.
GUIDE_RADIUS = 1
GUIDE_EPSILON = 300.0

# Matrices to linear RGB in counts: from X / Xn and Z / Zn, which are ratios, and from Y / Yn, which
# is in counts already.
_RGB_FROM_XZ = (lab_numpy.ONE * np.linalg.inv(RATIOS_FROM_RGB)[:, ::2]).astype(np.float32)
_RGB_FROM_Y = np.linalg.inv(RATIOS_FROM_RGB)[:, 1].astype(np.float32)
# Factors that turn a* and b* into f(X / Xn) - f(Y / Yn) and f(Z / Zn) - f(Y / Yn), CIE 15:2004.
_ROOT_FROM_CHROMA = np.array([[1 / 500], [-1 / 200]], np.float32)
_DELTA = np.float32(6 / 29)
# Distance from 0..1, in counts, up to which linear light is a rounding error and not outside sRGB.
_ROUNDING = 1e-4 * lab_numpy.ONE

# Number of pixels from which on threads are worth their cost.
_THREADING_PIXELS = 2**20
# Pixels of a strip. Small strips stay in a core's cache between steps. Threads get larger ones,
# because they wait for each other after each step.
_STRIP_PIXELS = 2**17
_THREADED_STRIP_PIXELS = 2**18
# With fewer colours outside sRGB in a strip than this, each call of NumPy tries several factors.
_FEW_COLORS = 2**11


def small_lightness(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The network's input for a picture; as `merge_ops.small_lightness`, but rounded to bytes.

    Args:
      pixels: uint8 RGB `[height, width, 3]`, or grays `[height, width, 1]` of uint8 or uint16.
      size: height and width; shrinking averages (bilinear with antialiasing).

    Returns:
      L* in 0..100, float32 `[*size, 1]`.
    """
    # Averaging whole blocks first halves the time and hardly changes the result.
    height, width, _ = pixels.shape
    down, across = max(1, height // (4 * size[0])), max(1, width // (4 * size[1]))
    picture = _reduced(pixels, down, across)
    box = (0, 0, width / across, height / down)
    small = picture.resize(size[::-1], Image.Resampling.BILINEAR, box)
    if picture.mode == "F":
        small = np.rint(np.asarray(small)).clip(0, 65535).astype(np.uint16)
    _, root = lab_numpy.luminance_and_root(np.atleast_3d(small))
    return (116 * root - 16)[..., None]


def _reduced(pixels: np.ndarray, down: int, across: int) -> Image.Image:
    """Means over blocks of `down` x `across` pixels; smaller blocks at the far edges."""

    def picture(rows: np.ndarray) -> Image.Image:
        if rows.dtype == np.uint16:
            return Image.fromarray(rows[..., 0].astype(np.float32))
        return Image.fromarray(rows if rows.shape[2] == 3 else rows[..., 0])

    if down == across == 1:
        return picture(pixels)
    # Pillow copies its input, and allocating a copy of the whole picture would take most of the
    # time. Strips need little memory.
    height, width, _ = pixels.shape
    step = down * max(1, _STRIP_PIXELS // (down * width))
    strips = (pixels[start : start + step] for start in range(0, height, step))
    reduced = [np.asarray(picture(strip).reduce((across, down))) for strip in strips]
    return Image.fromarray(np.concatenate(reduced))


def gray(pixels: np.ndarray) -> np.ndarray:
    """The picture without its colours: grays `[height, width]` of the same lightness, uint8.

    Takes uint8 RGB `[height, width, 3]`.
    """
    result = np.empty(pixels.shape[:2], np.uint8)
    for strip in _strips(*result.shape, _STRIP_PIXELS):
        result[strip] = lab_numpy.gray_bytes(pixels[strip])
    return result


def merge(pixels: np.ndarray, lightness: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Colours a picture at its own size, keeping its lightness; as `merge_ops.merge`.

    Args:
      pixels: uint8 RGB `[height, width, 3]`, or grays `[height, width, 1]` of uint8 or uint16.
      lightness: of the picture at twice the size of the chroma, float32 `[2 * rows, 2 * columns,
        1]`, as `small_lightness` gives it.
      chroma: a*b* in CIE units, float32 `[rows, columns, 2]`.

    Returns:
      RGB `[height, width, 3]` of the picture's dtype; colours that sRGB cannot show have lost
      chroma, never lightness.
    """
    height, width, _ = pixels.shape
    result = np.empty([height, width, 3], pixels.dtype)
    rows, columns, _ = chroma.shape
    coefficients = _guided_coefficients(lightness[..., 0], np.moveaxis(chroma, -1, 0))
    coefficients = _over_root(coefficients)
    # Rows are enlarged first, for the whole picture, then columns strip by strip.
    coefficients = coefficients.transpose(2, 0, 1).reshape(columns, -1)
    across = _interpolated(coefficients, slice(0, width), width)
    lines = np.ascontiguousarray(across.T).reshape(rows, 4 * width)

    def work(strip: slice) -> None:
        enlarged = _interpolated(lines, strip, height).reshape(-1, 4, width)
        _merge_strip(pixels[strip], enlarged, result[strip])

    if height * width < _THREADING_PIXELS:
        for strip in _strips(height, width, _STRIP_PIXELS):
            work(strip)
    else:
        for _ in _threads(os.getpid()).map(work, _strips(height, width, _THREADED_STRIP_PIXELS)):
            pass
    return result


@functools.cache
def _threads(process: int) -> ThreadPoolExecutor:
    """The threads that work on large pictures, the same ones for all pictures of a process.

    They stay behind in a fork, which has another number and gets its own.
    """
    return ThreadPoolExecutor(cores())


def _guided_coefficients(lightness: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """`upsample.guided_coefficients` of the merging: slopes and offsets of a* and b* over L*.

    Args:
      lightness: float32 `[2 * rows, 2 * columns]`.
      chroma: float32 `[2, rows, columns]`.

    Returns:
      float32 `[rows, 4, columns]`.
    """
    guide = lightness[0::2] + lightness[1::2]
    guide = (guide[:, 0::2] + guide[:, 1::2]) * np.float32(0.25)
    pixels_in_window = _window_sums(np.ones_like(guide))

    def mean(planes: np.ndarray) -> np.ndarray:
        return _window_sums(planes) / pixels_in_window

    centred = guide - guide.mean()
    mean_guide = mean(centred)
    variance = np.maximum(mean(centred * centred) - mean_guide * mean_guide, 0)
    covariance = mean(centred * chroma) - mean_guide * mean(chroma)
    slope = mean(covariance / (variance + np.float32(GUIDE_EPSILON)))
    return np.concatenate([slope, chroma - slope * guide]).swapaxes(0, 1)


def _over_root(coefficients: np.ndarray) -> np.ndarray:
    """Slopes and offsets of f(X / Xn) and f(Z / Zn) over f(Y / Yn) = (L* + 16) / 116.

    Takes and returns float32 `[rows, 4, columns]`.
    """
    slopes, offsets = coefficients[:, :2], coefficients[:, 2:]
    slopes, offsets = slopes * _ROOT_FROM_CHROMA, (offsets - 16 * slopes) * _ROOT_FROM_CHROMA
    return np.concatenate([1 + 116 * slopes, offsets], axis=1)


def _window_sums(planes: np.ndarray) -> np.ndarray:
    """Sums over the windows of `GUIDE_RADIUS` around each pixel of `[..., rows, columns]`."""
    for axis in (-1, -2):
        planes = planes.swapaxes(-1, axis)
        sums = planes.copy()
        for shift in range(1, GUIDE_RADIUS + 1):
            sums[..., shift:] += planes[..., :-shift]
            sums[..., :-shift] += planes[..., shift:]
        planes = sums.swapaxes(-1, axis)
    return planes


def _strips(height: int, width: int, pixels: int) -> Iterator[slice]:
    step = max(1, pixels // width)
    return (slice(start, min(start + step, height)) for start in range(0, height, step))


def _interpolated(lines: np.ndarray, rows: slice, whole: int) -> np.ndarray:
    """Some rows of `lines`, float32 `[size, n]`, enlarged to `whole` as `upsample.interpolation`.

    A matrix product would be slower: for so few numbers, its threads wait longer than they work.
    """
    size = len(lines)
    positions = (np.arange(rows.start, rows.stop) + 0.5) * (size / whole) - 0.5
    nearest = np.floor(positions).astype(np.intp)[:, None] + np.arange(-1, 3)
    x = np.abs(positions[:, None] - nearest)
    inner_weights = (1.5 * x - 2.5) * x * x + 1
    outer_weights = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(
        (nearest < 0) | (nearest >= size), 0, np.where(x < 1, inner_weights, outer_weights)
    )
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    nearest = nearest.clip(0, size - 1)
    result = lines[nearest[:, 0]]
    result *= weights[:, :1]
    for line in range(1, 4):
        weighted_line = lines[nearest[:, line]]
        weighted_line *= weights[:, line : line + 1]
        result += weighted_line
    return result


def _merge_strip(pixels: np.ndarray, coefficients: np.ndarray, result: np.ndarray) -> None:
    """Merges a strip of the picture; `_over_root` gives the coefficients, `[height, 4, width]`."""
    luminance, root = lab_numpy.luminance_and_root(pixels)
    slopes_and_offsets = np.moveaxis(coefficients, 1, 0)
    roots = slopes_and_offsets[:2] * root
    roots += slopes_and_offsets[2:]
    linear = _linear_rgb(luminance, roots)
    outside = np.flatnonzero(_outside_srgb(linear))
    if outside.size:
        outside_values = (values.take(outside) for values in (luminance, root))
        fitting = _fitting(*outside_values, roots.reshape(2, -1).take(outside, axis=1))
        linear.reshape(3, -1)[:, outside] = fitting
    for channel, plane in enumerate(lab_numpy.encoded(linear, result.dtype)):
        result[..., channel] = plane


def _linear_rgb(luminance: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Linear red, green and blue in counts, float32 `[3, ...]`; sRGB shows 0..ONE.

    Takes luminance in counts, `[..., n]`, and f(X / Xn) and f(Z / Zn), `[2, ..., n]`.
    """
    x, z = _cube(roots)
    linear = np.multiply.outer(_RGB_FROM_XZ[:, 0], x)
    linear += np.multiply.outer(_RGB_FROM_XZ[:, 1], z)
    linear += np.multiply.outer(_RGB_FROM_Y, np.broadcast_to(luminance, x.shape))
    return linear


def _cube(f: np.ndarray) -> np.ndarray:
    """The inverse of f(t) of CIE 15:2004."""
    curved = np.maximum(f, _DELTA)
    line = f - curved
    line *= np.float32(108 / 841)
    ratios = curved * curved
    ratios *= curved
    ratios += line
    return ratios


def _outside_srgb(linear: np.ndarray) -> np.ndarray:
    """Whether each colour lies outside sRGB by more than a rounding error; bool."""
    return (linear.min(axis=0) < -_ROUNDING) | (linear.max(axis=0) > lab_numpy.ONE + _ROUNDING)


def _fitting(luminance: np.ndarray, root: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Linear RGB `[3, n]` of colours whose chroma is reduced as in `lab_convert.fit_gamut`."""
    chroma = (roots - root)[:, None]
    # This is a bisection to twelve binary digits. For few colours, each round finds three digits by
    # trying all their values, because calling NumPy costs more than the calculation.
    digits = 3 if root.size < _FEW_COLORS else 1
    candidates = np.arange(1, 2**digits, dtype=np.float32)[:, None]
    factor = np.zeros_like(root)
    for bits in range(digits, 12 + digits, digits):
        larger = factor + candidates * np.float32(2.0**-bits)
        is_displayable = ~_outside_srgb(_linear_rgb(luminance, root + larger * chroma))
        factor += np.float32(2.0**-bits) * is_displayable.sum(axis=0, dtype=np.float32)
    return _linear_rgb(luminance, root + factor * chroma[:, 0])
