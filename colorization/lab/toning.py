"""Black-and-white prints in colour: sepia, cyanotype, selenium, a tint, a scan in colour.

In a toned print, a*b* follow lightness along one curve; in a colour photo, things of the same
lightness differ in colour. If a*b* are a sum of functions of lightness at each pixel, their means
over any block are the same sum of these functions' means over it. So the curve is found from
blocks, whatever texture and compression do within them. Texture finer than a pixel was averaged in
RGB before, which takes a*b* off the curve, the farther the rougher the pixels around are, and
farthest where highlights are clipped: three more terms stand for that. What is still off is noise
in a toned print, which cancels out over larger parts of the picture; things of another colour do
not.

What lies along the edges of a print has colours of its own: a mount, a scanner's lid, yellowed
paper, ink, a date. So a photo counts as well if its middle alone clearly is a toned print, or what
lies on a page of one colour, as in an album; if it clearly is one but for light that changes evenly
across it, as a window's does; or if the curve only changes towards the edges, in a vignette. Photos
of hardly any colour count whatever their curve: a gray print with a cast or coloured noise.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

# The curve is drawn straight between these L*. Editors that clip highlights bend it most there, and
# those that keep hue and saturation at the L* of their mid-gray, which depends on the hue.
_KNOTS = np.array([0, 8, 18, 24, 30, 36, 42, 48, 54, 60, 66, 72, 78, 87, 93, 97, 100])
# Four bytes of lightness, added up, for each unit of L*.
_LEVEL = 4 * 2.55
# Share of each knot in the curve at each level, `[17, 1021]`.
_SHARES = np.stack(
    [np.interp(np.arange(4 * 255 + 1) / _LEVEL, _KNOTS, knot) for knot in np.eye(len(_KNOTS))]
).astype(np.float32)
# Takes what neighbouring knots differ in differences of, and keeps knots without pixels there.
_BENDS = np.diff(np.eye(len(_KNOTS)), 2, axis=0)
# Bends below the highlights, which editors clip.
_FEWER_BENDS = _BENDS[:12]
# Of the knots, and of three terms of roughness.
_STIFFNESS = 1e-6 * np.eye(len(_KNOTS) + 3)
_STIFFNESS[: len(_KNOTS), : len(_KNOTS)] = 1e-5 * _BENDS.T @ _BENDS + 1e-7 * np.eye(len(_KNOTS))
# Sixteen times the variance of four bytes of lightness, where two are black and two are white.
_ROUGHEST = 16 * 127.5**2
# What may change across a picture, beside the curve, and how stiff the terms that allow for it are.
_LIGHT, _VIGNETTE = "light", "vignette"
_CHANGE_STIFFNESS = {_LIGHT: 1e-4, _VIGNETTE: 1e-6}
# Between these distances from the middle, in half sides, and between these L*, the curve in a
# vignette changes evenly.
_RADII = np.array([0, 0.6, 0.75, 0.88, 1.0, 1.15, 1.42])
_VIGNETTE_KNOTS = np.array([0, 15, 30, 50, 70, 88, 100])
# Takes the shares of the knots of the curve to those of the fewer knots of a vignette.
_TO_VIGNETTE_KNOTS = np.stack(
    [np.interp(_KNOTS, _VIGNETTE_KNOTS, knot) for knot in np.eye(len(_VIGNETTE_KNOTS))]
)
# Factors on roughness, at each level: the three terms.
_ROUGHNESS = np.stack(
    [
        np.full(4 * 255 + 1, 1 / _ROUGHEST),
        np.linspace(-1, 1, 4 * 255 + 1) / _ROUGHEST,
        np.interp(np.arange(4 * 255 + 1) / _LEVEL, [70, 100], [0, 4]) / _ROUGHEST,
    ]
).astype(np.float32)
# Rows of a*b*, and blocks each way, of the first looks, which tell most colour photos: the most
# that toned prints have of `_unevenness`, or that part of their distance from gray in strong tones,
# and off the curve over sixteenths of them, in CIE units.
_FEW_ROWS = _FEW_BLOCKS = 16
_MOST_UNEVEN, _MOST_UNEVEN_PART, _MOST_OFF_CURVE = 5.8, 0.5, 1.0
_BLOCKS = 32
# Weights of the logarithms of `features`, and what their sum is below in toned prints. Fitted as by
# `benchmarks/toned.py --fit`.
_WEIGHTS = np.array([7.89, 2.54, -2.47, 3.37, -1.63])
_LIMIT = 2.4
# The same for the middle of the picture, and how much lies around that, of its sides.
_LIMIT_OF_MIDDLE, _EDGE = 1.0, 1 / 8
# The same by what changes across the picture, and the most off the curve at first looks, the one
# that does not allow for that and the ones that do.
_LIMITS_OF_CHANGE = {_LIGHT: 0.0, _VIGNETTE: -1.4}
_MOST_OFF_BY_CHANGE = 4.0
_MOST_OFF_CURVE_AND_CHANGE = {_LIGHT: 0.4, _VIGNETTE: 0.5}
# Places in `[128, 128]`, all around near the edges, where a page of one colour shows.
_AROUND = np.ravel_multi_index(
    np.concatenate([[(2, i), (125, i), (i, 2), (i, 125)] for i in range(4, 128, 8)]).T, (128, 128)
)
# How far apart lightness and a*b* are there at most, and how far from their median in all of the
# page, in the units of `is_toned`. It fills this share of each row and column beside the print, and
# this many of them on each side at least.
_MOST_AROUND, _MOST_IN_PAGE = (60, 12, 12), (30, 6, 6)
_SHARE_OF_PAGE, _LEAST_MARGIN = 0.9, 4
# The least side of a print, how much of it its border may take, and how much of each line inside
# that is no page.
_LEAST_PRINT, _BORDER, _SHARE_OF_PRINT = 32, 0.06, 0.9
# Photos of hardly any colour have less than this distance from gray, in CIE units: of 64ths of the
# picture (root mean square, and the most), and of 1024ths (the most).
_FAINT = 1.5, 4.0, 10.0
# Mean size of a* and b* of single pixels that such photos are sure to have less of, noise included.
_MOST_OF_FAINT = 6.0
# Keeps the logarithms of features of grays finite, in CIE units.
_LEAST = 0.1


def is_toned(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a photo is a toned print.

    Args:
      lightness: 255 / 100 L*, uint8 `[256, 256]`.
      a: a* + 128, uint8 `[128, 128]`.
      b: b* + 128, likewise.
    """
    planes = lightness, a, b
    middle = (_middle(plane) for plane in planes)
    if (
        _is_faint(a, b)
        or _follows_curve(*planes, _LIMIT, is_whole=True)
        or _follows_curve(*middle, _LIMIT_OF_MIDDLE, is_whole=False)
    ):
        return True
    on_page = _on_page(*planes)
    return on_page is not None and _follows_curve(*on_page, _LIMIT, is_whole=True)


def _is_faint(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a photo has hardly any colour anywhere; its planes as for `is_toned`."""
    # This look at few pixels spares most photos the rest.
    few = np.concatenate([a[8::16], b[8::16]]).astype(np.int16) - 128
    if np.abs(few).mean() > _MOST_OF_FAINT:
        return False
    colors = _block_means(np.stack([a, b]), _BLOCKS) - 128
    larger = _block_means(colors, 8)
    least = _size(larger), np.hypot(*larger).max(), np.hypot(*colors).max()
    return all(found < most for found, most in zip(least, _FAINT, strict=True))


def _middle(plane: np.ndarray) -> np.ndarray:
    edge = int(len(plane) * _EDGE)
    return plane[edge:-edge, edge:-edge]


def _on_page(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> list[np.ndarray] | None:
    """What lies on a page of one colour; the planes as for `is_toned`.

    A print fills its rectangle there; few things before a plain background do.

    Returns:
      Its planes, brought to the size of those of the middle; None if there is no such page.
    """
    planes = lightness[::2, ::2], a, b
    # These few pixels spare most photos the rest.
    around = [plane.take(_AROUND) for plane in planes]
    if any(np.ptp(some) > most for some, most in zip(around, _MOST_AROUND, strict=True)):
        return None
    page = np.ones(a.shape, bool)
    for plane, some, most in zip(planes, around, _MOST_IN_PAGE, strict=True):
        page &= np.abs(plane - np.median(some)) <= most
    places, size = [], len(_middle(a))
    for axis in (1, 0):
        used = np.flatnonzero(page.mean(axis) < _SHARE_OF_PAGE)
        if len(used) < _LEAST_PRINT:
            return None
        first, last = used[[0, -1]]
        if min(first, len(a) - 1 - last) < _LEAST_MARGIN:
            return None
        border = _BORDER * (last - first)
        places.append(np.rint(np.linspace(first + border, last - border, size)).astype(int))
    filled = ~page[np.ix_(*places)]
    sides = filled[0], filled[-1], filled[:, 0], filled[:, -1]
    if min(side.mean() for side in sides) < _SHARE_OF_PRINT:
        return None
    finer = [(2 * some[:, None] + [0, 1]).ravel() for some in places]
    return [lightness[np.ix_(*finer)], a[np.ix_(*places)], b[np.ix_(*places)]]


def _follows_curve(
    lightness: np.ndarray, a: np.ndarray, b: np.ndarray, limit: float, is_whole: bool
) -> bool:
    """Whether a*b* follow lightness; the planes as for `is_toned`, or the middle of such."""
    planes = lightness, a, b
    uneven, strength = _unevenness(*planes)
    if uneven > max(_MOST_UNEVEN, _MOST_UNEVEN_PART * strength):
        return False
    few = _mean_terms(*planes, _FEW_ROWS, _FEW_BLOCKS)

    def score(change: str | None = None) -> float:
        return float(np.log(_features(all_terms(), change) + _LEAST) @ _WEIGHTS)

    @cache  # as up to three scores are made of them
    def all_terms() -> np.ndarray:
        return _mean_terms(*planes, len(a), _BLOCKS)

    off = _off_at_a_glance(few)
    if off <= _MOST_OFF_CURVE and score() < limit:
        return True
    return (
        is_whole
        and off <= _MOST_OFF_BY_CHANGE
        and any(
            _off_at_a_glance(few, change) <= most and score(change) < _LIMITS_OF_CHANGE[change]
            for change, most in _MOST_OFF_CURVE_AND_CHANGE.items()
        )
    )


def _off_at_a_glance(terms: np.ndarray, change: str | None = None) -> float:
    off, _, _ = _off_curve(terms, change)
    return _size(_block_means(off, 4))


def features(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What tells toned prints from colour photos; all in CIE units.

    Args:
      lightness, a, b: as for `is_toned`.

    Returns:
      Distance off the curve: of sixteenths of the picture (root mean square), of 64ths (the most),
      of 1024ths (the median); how much the curve bends below the highlights; distance of the mean
      a*b* from gray, which is large in strong tones alone.
    """
    return _features(_mean_terms(lightness, a, b, len(a), _BLOCKS), None)


def _features(terms: np.ndarray, change: str | None) -> np.ndarray:
    """See `features` and, for the arguments, `_off_curve`."""
    off, curve, mean = _off_curve(terms, change)
    return np.array(
        [
            _size(_block_means(off, 4)),
            np.hypot(*_block_means(off, 8)).max(),
            np.median(np.hypot(*off)),
            np.linalg.norm(_FEWER_BENDS @ curve),
            np.linalg.norm(mean - 128),
        ]
    )


def _unevenness(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """How uneven a*b* are, and how strong the tone is.

    Half the mean square difference of neighbours in the order of lightness is their variance around
    any curve of it (von Neumann, 1941). Blocks of the same lightness scatter in strong tones, too,
    the more the stronger these are: the curve bends within them.

    Returns:
      How much a*b* of blocks scatter around any curve of lightness, and the distance of their mean
      from gray, in CIE units.
    """
    step = len(a) // _FEW_ROWS
    order = _run_means(lightness[step :: 2 * step], _FEW_BLOCKS).ravel().argsort()
    rows = np.empty([2 * _FEW_ROWS, a.shape[1]], np.float32)
    rows[:_FEW_ROWS] = a[step // 2 :: step]
    rows[_FEW_ROWS:] = b[step // 2 :: step]
    chroma = _run_means(rows, _FEW_BLOCKS).reshape(2, -1).take(order, axis=1)
    steps = chroma[:, 1:] - chroma[:, :-1]
    uneven = math.sqrt(np.vdot(steps, steps) / (2 * steps.shape[1]))
    return uneven, math.hypot(*(chroma.mean(1) - 128))


def _mean_terms(
    lightness: np.ndarray, a: np.ndarray, b: np.ndarray, rows: int, blocks: int
) -> np.ndarray:
    """Means over blocks of the terms of the curve, and of what it is to fit.

    Args:
      lightness, a, b: as for `is_toned`.
      rows: of a*b* to look at, evenly spaced.
      blocks: each way, no more than rows.

    Returns:
      Shares of the curve's knots, terms of roughness, a* + 128, b* + 128: `[22, blocks, blocks]`.
    """
    step = len(a) // rows
    first = step // 2
    pixels = [
        lightness[2 * first + row :: 2 * step, column::2].astype(np.intp)
        for row in (0, 1)
        for column in (0, 1)
    ]
    levels = sum(pixels)
    roughness = 4 * sum(np.square(some) for some in pixels) - np.square(levels)
    knots = len(_KNOTS)
    planes = np.empty([knots + len(_ROUGHNESS) + 2, rows, a.shape[1]], np.float32)
    _SHARES.take(levels, axis=1, out=planes[:knots], mode="clip")
    _ROUGHNESS.take(levels, axis=1, out=planes[knots:-2], mode="clip")
    planes[knots:-2] *= roughness
    planes[-2] = a[first::step]
    planes[-1] = b[first::step]
    return _run_means(planes, blocks).reshape(len(planes), blocks, -1, blocks).mean(2, dtype=float)


def _off_curve(means: np.ndarray, change: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far a*b* are from the curve of lightness that fits them best over blocks.

    Args:
      means: from `_mean_terms`.
      change: what may change across the picture: "light" evenly from side to side, or the curve
        towards the edges, as in a "vignette".

    Returns:
      What lies off the curve, `[2, blocks, blocks]`; a* + 128 and b* + 128 at the curve's knots,
      `[17, 2]`; and their means, `[2]`.
    """
    blocks, knots = means.shape[-1], len(_KNOTS)
    means = means.reshape(len(means), -1)
    terms, chroma = means[:-2], means[-2:]
    own = len(terms)
    if change:
        terms = np.concatenate([terms, _terms_of_change(change, terms[:knots], blocks)])
    products = terms @ terms.T / blocks**2
    products[:own, :own] += _STIFFNESS
    products[range(own, len(terms)), range(own, len(terms))] += _CHANGE_STIFFNESS.get(change, 0)
    weights = np.linalg.solve(products, terms @ chroma.T / blocks**2)
    off = chroma - weights.T @ terms
    curve, shares = weights[:knots], terms[:knots]
    # Where the curve is steep, a little more or less lightness explains much of the distance.
    slopes = (np.diff(curve, axis=0) / np.diff(_KNOTS)[:, None]).T
    slopes = slopes.take(np.searchsorted(_KNOTS, _KNOTS @ shares) - 1, axis=1, mode="clip")
    off -= slopes * ((off * slopes).sum(0) / (1 + np.square(slopes).sum(0)))
    return off.reshape(2, blocks, blocks), curve, chroma.mean(1)


def _terms_of_change(change: str, shares: np.ndarray, blocks: int) -> np.ndarray:
    """Terms that allow for what changes across a picture, `[terms, blocks * blocks]`.

    Args:
      change: see `_off_curve`.
      shares: of the curve's knots, `[17, blocks * blocks]`.
      blocks: each way.
    """
    if change == _LIGHT:
        across = np.linspace(-1, 1, blocks)
        return np.stack([np.tile(across, blocks), np.repeat(across, blocks)])
    return (_rings(blocks)[:, None] * (_TO_VIGNETTE_KNOTS @ shares)).reshape(-1, blocks**2)


@cache
def _rings(blocks: int) -> np.ndarray:
    """Shares of all `_RADII` but the first in the distance of blocks from the middle."""
    across = np.linspace(-1, 1, blocks)
    radii = np.hypot(across[:, None], across).ravel()
    # In the middle, the curve is the one that the other terms make.
    return np.stack([np.interp(radii, _RADII, ring) for ring in np.eye(len(_RADII))[1:]])


def _run_means(rows: np.ndarray, count: int) -> np.ndarray:
    """Means over equal runs of each row, float32 `[..., count]`.

    This is no matrix product, because its threads go on waiting for work long after they are done.
    """
    length = rows.shape[-1] // count
    total = rows[..., ::length].astype(np.float32)
    for place in range(1, length):
        total += rows[..., place::length]
    total *= np.float32(1 / length)
    return total


def _block_means(planes: np.ndarray, blocks: int) -> np.ndarray:
    """Means over squares of `[2, side, side]`, `[2, blocks, blocks]`."""
    side = planes.shape[-1] // blocks
    return planes.reshape(2, blocks, side, blocks, side).mean((2, 4))


def _size(off: np.ndarray) -> float:
    """Root mean square over `[2, height, width]` of the length of vectors."""
    return math.sqrt(np.vdot(off, off) / off[0].size)
