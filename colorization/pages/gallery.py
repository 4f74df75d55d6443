"""The gallery: a page that shows coloured pictures beside the gray and true ones.

`write_gallery` turns `results/MODEL/{gray,predicted,truth}/NAME` into `results/MODEL/index.html`,
which needs no server or network. `gallery.html` is the page's template, `gallery.js` its script.
"""

from __future__ import annotations

import contextlib
import math
import mimetypes
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import NamedTuple
from urllib.parse import quote

from PIL import Image

from colorization.console import progress_bar
from colorization.data.own_results import THUMBNAILS, VIEWS, is_thumbnail
from colorization.decoding.film_kinds import has_film_ending
from colorization.files import atomic_write, write_file
from colorization.films.source import poster
from colorization.machine import cores
from colorization.pages.page import render, thumbnail
from colorization.prediction.picture_names import thumbnail_name
from colorization.prediction.results import read_finished

THUMBNAIL_SIDE = 320
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


class _View(NamedTuple):
    """One kind of a picture: its address, and its thumbnail if it can be read."""

    href: str
    thumbnail: str = ""
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
    def sort_key(self) -> str:
        """A finite number, because JavaScript and Python spell infinity differently."""
        return f"{min(self.value, 1e9):.6g}"


class _Entry(NamedTuple):
    """What is shown of one NAME: its views by kind, and its figures by measure."""

    name: str
    views: Mapping[str, _View]
    figures: Mapping[str, _Figure]

    @property
    def shape(self) -> int:
        """Width of the picture in hundredths of its height."""
        view = max(self.views.values(), key=lambda view: bool(view.thumbnail), default=_View(""))
        return round(100 * min(max(view.width / view.height, _MIN_ASPECT), _MAX_ASPECT))


def write_gallery_of_results(folder: Path, model: str) -> Path:
    """Writes the page with the figures from the folder's records; see `write_gallery`."""
    scores = {name: picture.scores for name, picture in read_finished(folder).items()}
    return write_gallery(folder, f"{model}.py", scores)


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
    names = _list_pictures(folder / "predicted")
    views = _view_all(folder, names)
    entries = [_Entry(name, views[name], _figures(scores.get(name, {}))) for name in names]
    page = folder / "index.html"
    write_file(page, _render(title, entries))
    return page


def _figures(scores: Mapping[str, float]) -> dict[str, _Figure]:
    return {key: _Figure(key, scores[key]) for key in _FIGURES if key in scores}


def _list_pictures(folder: Path) -> list[str]:
    """NAMEs of the pictures in a folder and its sub-folders, 2.jpg before 10.jpg."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted((name.as_posix() for name in names if _may_be_picture(name)), key=_natural_key)


def _may_be_picture(name: Path) -> bool:
    media_type, _ = mimetypes.guess_type(f"name{name.suffix}")
    is_hidden = any(part.startswith(".") for part in name.parts) or name.name.lower() == "thumbs.db"
    # Films are recognized by name, because not every system knows all their media types.
    may_be_shown = (
        has_film_ending(name.name) or media_type is None or media_type.startswith("image/")
    )
    return may_be_shown and not is_hidden


def _natural_key(name: str) -> tuple[list[str | int], str]:
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def _view_all(folder: Path, names: Sequence[str]) -> dict[str, dict[str, _View]]:
    """Makes the thumbnails; removes those whose picture is gone."""

    def view(name: str) -> dict[str, _View]:
        views = {kind: _view(folder, kind, name) for kind in VIEWS}
        return {kind: view for kind, view in views.items() if view}

    # Threads help, because Pillow decodes and scales without Python's lock. Their number is
    # limited, because large pictures take much memory.
    with (
        ThreadPoolExecutor(min(8, cores())) as threads,
        progress_bar(len(names), "making the page", " photos", delay=1, leave=False) as bar,
    ):
        views = {}
        for name, views_of_name in zip(names, threads.map(view, names), strict=True):
            views[name] = views_of_name
            bar.update()
    in_use = {view.thumbnail for by_kind in views.values() for view in by_kind.values()}
    for path in (folder / THUMBNAILS).glob("*/*"):
        is_ours = is_thumbnail(path.relative_to(folder / THUMBNAILS).as_posix())
        if is_ours and path.relative_to(folder).as_posix() not in in_use:
            path.unlink(missing_ok=True)
    return views


def _view(folder: Path, kind: str, name: str) -> _View | None:
    """One kind of a picture; makes its thumbnail if need be. None if there is no such file."""
    href = f"{kind}/{quote(os.fsencode(name))}"
    base = thumbnail_name(name)
    try:
        picture = folder / kind / name
        changed_at = picture.stat().st_mtime_ns
        thumbnails = folder / THUMBNAILS / kind
        suffix, size = _find_thumbnail(thumbnails / base, changed_at) or _make_thumbnail(
            picture, thumbnails / base, changed_at
        )
        return _View(href, f"{THUMBNAILS}/{kind}/{base}{suffix}", *size)
    except (FileNotFoundError, NotADirectoryError):
        return None
    # Pillow's decoders raise all kinds of exceptions for damaged files.
    except Exception:
        return _View(href)


def _find_thumbnail(base: Path, changed_at: int) -> tuple[str, tuple[int, int]] | None:
    """Suffix and size of a thumbnail; None if it is missing, damaged or outdated."""
    for suffix in (".jpg", ".png"):
        thumbnail = base.with_suffix(suffix)
        with contextlib.suppress(OSError):
            if thumbnail.stat().st_mtime_ns == changed_at:
                with Image.open(thumbnail) as image:
                    return suffix, image.size
    return None


def _make_thumbnail(picture: Path, base: Path, changed_at: int) -> tuple[str, tuple[int, int]]:
    """Suffix and size of a new thumbnail."""
    with poster(picture) if has_film_ending(picture.name) else Image.open(picture) as image:
        data, suffix, size = thumbnail(image, THUMBNAIL_SIDE)
    base.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(base.with_suffix(suffix)) as temporary:
        temporary.write_bytes(data)
        # The thumbnail gets the time that the picture had before, in case it is changed meanwhile.
        os.utime(temporary, ns=(changed_at, changed_at))
    return suffix, size


def _render(title: str, entries: Sequence[_Entry]) -> bytes:
    scored = [entry.figures for entry in entries if entry.figures]
    means = []
    for key in _FIGURES:
        values = [figures[key] for figures in scored if key in figures]
        finite = [figure.value for figure in values if math.isfinite(figure.value)]
        if finite:
            means.append((key.upper(), _Figure(key, fmean(finite))))
    return render(
        "gallery.html",
        title=title,
        entries=entries,
        captions=_CAPTIONS,
        shapes=sorted({entry.shape for entry in entries}),
        means=means,
        with_truth=len(scored) if len(scored) < len(entries) else 0,
    )
