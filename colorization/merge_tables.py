"""`merge` of finished arrays, in NumPy and by table: a fifth of the time of TensorFlow's ops.

Exported models need the ops, for they have no Python; everything else merges here. Big pictures are
worked on strip by strip, by all cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from colorization import lab_tables
from colorization.merge import GUIDE_EPSILON, GUIDE_RADIUS
from lab_convert import RATIOS_FROM_RGB

_RGB_FROM_RATIOS = np.linalg.inv(RATIOS_FROM_RGB).astype(np.float32)
_DELTA = np.float32(6 / 29)
# How far beyond 0..1 linear light is taken for rounding; in counts.
_ROUNDING = 1e-4 * lab_tables.ONE

# Smaller strips stay in a core's own cache from one step to the next, but then threads mostly wait
# for each other between steps: a quarter of this takes twice the time on two cores.
_STRIP_PIXELS = 2**17
# From how many pixels on it pays to start threads.
_SEVERAL_CORES = 2**20


def small_lightness(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """What the network sees of a picture; as `merge.small_lightness`, but for rounding to bytes.

    Args:
      pixels: uint8 RGB `[height, width, 3]`, or grays `[height, width, 1]` of uint8 or uint16.
      size: height and width; shrinking averages (bilinear with antialiasing).

    Returns:
      L* in 0..100, float32 `[*size, 1]`.
    """
    picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    if picture.mode == "I;16":
        picture = Image.fromarray(pixels[..., 0].astype(np.float32))
    # Whole blocks first where many pixels become one: hardly another picture, in half the time.
    small = picture.resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=4.0)
    if picture.mode == "F":
        small = np.rint(np.asarray(small)).clip(0, 65535).astype(np.uint16)
    _, root = lab_tables.luminance_and_root(np.atleast_3d(small))
    return (116 * root - 16)[..., None]


def gray(pixels: np.ndarray) -> np.ndarray:
    """The picture without its colours: grays `[height, width]` of the same lightness, uint8.

    Takes uint8 RGB `[height, width, 3]`.
    """
    result = np.empty(pixels.shape[:2], np.uint8)
    for strip in _strips(*result.shape):
        result[strip] = lab_tables.gray_bytes(pixels[strip])
    return result


def merge(pixels: np.ndarray, lightness: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Gives a picture colours, at its own size and with its own lightness; as `merge.merge`.

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
    # Across first, columns being lines, then strip by strip down.
    coefficients = coefficients.transpose(2, 0, 1).reshape(columns, -1)
    across = _interpolated(coefficients, slice(0, width), width)
    lines = np.ascontiguousarray(across.T).reshape(rows, 4 * width)

    def work(strip: slice) -> None:
        enlarged = _interpolated(lines, strip, height).reshape(-1, 4, width)
        _merge_strip(pixels[strip], enlarged, result[strip])

    strips = _strips(height, width)
    if height * width < _SEVERAL_CORES:
        for strip in strips:
            work(strip)
    else:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(work, strips):
                pass
    return result


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


def _strips(height: int, width: int) -> Iterator[slice]:
    step = max(1, _STRIP_PIXELS // width)
    return (slice(start, min(start + step, height)) for start in range(0, height, step))


def _interpolated(lines: np.ndarray, rows: slice, whole: int) -> np.ndarray:
    """Some rows of `lines`, float32 `[size, n]`, enlarged to `whole` as `upsample.interpolation`.

    Not as a matrix product: for so few numbers, its threads would wait longer than they work.
    """
    size = len(lines)
    places = (np.arange(rows.start, rows.stop) + 0.5) * (size / whole) - 0.5
    nearest = np.floor(places).astype(np.intp)[:, None] + np.arange(-1, 3)
    x = np.abs(places[:, None] - nearest)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where((nearest < 0) | (nearest >= size), 0, np.where(x < 1, near, far))
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    nearest = nearest.clip(0, size - 1)
    result = lines[nearest[:, 0]]
    result *= weights[:, :1]
    for line in range(1, 4):
        taken = lines[nearest[:, line]]
        taken *= weights[:, line : line + 1]
        result += taken
    return result


def _merge_strip(pixels: np.ndarray, coefficients: np.ndarray, result: np.ndarray) -> None:
    """`merge` with coefficients at full size, `[height, 4, width]`, which it overwrites."""
    luminance, root = lab_tables.luminance_and_root(pixels)
    lightness = root * np.float32(116)
    lightness -= 16
    slope_a, slope_b, offset_a, offset_b = np.moveaxis(coefficients, 1, 0)
    slope_a *= lightness
    slope_a += offset_a
    slope_b *= lightness
    slope_b += offset_b
    a, b = slope_a, slope_b
    linear = _linear_rgb(luminance, root, a, b)
    beyond = np.nonzero(_beyond(linear))
    if beyond[0].size:
        linear[(slice(None), *beyond)] = _fitting(
            *(plane[beyond] for plane in (luminance, root, a, b))
        )
    for channel, plane in enumerate(lab_tables.encoded(linear, result.dtype)):
        result[..., channel] = plane


def _linear_rgb(
    luminance: np.ndarray, root: np.ndarray, a: np.ndarray, b: np.ndarray
) -> np.ndarray:
    """Linear red, green and blue in counts, float32 `[3, ...]`; sRGB shows 0..ONE.

    Takes shapes that go together as in `luminance + a`; a and b have the larger one.
    """
    roots = np.empty([2, *a.shape], np.float32)
    np.multiply(a, np.float32(1 / 500), out=roots[0])
    np.multiply(b, np.float32(-1 / 200), out=roots[1])
    roots += root
    x, z = _cube(roots)
    linear = np.multiply.outer(_RGB_FROM_RATIOS[:, 0], x)
    linear += np.multiply.outer(_RGB_FROM_RATIOS[:, 2], z)
    linear += np.multiply.outer(_RGB_FROM_RATIOS[:, 1], np.broadcast_to(luminance, a.shape))
    return linear


def _cube(f: np.ndarray) -> np.ndarray:
    """The inverse of f(t) of CIE 15:2004, in counts; overwrites its argument."""
    line = f - _DELTA
    np.minimum(line, 0, out=line)
    line *= np.float32(lab_tables.ONE * 108 / 841)
    np.maximum(f, _DELTA, out=f)
    cube = f * f
    cube *= f
    cube *= np.float32(lab_tables.ONE)
    cube += line
    return cube


def _beyond(linear: np.ndarray) -> np.ndarray:
    """Where sRGB cannot show a colour, by more than rounding; bool."""
    return (linear.min(axis=0) < -_ROUNDING) | (linear.max(axis=0) > lab_tables.ONE + _ROUNDING)


def _fitting(luminance: np.ndarray, root: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Linear RGB `[3, n]` of colours whose chroma is reduced as in `lab_convert.fit_gamut`."""
    factor = np.zeros_like(a)
    # One digit after the other, all seven at once: there are mostly so few colours that each call
    # of NumPy costs more than its numbers do.
    for step in (2.0**-3, 2.0**-6, 2.0**-9, 2.0**-12):
        larger = factor + np.float32(step) * np.arange(1, 8, dtype=np.float32)[:, None]
        shown = ~_beyond(_linear_rgb(luminance, root, larger * a, larger * b))
        factor += np.float32(step) * shown.sum(axis=0, dtype=np.float32)
    return _linear_rgb(luminance, root, factor * a, factor * b)
