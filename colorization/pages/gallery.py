"""The gallery: a page that shows coloured pictures beside the gray and true ones.

`write_gallery` turns `results/MODEL/{gray,predicted,truth}/NAME` into `results/MODEL/index.html`,
which needs no server or network. `gallery.html` is the page's template, `gallery.js` its script.

The page shows a portion of the pictures at a time, so that it is light for any number of them. The
first portion is in it as HTML, for readers without JavaScript too. For each further picture it has
a line of JSON, with what does not follow from the NAME, from which the script builds the rest.
"""

from __future__ import annotations

import contextlib
import json
import math
import mimetypes
import os
import re
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple
from urllib.parse import quote

from PIL import Image

from colorization.console import print_error, progress_bar
from colorization.data.own_results import THUMBNAILS, VIEWS, is_thumbnail
from colorization.decoding.film_kinds import has_film_ending
from colorization.errors import UserError
from colorization.files import atomic_write, files_below, remove, write_file
from colorization.films.source import poster
from colorization.machine import cores
from colorization.pages.page import render, thumbnail
from colorization.prediction.memory_budget import MemoryBudget
from colorization.prediction.picture_names import thumbnail_name
from colorization.prediction.results import read_scores
from colorization.wording import counted

# Pictures that the page shows at a time. A browser lays so many out in some tenths of a second.
PORTION = 1000

THUMBNAIL_SIDE = 320
# Most memory that a picture takes until it is reduced: with copies in colour and with opacity.
_BYTES_PER_PIXEL = 12
# Captions of the pictures in each of `own_results.VIEWS`.
_CAPTIONS = {
    "gray": "Gray",
    "unhinted": "Without hints",
    "predicted": "Predicted",
    "truth": "Truth",
}
# Scores of `colorize_folder.colorize_photos` that are shown.
_FIGURES = ("rmse", "psnr")

# Pictures of a row have equal height, for which the page needs their aspects: width / height in
# steps of a hundredth. The limits keep a panorama from filling a whole row.
_MIN_ASPECT, _MAX_ASPECT = 0.4, 3.0

# Stands in the template for further pictures. Nothing else on the page is a tag of this name.
_FURTHER_HERE = b"<further-pictures>"


class _View(NamedTuple):
    """One kind of a picture: ending and size of its thumbnail, which is "" if it cannot be read."""

    ending: str = ""
    width: int = 3
    height: int = 2


class _Figure(NamedTuple):
    """Difference between a picture and the truth in one measure."""

    key: str
    value: float

    def __str__(self) -> str:
        number = f"{self.value:.1f}" if math.isfinite(self.value) else "∞"
        return f"{number}\N{NO-BREAK SPACE}dB" if self.key == "psnr" else number

    @property
    def rounded(self) -> float:
        """A finite number, because JavaScript and Python spell infinity differently."""
        return float(f"{min(self.value, 1e9):.6g}")


class _Entry(NamedTuple):
    """What is shown of one NAME: its views by kind, and its figures by measure."""

    name: str
    views: Mapping[str, _View]
    figures: Mapping[str, _Figure]

    @property
    def address(self) -> str:
        """Of each view, below the folder of its kind."""
        return quote(os.fsencode(self.name))

    @property
    def thumbnail(self) -> str:
        """Of each view, below the thumbnails' folder of its kind, without the ending."""
        return thumbnail_name(self.name)

    @property
    def shape(self) -> int:
        """Width of the picture in hundredths of its height."""
        view = max(self.views.values(), key=lambda view: bool(view.ending), default=_View())
        return round(100 * min(max(view.width / view.height, _MIN_ASPECT), _MAX_ASPECT))


# The form that the script fills in for a further picture.
_FORM = _Entry(
    "FOLDER/NAME",
    {kind: _View(".jpg") for kind in VIEWS},
    {key: _Figure(key, 0.0) for key in _FIGURES},
)


class _Contents:
    """What the page shows; takes about a hundred bytes for each picture after the first portion."""

    def __init__(self):
        self.first: list[_Entry] = []
        self.shapes: set[int] = set()
        self.count = self.with_figures = 0
        self._figures = {key: array("d") for key in _FIGURES}
        # Many pictures have the same shape and views, which stand in JSON once, at their number.
        self._layouts: dict[str, int] = {}
        self._further = bytearray()

    def add(self, entry: _Entry) -> None:
        """Adds the entry of the next NAME."""
        self.count += 1
        self.with_figures += bool(entry.figures)
        self.shapes.add(entry.shape)
        for key, figure in entry.figures.items():
            self._figures[key].append(figure.value)
        if len(self.first) < PORTION:
            self.first.append(entry)
        else:
            self._further += b",\n" * bool(self._further) + self._line(entry)

    def _line(self, entry: _Entry) -> bytes:
        """Name, thumbnail, number of the layout, figures, address; without None at the end."""
        layout = _json([entry.shape, entry.views])
        # From names that are no Unicode, the script cannot tell the address.
        is_unicode = os.fsencode(entry.name) == entry.name.encode("utf-8", "replace")
        facts = [
            entry.name,
            entry.thumbnail,
            self._layouts.setdefault(layout, len(self._layouts)),
            *(entry.figures[key].rounded if key in entry.figures else None for key in _FIGURES),
            None if is_unicode else entry.address,
        ]
        while facts[-1] is None:
            facts.pop()
        return _json(facts).encode("utf-8", "replace")

    def further(self) -> bytes:
        """The pictures after the first portion, and their layouts, in JSON; empty without any."""
        if not self._further:
            return b""
        layouts = ",\n".join(self._layouts).encode()
        return b'{"layouts":[\n%b],\n"photos":[\n%b]}' % (layouts, self._further)

    def means(self) -> list[tuple[str, _Figure]]:
        """The label of each measure, and its mean over the pictures that have a finite one."""
        means = []
        for key, values in self._figures.items():
            finite = list(filter(math.isfinite, values))
            if finite:
                means.append((key.upper(), _Figure(key, fmean(finite))))
        return means


def _json(value: Any) -> str:
    """Compact JSON that may stand in HTML."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def write_gallery_of_results(folder: Path, model: str) -> Path:
    """Writes the page with the figures from the folder's records; see `write_gallery`."""
    return write_gallery(folder, f"{model}.py", read_scores(folder))


def write_gallery(folder: Path, title: str, scores: Mapping[str, Mapping[str, float]]) -> Path:
    """Writes the page of a results folder, with every picture in its `predicted`.

    Thumbnails are made if they are missing or outdated. Every file is written under a temporary
    name first, so that an interrupted run leaves the former page intact.

    Args:
      folder: holds `gray`, `predicted` and, for some pictures, `unhinted` and `truth` (see
        `own_results.VIEWS`), each with the same NAMEs, which may lie in subfolders. Files with a
        leading dot are not shown.
      title: heading of the page.
      scores: by NAME (with forward slashes): `rmse` of a*b* in CIE units and `psnr` of RGB in dB;
        empty without truth.

    Returns:
      The path of the page, `folder / "index.html"`.

    Raises:
      OSError: the folder cannot be written to. Pictures that cannot be read are shown as such.
    """
    contents = _Contents()
    for name, views in _view_all(folder, _list_pictures(folder / "predicted")):
        contents.add(_Entry(name, views, _figures(scores.get(name, {}))))
    page = folder / "index.html"
    write_file(page, _render(title, contents))
    return page


def _figures(scores: Mapping[str, float]) -> dict[str, _Figure]:
    return {key: _Figure(key, scores[key]) for key in _FIGURES if key in scores}


def _list_pictures(folder: Path) -> list[str]:
    """NAMEs of the pictures in a folder and its sub-folders, 2.jpg before 10.jpg."""
    names = (name for name in files_below(folder) if _may_be_picture(Path(name)))
    return sorted(sorted(filter(lambda name: (folder / name).is_file(), names)), key=_natural_key)


def _may_be_picture(name: Path) -> bool:
    media_type, _ = mimetypes.guess_type(f"name{name.suffix}")
    is_hidden = any(part.startswith(".") for part in name.parts) or name.name.lower() == "thumbs.db"
    # Films are recognized by name, because not every system knows all their media types.
    may_be_shown = (
        has_film_ending(name.name) or media_type is None or media_type.startswith("image/")
    )
    return may_be_shown and not is_hidden


def _natural_key(name: str) -> str:
    """Sorts as text and numbers in turn do, but takes far less memory than a list of them."""

    # What no name holds comes first, so that a number comes before any other text; a number of
    # more digits is a larger one.
    def number(match: re.Match) -> str:
        digits = str(int(match[0]))
        return f"\0{chr(len(digits))}{digits}"

    return re.sub(r"\d+", number, name.casefold())


def _view_all(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, dict[str, _View]]]:
    """Makes the thumbnails of each NAME; in the end, removes those whose picture is gone."""
    memory = MemoryBudget.of_pictures()
    without_pyav: list[UserError] = []

    def view(name: str) -> dict[str, _View]:
        views = {kind: _view(folder, kind, name, memory, without_pyav) for kind in VIEWS}
        return {kind: view for kind, view in views.items() if view}

    in_use = defaultdict(set)
    # Threads help, because Pillow decodes and scales without Python's lock.
    with (
        ThreadPoolExecutor(min(8, cores())) as threads,
        progress_bar(len(names), "making the page", " photos", delay=1, leave=False) as bar,
    ):
        # Threads remember all that they are given at once.
        for start in range(0, len(names), PORTION):
            portion = names[start : start + PORTION]
            for name, views in zip(portion, threads.map(view, portion), strict=True):
                yield name, views
                thumbnail = thumbnail_name(name)
                for kind, view_of_kind in views.items():
                    in_use[kind, view_of_kind.ending].add(thumbnail)
                bar.update()
    if without_pyav:
        films = counted(len(without_pyav), "film")
        print_error(f"{films} cannot be read for the page: {without_pyav[0]}")
    for file in files_below(folder / THUMBNAILS):
        path = folder / THUMBNAILS / file
        if is_thumbnail(file) and path.stem not in in_use[path.parent.name, path.suffix]:
            remove(path)


def _view(
    folder: Path, kind: str, name: str, memory: MemoryBudget, without_pyav: list[UserError]
) -> _View | None:
    """One kind of a picture; makes its thumbnail if need be. None if there is no such file.

    What says that a film needs PyAV is added to `without_pyav`.

    Raises:
      OSError: the thumbnail cannot be written.
    """
    picture = folder / kind / name
    base = folder / THUMBNAILS / kind / thumbnail_name(name)
    try:
        changed_at = picture.stat().st_mtime_ns
        if found := _find_thumbnail(base, changed_at):
            return found
        data, suffix, size = _reduced(picture, memory)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UserError as error:
        without_pyav.append(error)
        return _View()
    # Pillow's decoders raise all kinds of exceptions for damaged files.
    except Exception:
        return _View()
    base.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(base.with_suffix(suffix)) as temporary:
        temporary.write_bytes(data)
        # The thumbnail gets the time that the picture had before, in case it is changed meanwhile.
        os.utime(temporary, ns=(changed_at, changed_at))
    return _View(suffix, *size)


def _find_thumbnail(base: Path, changed_at: int) -> _View | None:
    """The view with a thumbnail; None if that is missing, damaged or outdated."""
    for suffix in (".jpg", ".png"):
        thumbnail = base.with_suffix(suffix)
        with contextlib.suppress(OSError):
            if thumbnail.stat().st_mtime_ns == changed_at:
                with Image.open(thumbnail) as image:
                    return _View(suffix, *image.size)
    return None


def _reduced(picture: Path, memory: MemoryBudget) -> tuple[bytes, str, tuple[int, int]]:
    """What `thumbnail` gives for a picture, as soon as there is memory for that."""
    with (
        poster(picture) if has_film_ending(picture.name) else Image.open(picture) as image,
        memory.taken(_BYTES_PER_PIXEL * math.prod(image.size)),
    ):
        return thumbnail(image, THUMBNAIL_SIDE)


def _render(title: str, contents: _Contents) -> bytes:
    further = contents.further()
    with_truth = contents.with_figures
    page = render(
        "gallery.html",
        title=title,
        count=contents.count,
        first=contents.first,
        has_further=bool(further),
        form=_FORM,
        captions=_CAPTIONS,
        shapes=sorted(contents.shapes),
        means=contents.means(),
        with_truth=with_truth if with_truth < contents.count else 0,
    )
    # The template would make several copies of what may be large.
    return page.replace(_FURTHER_HERE, further)
