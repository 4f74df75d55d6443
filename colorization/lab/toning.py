"""Black-and-white prints in colour: sepia, cyanotype, selenium, a tint, a scan in colour.

In a toned print, a*b* follow lightness along one curve; in a colour photo, things of the same
lightness differ in colour. What lies off the curve is compared with what noise, compression and
fine texture put there: grain and compression by how much neighbours differ, texture because the
mean over a pixel of colours on a bent curve lies off it.
"""

from __future__ import annotations

import numpy as np

# Most distance from the curve, in CIE units (root mean square), of a sample of pixels and of means
# over blocks, that a toned print has; most colour photos have more and need no closer look.
_MOST_OF_PIXELS = 8.7
_MOST_OF_BLOCKS = 4.75
_BINS = 32
# Four bytes of lightness, added up, for each unit of L*; and the most that they come to.
_LEVEL, _MOST_LEVEL = 4 * 2.55, 4 * 255
# Of local differences of L* that halve a pixel's weight.
_CONTRAST = 4.0
# Weights of the logarithms of `features`, and what their sum is below in toned prints. Fitted by
# `benchmarks/toned.py --fit`.
_WEIGHTS = np.array([-1.089, 4.733, 3.72, 2.242, -1.298, -1.594, -2.586])
_LIMIT = -1.129
# Keeps the logarithms of features of grays finite, in CIE units.
_LEAST = 0.1


def is_toned(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a photo is a toned print.

    Args:
      lightness: 255 / 100 L*, uint8 `[256, 256]`.
      a: a* + 128, uint8 `[128, 128]`.
      b: b* + 128, likewise.
    """
    sample = np.s_[4::8, 4::8]
    if _off_cubic(lightness[8::16, 8::16], a[sample], b[sample]) > _MOST_OF_PIXELS:
        return False
    means = (_block_means(plane, len(plane) // 16) for plane in (lightness, a, b))
    if _off_cubic(*means) > _MOST_OF_BLOCKS:
        return False
    return float(np.log(features(lightness, a, b) + _LEAST) @ _WEIGHTS) < _LIMIT


def features(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What tells toned prints from colour photos; all in CIE units.

    Args:
      lightness, a, b: as for `is_toned`.

    Returns:
      Distance from the curve of means over blocks of 4, 8 and 16 pixels (90th percentile, 99th
      percentile, root mean square) and, of places without texture, of 16 (90th percentile); mean
      difference of neighbours in it; spread of a*b* across their main direction; texture.
    """
    fine = [lightness[i::2, j::2].astype(np.float32) for i in (0, 1) for j in (0, 1)]
    sums = sum(fine)
    squares = sum(map(np.square, fine))
    luminance = sums * np.float32(1 / _LEVEL)
    contrast = np.sqrt(np.maximum(4 * squares - np.square(sums), 0)) * np.float32(1 / _LEVEL)
    contrast[1:-1] += np.abs(luminance[2:] - luminance[:-2]) / 2
    contrast[:, 1:-1] += np.abs(luminance[:, 2:] - luminance[:, :-2]) / 2
    weights = 1 / (1 + np.square(contrast / np.float32(_CONTRAST)))
    levels = sums.astype(np.intp)
    chroma = np.stack([a, b]).astype(np.float32) - 128
    off = _off_curve(levels, chroma, np.ones_like(weights))
    flat_off = _off_curve(levels, chroma, weights)
    by_4, by_8, by_16 = (np.hypot(*_block_means(off, size)) for size in (4, 8, 16))
    flat = _block_means(flat_off * weights, 16) / _block_means(weights, 16)
    colors = _block_means(chroma, 8).reshape(2, -1)
    colors -= colors.mean(1, keepdims=True)
    (aa, ab), (_, bb) = colors @ colors.T / colors.shape[1]
    across = (aa + bb) / 2 - np.hypot((aa - bb) / 2, ab)
    return np.array(
        [
            _quantile(by_4, 0.9),
            _quantile(by_8, 0.99),
            np.sqrt(np.mean(np.square(by_16))),
            _quantile(np.hypot(*flat), 0.9),
            np.sqrt(2 * np.mean(np.square(off[:, :, 1:] - off[:, :, :-1]))),
            np.sqrt(max(across, 0)),
            contrast.mean(),
        ]
    )


def _quantile(values: np.ndarray, share: float) -> float:
    # Without the interpolation between values, a fifth of `np.quantile`'s time.
    return np.sort(values, axis=None)[int(share * (values.size - 1))]


def _off_cubic(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square distance of a*b* from cubic polynomials of lightness."""
    x = lightness.reshape(-1) * (1 / 128) - 1.0
    powers = np.stack([np.ones_like(x), x, x * x, x * x * x])
    chroma = np.stack([a.reshape(-1), b.reshape(-1)]).astype(np.float64)
    ridge = 1e-6 * np.eye(4)
    fitted = np.linalg.solve(powers @ powers.T + ridge, powers @ chroma.T).T @ powers
    return float(np.sqrt(np.square(chroma - fitted).sum() / x.size))


def _off_curve(levels: np.ndarray, chroma: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Distance of a*b* from the curve that their means over lightness make, `[2, 128, 128]`.

    Where the curve is steep, little of the distance at equal lightness is off it.
    """
    # A quarter of the pixels tells the curve.
    some = np.s_[::2, ::2]
    weights = weights[some].reshape(-1)
    bins = levels[some].reshape(-1) * _BINS // (_MOST_LEVEL + 1)
    counts = np.bincount(bins, weights, _BINS)
    used = counts > 1e-2
    places, *means = (
        np.bincount(bins, weights * plane[some].reshape(-1), _BINS)[used] / counts[used]
        for plane in (levels, *chroma)
    )
    every = np.arange(_MOST_LEVEL + 1)
    off = np.empty_like(chroma)
    for plane, mean, distance in zip(chroma, means, off, strict=True):
        curve = np.interp(every, places, mean).astype(np.float32)
        np.subtract(plane, curve.take(levels), out=distance)
    if len(places) > 1:
        slope = np.hypot(*(np.gradient(mean, places) for mean in means)) * _LEVEL
        steep = np.sqrt(1 + np.square(np.interp(every, places, slope)))
        off *= (1 / steep).astype(np.float32).take(levels)
    return off


def _block_means(planes: np.ndarray, size: int) -> np.ndarray:
    """Means over squares of the last two axes."""
    *rest, height, width = planes.shape
    # Columns last, so that most of the work runs along memory.
    rows = planes.reshape(*rest, height // size, size, width).mean(-2, dtype=np.float32)
    return rows.reshape(*rest, height // size, width // size, size).mean(-1)
