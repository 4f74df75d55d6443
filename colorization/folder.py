"""Many photos to pictures on disk: opening, the network, merging and writing overlap."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from colorization import lab_tables
from colorization.files import remove_left_behind, write_file
from colorization.photos import UnreadablePhoto, read_file
from colorization.pictures import (
    FORMATS,
    KINDS,
    CannotEncode,
    Photo,
    decode,
    encode,
    format_of_name,
)

if TYPE_CHECKING:
    from colorization.colorize import Colorizer
    from colorization.dataset import Report

# Of photos that are open and wait for the network; beyond it they come in smaller batches.
_MOST_WAITING_PIXELS = 2**25
# Of rows looked at together for colour.
_STRIP_PIXELS = 2**20
_SCORED_SIDE = 128


class _Opened(NamedTuple):
    path: str
    data: bytes
    photo: Photo
    small: np.ndarray
    whole: np.ndarray | None


def picture_names(paths: Sequence[str], format: str | None = None) -> dict[str, str]:
    """Where the pictures of photos go, relative to a results folder.

    Args:
      paths: photos, each once.
      format: a key of `pictures.FORMATS`, for all of them; by default the photos' own.

    Returns:
      path -> name: the path below the folder that all photos have in common, its ending that of
      the format. Names of formats that hold no coloured photo get `.png` added; so does, with its
      own ending, a name that another photo has already. No two names are equal, not even on file
      systems that know no capitals.
    """
    root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    own = {path: os.path.relpath(os.path.abspath(path), root) for path in paths}
    wanted = FORMATS[format][1] if format else None

    def keeps_its_name(path: str) -> bool:
        return format_of_name(own[path]) in ((wanted,) if wanted else KINDS)

    ending = FORMATS[format or "png"][0]
    names: dict[str, str] = {}
    taken: set[str] = set()
    # Those that keep their names first, so that no other takes one.
    for path in sorted(paths, key=keeps_its_name, reverse=True):
        name = own[path]
        stem = os.path.splitext(name)[0] if format_of_name(name) else name
        tries = [name] if keeps_its_name(path) else [f"{stem}{ending}", f"{name}{ending}"]
        more = (f"{name} ({number}){ending}" for number in itertools.count(2))
        free = (one for one in itertools.chain(tries, more) if one.casefold() not in taken)
        names[path] = next(free)
        taken.add(names[path].casefold())
    return {path: names[path] for path in paths}


def colour_photos(
    colorizer: Colorizer,
    names: Mapping[str, str],
    output: Path,
    report: Report,
    progress: Callable[[], object],
    *,
    batch_size: int,
    quality: int,
) -> dict[str, dict[str, float]]:
    """Colours photos and writes what the gallery shows.

    Args:
      colorizer: the model.
      names: path -> name of the picture, from `picture_names`.
      output: folder; pictures go to `gray/NAME`, `predicted/NAME` and, for photos that have
        colour, `truth/NAME` (the photo's own bytes where its format is kept). Each is written under
        a temporary name and renamed, `predicted` last: what exists is finished.
      report: takes note of photos that cannot be opened or written in their format.
      progress: called after each photo.
      batch_size: photos that go through the network together, unless they are large.
      quality: of JPEG and WebP.

    Returns:
      Name -> `rmse` (of a* and b*, in CIE units) and `psnr` (of the RGB picture, in dB), over at
      most some 128 x 128 evenly spaced pixels; empty where there is no truth.

    Raises:
      OSError: the folder cannot be written or the disk is full.
    """

    def open_one(path: str) -> _Opened | None:
        try:
            data = read_file(path)
            photo = decode(data)
            small = colorizer.small_lightness(photo.pixels)
            whole = colorizer.whole_lightness(photo.pixels, small)
            return _Opened(path, data, photo, small, whole)
        except UnreadablePhoto as error:
            report.add_unreadable(path, str(error))
            progress()
            return None

    def finish(opened: _Opened, chroma: np.ndarray) -> dict[str, dict[str, float]]:
        photo, name = opened.photo, names[opened.path]
        predicted = colorizer.merge(photo.pixels, opened.small, chroma)
        kind = format_of_name(name)
        scores = {}
        try:
            gray = colorizer.gray(photo.pixels)
            write_file(output / "gray" / name, encode(gray, photo, kind, quality))
            if has_colour(photo.pixels):
                same = kind == photo.kind
                truth = opened.data if same else encode(photo.pixels, photo, kind, quality)
                write_file(output / "truth" / name, truth)
                scores = _scores(predicted, photo.pixels)
            write_file(output / "predicted" / name, encode(predicted, photo, kind, quality))
        except CannotEncode as error:
            report.add_unreadable(opened.path, str(error))
            return {}
        finally:
            progress()
        return {name: scores}

    remove_left_behind(output)
    workers = os.cpu_count() or 1
    scores: dict[str, dict[str, float]] = {}
    pool = ThreadPoolExecutor(workers)
    try:
        finishing: deque[Future] = deque()
        for batch in _batches(_opened(pool, open_one, list(names), batch_size), batch_size):
            chroma = colorizer.predict([(opened.small, opened.whole) for opened in batch])
            for opened, of_photo in zip(batch, chroma, strict=True):
                finishing.append(pool.submit(finish, opened, of_photo))
            del batch
            while len(finishing) > max(batch_size, workers):
                scores.update(finishing.popleft().result())
        while finishing:
            scores.update(finishing.popleft().result())
    finally:
        pool.shutdown(cancel_futures=True)
    return scores


def _opened(
    pool: ThreadPoolExecutor,
    open_one: Callable[[str], _Opened | None],
    paths: Sequence[str],
    batch_size: int,
) -> Iterator[_Opened]:
    """Photos in their order, opened ahead while they are few or small."""
    workers = os.cpu_count() or 1
    waiting: deque[Future] = deque()
    rest = iter(paths)
    while True:
        pixels = sum(_pixels(future.result()) for future in waiting if future.done())
        while len(waiting) < workers or (
            len(waiting) < 2 * batch_size and pixels < _MOST_WAITING_PIXELS
        ):
            path = next(rest, None)
            if path is None:
                break
            waiting.append(pool.submit(open_one, path))
        if not waiting:
            return
        opened = waiting.popleft().result()
        if opened is not None:
            yield opened


def _batches(photos: Iterator[_Opened], batch_size: int) -> Iterator[list[_Opened]]:
    batch: list[_Opened] = []
    for opened in photos:
        batch.append(opened)
        if len(batch) == batch_size or sum(map(_pixels, batch)) > _MOST_WAITING_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch


def _pixels(opened: _Opened | None) -> int:
    return opened.photo.pixels.size // 3 if opened else 0


def has_colour(pixels: np.ndarray) -> bool:
    """Whether any a* or b* value of `[height, width, channels]` is beyond -1..1."""
    if pixels.shape[2] == 1:
        return False
    rows = max(16, _STRIP_PIXELS // pixels.shape[1])
    strips = (pixels[start : start + rows] for start in range(0, len(pixels), rows))
    return not all(lab_tables.is_gray(strip) for strip in strips)


def _scores(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    height, width, _ = truth.shape
    places = np.s_[:: -(-height // _SCORED_SIDE), :: -(-width // _SCORED_SIDE)]
    predicted, truth = predicted[places], truth[places]
    difference = lab_tables.chroma(predicted) - lab_tables.chroma(truth)
    square = np.mean(np.square(predicted.astype(np.float32) - truth))
    return {
        "rmse": float(np.sqrt(np.mean(np.square(difference)))),
        "psnr": float(20 * np.log10(255) - 10 * np.log10(square)) if square else np.inf,
    }
