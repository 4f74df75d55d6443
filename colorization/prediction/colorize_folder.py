"""Colours many photos, several at the same time, and writes the pictures."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from colorization.data.lab_planes import to_sheet
from colorization.data.own_results import VIEWS
from colorization.data.photo_files import Version, read_file, size_and_time
from colorization.errors import UnreadablePhoto, UserError, why_not_coloured
from colorization.files import write_file
from colorization.lab import lab_numpy
from colorization.machine import cores
from colorization.prediction.hints import Hints, digest
from colorization.prediction.memory_budget import MemoryBudget
from colorization.prediction.pictures import (
    CannotEncode,
    decode_pages,
    encode,
    format_of_name,
    further_page,
    join_pages,
    notes,
)
from colorization.prediction.results import add_begun, add_finished
from colorization.wording import printable

if TYPE_CHECKING:
    from colorization.data.report import Report
    from colorization.prediction.colorize import Colorizer

_log = logging.getLogger(__name__)

# Number of pixels that are checked for colour at a time.
_STRIP_PIXELS = 2**20
_SCORED_SIDE = 128


def colorize_photos(
    colorizer: Colorizer,
    names: Mapping[str, str],
    output: Path,
    report: Report,
    progress: Callable[[], object],
    *,
    workers: int,
    quality: int,
    hints: Mapping[str, Hints] | None = None,
    keep: str = "all",
    shard: tuple[int, int] = (0, 1),
) -> dict[str, dict[str, float]]:
    """Colours photos and writes what the gallery shows.

    Args:
      colorizer: the model.
      names: path -> name of the picture, from `picture_names`.
      output: folder; pictures go to `gray/NAME` and `predicted/NAME`, for photos with hints also
        to `unhinted/NAME`, for photos that have colour to `truth/NAME`. `truth/NAME`, or
        `gray/NAME` of a photo without colour, is a copy of the photo's file if its format is kept
        and nothing is left out. Each file is written under a temporary name and renamed,
        `predicted` last; then the photo is added to the record of `results`.
      report: records photos that cannot be opened or written, and parts of others that are left
        out, such as pages.
      progress: called after each photo.
      workers: most photos to work on at the same time; there is at most one more than processor
        cores, and fewer where large ones would take more than half of the memory. Opening,
        predicting, merging and writing of different photos overlap.
      quality: of JPEG and WebP.
      hints: path -> hints, for photos that have some.
      keep: "all", or "predicted" to write only those pictures.
      shard: the shard to whose record finished photos are added; see `results.add_finished`.

    Returns:
      Name -> `rmse` (of a* and b*, in CIE units) and `psnr` (of the RGB picture, in dB), over at
      most about 128 x 128 evenly spaced pixels; empty if the photo has no colour.

    Raises:
      UserError: hints make no sense for the only photo.
      OSError: the folder cannot be written or the disk is full.
    """
    memory = MemoryBudget.of_files(), MemoryBudget.of_pictures()
    run = _Run(colorizer, output, report, quality, keep, shard, *memory)

    def colorize(path: str) -> dict[str, dict[str, float]]:
        try:
            return run.colorize_file(path, names[path], (hints or {}).get(path))
        finally:
            progress()

    output.mkdir(parents=True, exist_ok=True)
    # There is one more than cores, because one usually waits for Python or the disk.
    workers = min(workers, 1 + cores())
    scores: dict[str, dict[str, float]] = {}
    for photo_scores in _in_parallel(colorize, names, workers):
        scores.update(photo_scores)
    return scores


def how_made(colorizer: Colorizer, quality: int) -> str:
    """Tells pictures apart that differ because of the model or of options; see `Finished`."""
    return f"{colorizer.fingerprint} {quality}"


class _Run(NamedTuple):
    """What all photos of a run share: arguments of `colorize_photos`, and memory."""

    colorizer: Colorizer
    output: Path
    report: Report
    quality: int
    keep: str
    shard: tuple[int, int]
    files: MemoryBudget
    pictures: MemoryBudget

    def colorize_file(
        self, path: str, name: str, hints: Hints | None
    ) -> dict[str, dict[str, float]]:
        """Writes and records a photo's pictures; returns name -> scores, {} if it fails."""
        try:
            size, time = size_and_time(path)
            with self.files.taken(size):
                data = read_file(path)
                version = Version(size, time, hashlib.sha256(data).hexdigest())
                # Strokes that are saved again from here on are others for the next run.
                hints_digest = digest(hints)
                with self.pictures.taken_to_colour(data):
                    views, scores = self._views(path, data, format_of_name(name), hints)
                add_begun(self.output, name, path, self.shard)
                self._write(name, views)
            # Without a version, every run colours and reports a photo with unreadable pages.
            recorded_version = None if path in self.report.unreadable else version
            made = how_made(self.colorizer, self.quality)
            add_finished(
                self.output, name, path, recorded_version, scores, hints_digest, self.shard, made
            )
        except (UnreadablePhoto, CannotEncode, UserError, MemoryError, OSError) as error:
            # Wrong hints end the run of a single photo; in a run of many, the others go on.
            if isinstance(error, UserError) and self.report.total == 1:
                raise
            # No other picture could be written either.
            if not self.output.exists():
                raise
            self.report.add_unreadable(path, why_not_coloured(error, name))
            return {}
        return {name: scores}

    def _write(self, name: str, views: Mapping[str, bytes]) -> None:
        # `predicted` comes last, because its presence means that the photo is done.
        for view in sorted(VIEWS, key=lambda view: view == "predicted"):
            if view in views:
                write_file(self.output / view / name, views[view])
            else:
                # A file there was made from an earlier photo of the same place.
                (self.output / view / name).unlink(missing_ok=True)

    def _views(
        self, path: str, data: bytes, kind: str, hints: Hints | None
    ) -> tuple[dict[str, bytes], dict[str, float]]:
        """A photo's encoded pictures by view, all pages; and the scores of the first one in colour.

        Raises:
          UnreadablePhoto, CannotEncode: the photo cannot be opened or written.
        """
        pages: dict[str, list[bytes]] = {view: [] for view in VIEWS}
        problems: list[str] = []
        scores: dict[str, float] = {}
        has_truth, has_hints = False, hints is not None
        for photo in decode_pages(data, kind, problems):
            if pages["predicted"]:
                photo, hints = further_page(photo), None
            predicted = self.colorizer.colorize(photo.pixels, hints)
            pages["predicted"].append(encode(predicted, photo, kind, self.quality))
            for note in notes(photo, kind):
                _log.warning("%s: %s", printable(path), note)
            if self.keep == "predicted":
                continue
            if has_hints:
                unhinted = predicted if hints is None else self.colorizer.colorize(photo.pixels)
                pages["unhinted"].append(encode(unhinted, photo, kind, self.quality))
            # TIFF files are always encoded anew, because viewers do not open every kind of TIFF.
            can_copy = photo.kind == kind != "TIFF" and not photo.notes
            color = color_kind(photo.pixels)
            if color == "gray" and can_copy:
                gray = data
            else:
                gray = encode(self.colorizer.gray(photo.pixels), photo, kind, self.quality)
            truth = gray
            if color == "colour":
                has_truth, scores = True, scores or _scores(predicted, photo.pixels)
                truth = data if can_copy else encode(photo.pixels, photo, kind, self.quality)
            pages["gray"].append(gray)
            pages["truth"].append(truth)
        if problems:
            self.report.add_unreadable(path, "; ".join(problems), in_part=True)
        views = {view: join_pages(encoded) for view, encoded in pages.items() if encoded}
        if not has_truth:
            views.pop("truth", None)
        return views, scores


def _in_parallel(function: Callable, items: Iterable, workers: int) -> Iterator:
    """Applies a function to each item in threads; yields the results in order.

    Only a few items are begun ahead of the consumer. An error cancels items not yet begun.
    """
    pool = ThreadPoolExecutor(workers)
    try:
        futures: deque[Future] = deque()
        for item in items:
            futures.append(pool.submit(function, item))
            if len(futures) > workers:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def color_kind(pixels: np.ndarray) -> str:
    """Kind of pixels `[height, width, channels]`: "gray", "toned" or "colour", see `to_sheet`."""
    if pixels.shape[2] == 1:
        return "gray"
    rows = max(16, _STRIP_PIXELS // pixels.shape[1])
    strips = (pixels[start : start + rows] for start in range(0, len(pixels), rows))
    if all(lab_numpy.is_gray(strip) for strip in strips):
        return "gray"
    _, kind = to_sheet(Image.fromarray(pixels))
    # A few coloured pixels may vanish when the photo is reduced; they still count as colour.
    return "toned" if kind == "toned" else "colour"


def _scores(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    height, width, _ = truth.shape
    sampled = np.s_[:: -(-height // _SCORED_SIDE), :: -(-width // _SCORED_SIDE)]
    predicted, truth = predicted[sampled], truth[sampled]
    difference = lab_numpy.chroma(predicted) - lab_numpy.chroma(truth)
    mean_square = np.mean(np.square(predicted.astype(np.float32) - truth))
    return {
        "rmse": float(np.sqrt(np.mean(np.square(difference)))),
        "psnr": float(20 * np.log10(255) - 10 * np.log10(mean_square)) if mean_square else np.inf,
    }
