"""Jobs of the page's clients: checking what they send, and colouring it."""

from __future__ import annotations

import html
import itertools
import logging
import os
import shutil
import threading
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from colorization.data.photo_files import read_file
from colorization.decoding.decode import page_offsets
from colorization.errors import NO_MEMORY, UnreadablePhoto, UserError, trouble_of_disk
from colorization.prediction.colorize import Colorizer
from colorization.prediction.hints import parse_point
from colorization.prediction.memory_budget import MemoryBudget
from colorization.prediction.picture_names import picture_names
from colorization.prediction.pictures import (
    JPEG_QUALITY,
    CannotEncode,
    decode,
    encode,
    format_of_name,
    notes,
)
from colorization.prediction.trained_network import has_global_features
from colorization.server.brush import draw_strokes
from colorization.server.painting import Planes, preview, reduced, strokes_as_png
from colorization.server.sessions import Request, Result, Sessions, Strokes
from colorization.training.checkpoint import has_model
from colorization.training.general_model import general_models
from colorization.training.settings import stored_settings

MAX_SATURATION = 3.0
_MAX_MODELS = 4
# Seconds between two updates of a page that waits for many photos.
_UPDATE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Models:
    """The trained models that a page offers. Each is loaded when it is first used.

    The general models that ship with the suite are included, as `pretrained/color` and so on.

    Attributes:
      default: name of the model that the server was started with.
      names: names of all models.
      with_style: names of the models that can take the style of another photo.
    """

    def __init__(self, model_dir: str, precision: str):
        """Loads the model in `model_dir` and finds those in the folders beside it.

        Raises:
          UserError: there is no trained model in `model_dir`.
        """
        folders = _model_folders(Path(model_dir))
        self.default = next(iter(folders))
        self._precision = precision
        self._folders = folders
        self._loaded: OrderedDict[tuple[str, bool], Colorizer] = OrderedDict()
        self._lock = threading.Lock()
        self.colorizer(self.default)
        settings = _usable_settings(folders, self.default)
        self._folders = {name: folders[name] for name in settings}
        self.names = list(settings)
        takes_style = {
            script: has_global_features({**settings[self.default], "model": script})
            for script in {stored["model"] for stored in settings.values()}
        }
        self.with_style = [name for name in settings if takes_style[settings[name]["model"]]]

    def full_name(self, name: object) -> object:
        """A model's full name; the name of a general model may lack `pretrained/`."""
        general = f"pretrained/{name}"
        return general if name not in self.names and general in self.names else name

    def colorizer(self, name: str, style: np.ndarray | None = None) -> Colorizer:
        """The model of that name; with a style, an instance that takes styles.

        Raises:
          UserError: it cannot be loaded.
        """
        key = (name, style is not None)
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = Colorizer(
                    self._folders[name], precision=self._precision, style=style
                )
                if len(self._loaded) > _MAX_MODELS:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(key)
            return self._loaded[key]


def _model_folders(chosen: Path) -> dict[str, str]:
    """Name -> folder of the chosen model, of those beside it and of the general ones."""
    general_folders = general_models()
    for name, folder in general_folders.items():
        if os.path.abspath(chosen) == folder:
            return {name: folder, **general_folders}
    # The path is made absolute only if it must be: TensorFlow finds no checkpoint below a folder
    # with a [ in its name, which the working folder may have.
    if chosen.name in ("", ".."):
        chosen = Path(os.path.abspath(chosen))
    sibling_folders = sorted(path.parent for path in chosen.parent.glob("*/settings.json"))
    own_folders = [chosen, *(folder for folder in sibling_folders if has_model(str(folder)))]
    return {**{folder.name: str(folder) for folder in own_folders}, **general_folders}


def _usable_settings(folders: dict[str, str], chosen: str) -> dict[str, dict[str, Any]]:
    """Name -> settings of the models that are of the same version as the chosen one."""
    chosen_settings = stored_settings(folders[chosen])
    settings_by_name = {}
    for name, folder in folders.items():
        try:
            settings = stored_settings(folder)
        except UserError as error:
            _log.warning("%s is left out: %s", folder, error)
            continue
        if settings is not None and settings.keys() == chosen_settings.keys():
            settings_by_name[name] = settings
    return settings_by_name


class Job(NamedTuple):
    """A checked request to colour photos.

    Attributes:
      photos: the photos to colour, in this order.
      colorizer: the model.
      memory: for the pictures of this job and of all others.
      saturation: factor of a* and b*.
      style: the style photo's `Colorizer.small_lightness`; None to use each photo's own.
      hints: points of each photo, see `hints.with_hints`.
      strokes: returns the strokes that were painted on a photo before.
    """

    photos: list[Path]
    colorizer: Colorizer
    memory: MemoryBudget
    saturation: float
    style: np.ndarray | None
    hints: list[list[Any]]
    strokes: Callable[[Path], Strokes] = lambda _: ()


def parse_job(
    models: Models,
    sessions: Sessions,
    memory: MemoryBudget,
    photos: Any,
    model: Any,
    saturation: Any,
    style: Any,
    hints: Any = None,
) -> Job:
    """Checks what a client sent, which may be anything.

    Raises:
      gr.Error: it is not a job.
    """
    if not photos:
        raise refusal("Send one photo or more.")
    paths = [_upload(sessions, photo) for photo in photos]
    style = _upload(sessions, style) if style else None
    model = models.full_name(model)
    if model not in models.names:
        raise refusal(f"There is no model {model!r}; choose from {', '.join(models.names)}.")
    if not isinstance(saturation, int | float) or not 0 < saturation <= MAX_SATURATION:
        raise refusal(f"Saturation must be a number above 0 and at most {MAX_SATURATION:g}.")
    points = _points(hints, len(paths))
    try:
        if style is None or model not in models.with_style:
            return Job(paths, models.colorizer(model), memory, saturation, None, points)
        data = read_file(str(style))
        with memory.taken_to_colour(data):
            pixels = decode(data).pixels
            colorizer = models.colorizer(model, pixels)
            small = colorizer.small_lightness(pixels)
        return Job(paths, colorizer, memory, saturation, small, points)
    except UnreadablePhoto as error:
        raise refusal(f"The style photo cannot be used: {error}.") from error
    except UserError as error:
        raise refusal(f"{error}.") from error


def _upload(sessions: Sessions, file_data: Any) -> Path:
    path = sessions.upload(file_data.get("path") if isinstance(file_data, dict) else None)
    if path is None:
        raise refusal("A photo is no longer here; drop it once more.")
    return path


def _points(hints: Any, photos: int) -> list[list[Any]]:
    if hints is None:
        return [[]] * photos
    if (
        not isinstance(hints, list)
        or len(hints) != photos
        or not all(points is None or isinstance(points, list) for points in hints)
    ):
        raise refusal("Hints must be a list for each photo, of [x, y, colour] each.")
    try:
        for point in (point for points in hints for point in points or ()):
            parse_point(point)
    except UserError as error:
        raise refusal(f"{error}.") from error
    return [points or [] for points in hints]


def refusal(message: str) -> gr.Error:
    """An error to raise, which the page shows to the visitor."""
    # The page shows messages as HTML.
    return gr.Error(
        html.escape(message, quote=False),
        duration=None,
        title="Not coloured",
        print_exception=False,
    )


def colorize_all(
    job: Job, request: Request, progress: gr.Progress
) -> Iterator[tuple[bool, dict[str, str]]]:
    """Colours the photos, adding to the results of the request.

    Yields:
      Whether all photos are done, False now and then and True at the end; and name -> reason for
      photos that could not be coloured, or only in part.

    Raises:
      FileNotFoundError: the session has ended.
      gr.Error: no photo could be coloured.
    """
    problems: dict[str, str] = {}
    updated_at = time.monotonic()
    labels = _labels(job.photos)
    names = picture_names({label: label for label in labels})
    for number, (path, label) in enumerate(zip(job.photos, labels, strict=True)):
        name = names[label]
        progress((number, len(names)), desc=path.name, unit="photos")
        try:
            files, strokes, remarks = _colorize(job, path, name, job.hints[number])
        except (UnreadablePhoto, CannotEncode, UserError) as error:
            if request.is_gone:
                raise FileNotFoundError(path) from error
            problems[label] = str(error)
            continue
        except MemoryError:
            problems[label] = NO_MEMORY
            continue
        if remarks:
            problems[label] = "; ".join(remarks)
        # Each picture has a folder of its own, so that its download keeps the photo's name.
        result = Result(
            request.folder / str(number) / name,
            request.folder / f"{number}-gray.jpg",
            request.folder / f"{number}-coloured.jpg",
            request.folder / f"{number}.npz",
            path,
            strokes,
        )
        try:
            _write(result, files)
        except OSError as error:
            if (trouble := trouble_of_disk(error)) is None:
                raise
            problems[label] = f"on the server, {trouble}"
            continue
        request.results.append(result)
        if time.monotonic() - updated_at > _UPDATE_SECONDS:
            yield False, problems
            updated_at = time.monotonic()
    if not request.results:
        raise refusal(named_problems(problems))
    yield True, problems


def _colorize(
    job: Job, path: Path, name: str, points: list[Any]
) -> tuple[tuple[bytes, bytes, bytes, bytes], Strokes, list[str]]:
    """Contents of the first four files of a `Result`, their strokes, and remarks for the user.

    The picture is the one that `--mode predict` writes, but only the first of several pages.
    """
    data = read_file(str(path))
    with job.memory.taken_to_colour(data):
        return _colorize_data(job, path, data, name, points)


def _colorize_data(
    job: Job, path: Path, data: bytes, name: str, points: list[Any]
) -> tuple[tuple[bytes, bytes, bytes, bytes], Strokes, list[str]]:
    """As `_colorize`; `data` is the photo's file."""
    photo = decode(data)
    remarks = list(notes(photo, format_of_name(name)))
    if further_pages := len(page_offsets(data)) - 1:
        remarks.append(
            f"its {further_pages} further pages are left out here; --mode predict colours them"
        )
    colorizer = job.colorizer
    small = colorizer.small_lightness(photo.pixels)
    whole = small if job.style is None else job.style
    planes = Planes(small, colorizer.predict(small, whole) * np.float32(job.saturation))
    gray = colorizer.gray(reduced(photo.pixels))
    strokes = None
    # Again if others were painted meanwhile, on the picture with the former settings.
    while strokes != (latest := job.strokes(path)):
        strokes = latest
        hints = points or draw_strokes(strokes, gray.shape[1::-1])
        coloured = planes.merge(photo.pixels, hints)
        picture = encode(coloured, photo, format_of_name(name), JPEG_QUALITY)
    previews = preview(gray, photo), preview(reduced(coloured), photo)
    return (picture, *previews, planes.to_bytes()), strokes, remarks


def _write(result: Result, files: Sequence[bytes]) -> None:
    """Writes the files from `_colorize` and the strokes, or none if that fails."""
    result.picture.parent.mkdir()
    try:
        for path, data in zip(result, files, strict=False):
            path.write_bytes(data)
        if result.strokes:
            result.strokes_file.parent.mkdir()
            result.strokes_file.write_bytes(strokes_as_png(result))
    except OSError:
        shutil.rmtree(result.picture.parent, ignore_errors=True)
        for path, _ in zip(result, files, strict=False):
            path.unlink(missing_ok=True)
        raise


def _labels(photos: Sequence[Path]) -> list[str]:
    """Names of the photos; equal ones get a number, so that all are different."""
    labels: list[str] = []
    used = {path.name for path in photos}
    for path in photos:
        label = path.name
        if label in labels:
            candidates = (f"{path.stem} ({number}){path.suffix}" for number in itertools.count(2))
            label = next(candidate for candidate in candidates if candidate not in used)
            used.add(label)
        labels.append(label)
    return labels


def named_problems(problems: Mapping[str, str]) -> str:
    """A few file names with their problems, and how many more there are."""
    listed = [f"{name}: {reason}" for name, reason in list(problems.items())[:5]]
    rest = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
    return f"{'; '.join(listed)}{rest}."


def write_zip(results: Sequence[Result], path: Path) -> Path:
    """Writes the coloured pictures into one archive; returns its path."""
    # The archive is stored uncompressed, because pictures are compressed already.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for result in results:
            archive.write(result.picture, result.picture.name)
    return path
