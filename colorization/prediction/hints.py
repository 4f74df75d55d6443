"""Hints: known colours of a photo, given at single points or by strokes of a brush."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import ImageColor

from colorization.data.companions import is_companion_folder, without_companions
from colorization.data.photos import find_places
from colorization.errors import UnreadablePhoto, UserError
from colorization.lab import lab_numpy
from colorization.prediction.pictures import read_photo
from colorization.prediction.portable_names import comparison_key, portable
from colorization.prediction.propagation import propagate

# A point: X and Y in pixels from the left and upper edge of the upright photo, or "25%" of its
# width and height; and its colour: red, green and blue in 0..255, or what Pillow's ImageColor
# knows.
Point = tuple[float | str, float | str, Sequence[int] | str]
# Strokes: the opaque pixels of an RGBA picture, or of the file at a path.
Hints = str | os.PathLike | np.ndarray | Sequence[Point]

# Pixels of strokes count as hints from this alpha on.
_OPAQUE = 128
# Number of pixels of strokes that are processed at a time.
_STRIP_PIXELS = 2**20


def with_hints(
    lightness: np.ndarray, chroma: np.ndarray, hints: Hints, size: tuple[int, int]
) -> np.ndarray:
    """Predicted chroma, changed so that it agrees with hints.

    Args:
      lightness: L* in 0..100, float32 `[2 * rows, 2 * columns, 1]`.
      chroma: predicted a*b* in CIE units, float32 `[rows, columns, 2]`.
      hints: see `hinted_chroma`.
      size: height and width of the upright photo in pixels.

    Returns:
      a*b* in CIE units, float32 `[rows, columns, 2]`; see `propagation.propagate`.

    Raises:
      UserError: see `hinted_chroma`.
    """
    rows, columns, _ = chroma.shape
    hinted, is_hinted = hinted_chroma(hints, size, (rows, columns))
    cell_lightness = lightness.reshape(rows, 2, columns, 2).mean(axis=(1, 3))
    return propagate(cell_lightness, chroma, hinted, is_hinted)


def hinted_chroma(
    hints: Hints, size: tuple[int, int], grid: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Hints on the grid that chroma is predicted on.

    Args:
      hints: points, or strokes of the photo's size or proportions: uint8 RGBA
        `[rows, columns, 4]`, or the path of such a picture. Pixels whose alpha is below 128 are no
        hints; there may be no hint at all.
      size: height and width of the upright photo in pixels.
      grid: height and width of the grid.

    Returns:
      a*b* in CIE units, float32 `[*grid, 2]`, the mean over the hints in each cell, with strokes
      weighted by alpha; and which cells hold a hint, bool `[*grid]`.

    Raises:
      UserError: a point lies outside the photo or its colour is unknown; strokes have another
        shape, dtype or proportions, no transparent pixel, or cannot be read.
    """
    sums = np.zeros([*grid, 3])
    if isinstance(hints, str | os.PathLike | np.ndarray):
        _add_strokes(sums, _strokes(hints, size), grid)
    else:
        for point in hints:
            (y, x), colour = parse_point(point, size)
            cells = np.ix_(_covered(y, size[0], grid[0]), _covered(x, size[1], grid[1]))
            ab = lab_numpy.chroma(np.array(colour, np.uint8).reshape(1, 1, 3)).reshape(2)
            sums[cells] += (*ab, 1)
    weights = sums[..., 2:]
    chroma = sums[..., :2] / np.where(weights > 0, weights, 1)
    return chroma.astype(np.float32), weights[..., 0] > 0


def parse_point(
    point: Point, size: tuple[int, int] | None = None
) -> tuple[tuple[int, int], tuple[int, int, int]]:
    """Row and column of a point's pixel, and its colour as red, green and blue in 0..255.

    `size` is the photo's height and width. Without it, only what is wrong for any photo is refused.

    Raises:
      UserError: see `hinted_chroma`.
    """
    try:
        x, y, colour = point
    except (TypeError, ValueError) as error:
        raise UserError(f"a hint is X,Y,COLOUR, not {point!r}") from error
    height, width = size or (None, None)
    return (_pixel(y, height, "Y"), _pixel(x, width, "X")), _rgb(colour)


def read_strokes(path: str | os.PathLike) -> np.ndarray:
    """Strokes of a file, upright, uint8 RGBA `[rows, columns, 4]`.

    Raises:
      UserError: it cannot be read, or all of it is opaque.
    """
    path = os.fspath(path)
    try:
        picture = read_photo(path)
    except UnreadablePhoto as error:
        raise UserError(f"cannot read hints {path} ({error}); name a PNG with strokes") from error
    if picture.alpha is None:
        raise UserError(
            f"{path} has no transparent pixel, so all of it would be a hint; save the strokes "
            "alone, on a transparent layer"
        )
    pixels = picture.pixels
    if pixels.dtype == np.uint16:
        pixels = lab_numpy.to_bytes(pixels)
    return np.dstack([np.broadcast_to(pixels, (*pixels.shape[:2], 3)), picture.alpha])


def strokes_of_photos(folder: str, places: Mapping[str, str]) -> dict[str, str]:
    """Finds the photo that each file of strokes in a folder is for.

    Args:
      folder: searched recursively for pictures.
      places: path -> place of a photo below the folder it was found in.

    Returns:
      Path of a photo -> path of its strokes. These have the same place in their folder as the
      photo in its own, apart from capitals, the ending and the two ways to write `ä`; or that of
      the coloured picture, where not every disk takes the photo's. They may add an ending to the
      photo's whole name, as `beach.jpg.png` does, and are then for photos with that ending only.

    Raises:
      UserError: the folder holds only files of other kinds, or strokes without a photo.
    """
    if not _holds_files(folder):
        print(f"{folder} is empty: no photo has hints any more.")
        return {}
    by_place: dict[str, list[str]] = {}
    by_stem: dict[str, list[str]] = {}
    # A name that some photo has does not stand for another photo's picture.
    for named in (_places_of_pictures(places), places):
        by_place |= _grouped({photo: comparison_key(place) for photo, place in named.items()})
        by_stem |= _grouped({photo: _stem(place) for photo, place in named.items()})
    strokes_by_photo: dict[str, str] = {}
    unused: list[str] = []
    # Longer names come first, because they identify their photo more exactly.
    strokes = sorted(find_places([folder]).items(), key=lambda item: (-len(item[1]), item[0]))
    for path, place in strokes:
        stem = _stem(place)
        photos = (
            by_place.get(stem) or by_place.get(comparison_key(place)) or by_stem.get(stem) or []
        )
        unmatched = [photo for photo in photos if photo not in strokes_by_photo]
        strokes_by_photo.update(dict.fromkeys(unmatched, path))
        if not unmatched:
            unused.append(path)
    if unused:
        more = f" and {len(unused) - 1} more" if len(unused) > 1 else ""
        raise UserError(
            f"no photo has the name of {min(unused)}{more}; "
            "name strokes like photos, and their folders like those of the photos"
        )
    return strokes_by_photo


def _places_of_pictures(places: Mapping[str, str]) -> dict[str, str]:
    """Path of a photo -> place that every disk takes, which its coloured picture has."""
    return {photo: portable(*os.path.splitext(place)) for photo, place in places.items()}


def _grouped(keys: Mapping[str, str]) -> dict[str, list[str]]:
    """Key -> the photos that have it."""
    photos: dict[str, list[str]] = {}
    for photo, key in keys.items():
        photos.setdefault(key, []).append(photo)
    return photos


def _holds_files(folder: str) -> bool:
    """Whether a folder holds anything but what systems put into folders of themselves."""
    return any(
        not name.startswith(".") and not is_companion_folder(os.path.abspath(folder), name)
        for name in without_companions(folder, os.listdir(folder))
    )


def _stem(place: str) -> str:
    return comparison_key(os.path.splitext(place)[0])


def digest(hints: Hints | None) -> str:
    """A hash of the hints' content; empty for none.

    Raises:
      UserError: the file of strokes cannot be read.
    """
    if hints is None:
        return ""
    if isinstance(hints, str | os.PathLike):
        hints = read_strokes(hints)
    data = hints.tobytes() if isinstance(hints, np.ndarray) else repr(hints).encode()
    return hashlib.sha256(data).hexdigest()


def _pixel(coordinate: float | str, side: int | None, axis: str) -> int:
    """The pixel that a coordinate means; `side` is None if the photo is not known yet."""
    is_share = isinstance(coordinate, str) and coordinate.strip().endswith("%")
    try:
        value = float(
            coordinate.strip().removesuffix("%") if isinstance(coordinate, str) else coordinate
        )
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if is_share:
        if not 0 <= value <= 100:
            raise UserError(f"{axis} of a hint must be from 0% to 100%, not {coordinate}")
        return 0 if side is None else min(int(value / 100 * side), side - 1)
    if not 0 <= value < (2**31 if side is None else side):
        limit = "" if side is None else f" up to {side - 1} in this photo"
        raise UserError(
            f"{axis} of a hint must be a pixel from 0 on{limit}, or per cent, not {coordinate}"
        )
    return int(value)


def _rgb(colour: Sequence[int] | str) -> tuple[int, int, int]:
    try:
        is_name = isinstance(colour, str)
        values = np.asarray(ImageColor.getrgb(colour.strip())[:3] if is_name else colour)
    except ValueError:  # an unknown name, or lists of different lengths
        values = np.empty(0)
    is_whole = values.shape == (3,) and values.dtype.kind in "iu"
    if not is_whole or values.min() < 0 or values.max() > 255:
        raise UserError(
            f"unknown colour {colour!r}; give a name such as seagreen, a code such as #2e8b57, or "
            "red, green and blue in 0..255"
        )
    return tuple(values.tolist())


def _strokes(hints: str | os.PathLike | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Checked strokes, uint8 RGBA `[rows, columns, 4]`."""
    if isinstance(hints, np.ndarray):
        strokes, name = hints, "hints"
        if strokes.dtype != np.uint8 or strokes.ndim != 3 or strokes.shape[2] != 4:
            raise UserError(
                "hints must be RGBA [height, width, 4] of uint8, not "
                f"{strokes.dtype} {list(strokes.shape)}"
            )
    else:
        strokes, name = read_strokes(hints), os.fspath(hints)
    height, width = strokes.shape[:2]
    # Each side may have been rounded by a pixel when the picture was scaled.
    if not height or not width or abs(width * size[0] - height * size[1]) > sum(size):
        raise UserError(
            f"{name}: {width} x {height} pixels have other proportions than the photo's "
            f"{size[1]} x {size[0]}; paint on a picture of the photo's size"
        )
    return strokes


def _subdivisions(side: int, cells: int) -> int:
    """Parts to cut each pixel of a side into, so that there are at least as many parts as cells."""
    return -(-cells // side)


def _covered(pixel: int, side: int, cells: int) -> np.ndarray:
    """Cells that a pixel covers along a side: several if the photo is smaller than the grid."""
    parts = _subdivisions(side, cells)
    return np.unique((pixel * parts + np.arange(parts)) * cells // (side * parts))


def _add_strokes(sums: np.ndarray, strokes: np.ndarray, grid: tuple[int, int]) -> None:
    """Adds a*, b* and 1 of all hints, times their alpha, to the sums of their cells."""
    for axis in (0, 1):
        parts = _subdivisions(strokes.shape[axis], grid[axis])
        strokes = strokes if parts == 1 else strokes.repeat(parts, axis)
    height, width = strokes.shape[:2]
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = strokes[top : top + rows]
        y, x = np.nonzero(strip[..., 3] >= _OPAQUE)
        if not y.size:
            continue
        pixels = strip[y, x]
        alpha = pixels[:, 3].astype(np.float64)
        ab = lab_numpy.chroma(pixels[None, :, :3])[0]
        cells = (y + top) * grid[0] // height * grid[1] + x * grid[1] // width
        for channel, values in enumerate((ab[:, 0], ab[:, 1], 1)):
            added = np.bincount(cells, alpha * values, math.prod(grid))
            sums[..., channel] += added.reshape(grid)
