"""Many photos to pictures on disk, several at the same time."""

from __future__ import annotations

import errno
import itertools
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from colorization import gallery, lab_tables
from colorization.errors import UserError
from colorization.files import remove_left_behind, write_file
from colorization.finished import add_finished
from colorization.photos import UnreadablePhoto, photo_id, read_file
from colorization.pictures import (
    FORMATS,
    KINDS,
    CannotEncode,
    decode,
    encode,
    format_of_name,
)
from colorization.video import is_film

if TYPE_CHECKING:
    from colorization.colorize import Colorizer
    from colorization.dataset import Report

# Of rows looked at together for colour.
_STRIP_PIXELS = 2**20
_SCORED_SIDE = 128


def without_results(paths: Sequence[str], output: Path) -> list[str]:
    """The photos that lie in none of the folders which the pictures of a results folder go to.

    So no picture is coloured again, and none takes the place of a photo.

    Raises:
      UserError: there are none.
    """
    results = tuple(os.path.join(os.path.realpath(output / name), "") for name in gallery.FOLDERS)

    def is_result(path: str) -> bool:
        # No file has such a name, which a list of photos may hold and `realpath` cannot bear.
        return "\0" not in path and os.path.realpath(photo_id(path)).startswith(results)

    kept = [path for path in paths if not is_result(path)]
    if not kept:
        raise UserError(
            f"no photos but those in {output}/{{{','.join(gallery.FOLDERS)}}}, where results go; "
            "name others or choose another --output"
        )
    return kept


def picture_names(
    paths: Sequence[str], format: str | None = None, finished: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Where the pictures of photos and the coloured films go, relative to a results folder.

    Args:
      paths: photos or films, each once.
      format: a key of `pictures.FORMATS`, for all photos; by default their own.
      finished: pictures that the results folder holds: name -> `photos.photo_id` of its photo.

    Returns:
      path -> name: the path below the folder that all photos have in common, its ending that of
      the format, or a film's own. Names of formats that hold no coloured photo get `.png` added;
      so does, with its own ending, a name that another photo has already, or it gets a number. No
      two names are equal, not even on file systems that know no capitals.
    """
    root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    own = {path: os.path.relpath(os.path.abspath(path), root) for path in paths}
    wanted = FORMATS[format][1] if format else None

    def keeps_its_name(path: str) -> bool:
        return is_film(path) or format_of_name(own[path]) in ((wanted,) if wanted else KINDS)

    ending = FORMATS[format or "png"][0]
    names: dict[str, str] = {}
    taken: set[str] = set()
    photos = {name.casefold(): photo for name, photo in (finished or {}).items()}

    def is_free(name: str, path: str) -> bool:
        key, photo = name.casefold(), photo_id(path)
        return key not in taken and photos.get(key, photo) == photo

    # Those that keep their names first, so that no other takes one.
    for path in sorted(paths, key=keeps_its_name, reverse=True):
        name = own[path]
        has_ending = is_film(path) or format_of_name(name)
        stem, its_ending = os.path.splitext(name) if has_ending else (name, "")
        if keeps_its_name(path):
            tries, numbered = [name], (stem, its_ending)
        else:
            tries, numbered = [f"{stem}{ending}", f"{name}{ending}"], (name, ending)
        more = (f" ({number})".join(numbered) for number in itertools.count(2))
        names[path] = next(one for one in itertools.chain(tries, more) if is_free(one, path))
        taken.add(names[path].casefold())
    return {path: names[path] for path in paths}


def colour_photos(
    colorizer: Colorizer,
    names: Mapping[str, str],
    output: Path,
    report: Report,
    progress: Callable[[], object],
    *,
    at_once: int,
    quality: int,
) -> dict[str, dict[str, float]]:
    """Colours photos and writes what the gallery shows.

    Args:
      colorizer: the model.
      names: path -> name of the picture, from `picture_names`.
      output: folder; pictures go to `gray/NAME`, `predicted/NAME` and, for photos that have
        colour, `truth/NAME` (the photo's own bytes where its format is kept). Each is written under
        a temporary name and renamed, `predicted` last; then it is added to `finished.jsonl`.
      report: takes note of photos that cannot be opened, or not be written in their format or
        under their name.
      progress: called after each photo.
      at_once: photos to work on at the same time, at most; there are never more than processor
        cores and one. Opening, the network, merging and writing of different photos overlap.
      quality: of JPEG and WebP.

    Returns:
      Name -> `rmse` (of a* and b*, in CIE units) and `psnr` (of the RGB picture, in dB), over at
      most some 128 x 128 evenly spaced pixels; empty where there is no truth.

    Raises:
      OSError: the folder cannot be written or the disk is full.
    """

    def colour(path: str) -> dict[str, dict[str, float]]:
        name, scores = names[path], {}
        kind = format_of_name(name)
        try:
            data = read_file(path)
            photo = decode(data)
            predicted = colorizer.colorize(photo.pixels)
            gray = colorizer.gray(photo.pixels)
            write_file(output / "gray" / name, encode(gray, photo, kind, quality))
            if has_colour(photo.pixels):
                same = kind == photo.kind
                truth = data if same else encode(photo.pixels, photo, kind, quality)
                write_file(output / "truth" / name, truth)
                scores = _scores(predicted, photo.pixels)
            write_file(output / "predicted" / name, encode(predicted, photo, kind, quality))
            add_finished(output, name, path, scores)
        except (UnreadablePhoto, CannotEncode) as error:
            report.add_unreadable(path, str(error))
            return {}
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            report.add_unreadable(path, error.strerror.lower())
            return {}
        finally:
            progress()
        return {name: scores}

    remove_left_behind(output)
    # One more than cores, for one mostly waits for Python or the disk.
    workers = min(at_once, 1 + (os.cpu_count() or 1))
    scores: dict[str, dict[str, float]] = {}
    pool = ThreadPoolExecutor(workers)
    try:
        coloured: deque[Future] = deque()
        for path in names:
            coloured.append(pool.submit(colour, path))
            if len(coloured) > workers:
                scores.update(coloured.popleft().result())
        while coloured:
            scores.update(coloured.popleft().result())
    finally:
        pool.shutdown(cancel_futures=True)
    return scores


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
