"""The record of a results folder: which photo each picture was made from, and its figures.

`finished.jsonl` grows by a line with every picture, so that a run that is cut short loses none. A
line that makes no sense, such as one that was cut short itself, says nothing about the others. A
picture without a line is not finished, whoever left it there.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from colorization.data.photos import is_film, photo_id
from colorization.errors import UserError
from colorization.prediction.pictures import FORMATS, KINDS, format_of_name
from colorization.prediction.video import CONTAINERS

_RECORD = "finished.jsonl"
_lock = threading.Lock()

VIEWS = ("gray", "predicted", "truth")
# All that a results folder has.
FOLDERS = (*VIEWS, "thumbnails")


class Finished(NamedTuple):
    """What is known of a picture.

    Attributes:
      photo: it was made from, as `photos.photo_id` gives it.
      scores: its figures.
      hints: it was made with, as `hints.digest` gives them; empty if there were none.
    """

    photo: str
    scores: dict[str, float]
    hints: str = ""


def add_finished(
    output: Path, name: str, path: str, scores: Mapping[str, float], hints: str = ""
) -> None:
    """Adds a picture to the record; several threads may do so.

    Args:
      output: the results folder.
      name: of the picture, below `predicted`.
      path: of its photo.
      scores: see `colorize_folder.colorize_photos`.
      hints: see `Finished`.

    Raises:
      OSError: the record cannot be written.
    """
    facts = {"picture": name, "photo": photo_id(path), "scores": dict(scores)}
    if hints:
        facts["hints"] = hints
    line = f"{json.dumps(facts)}\n".encode()
    with _lock, open(output / _RECORD, "a+b") as record:
        if record.tell():
            record.seek(-1, os.SEEK_END)
            # After half a line, a new one begins.
            line = line if record.read() == b"\n" else b"\n" + line
        record.write(line)


def read_finished(output: Path) -> dict[str, Finished]:
    """Name -> what the record says last about it, for pictures that still exist."""
    finished: dict[str, Finished] = {}
    with contextlib.suppress(FileNotFoundError), open(output / _RECORD, "rb") as record:
        for line in record:
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                facts = json.loads(line, parse_int=float)
                name, photo = str(facts["picture"]), str(facts["photo"])
                finished[name] = Finished(
                    photo, _believable(facts["scores"]), str(facts.get("hints", ""))
                )
    return {
        name: picture
        for name, picture in finished.items()
        if os.path.exists(output / "predicted" / name)
    }


def _believable(scores: object) -> dict[str, float]:
    """RMSE and PSNR are never negative; the PSNR of equals is infinite."""
    if not isinstance(scores, Mapping):
        return {}
    return {
        key: float(value)
        for key, value in scores.items()
        if isinstance(value, Real) and not isinstance(value, bool) and value >= 0
    }


def without_results(paths: Sequence[str], output: Path) -> list[str]:
    """The photos that lie in none of the folders which the pictures of a results folder go to.

    So no picture is coloured again, and none takes the place of a photo.

    Raises:
      UserError: there are none.
    """
    results = tuple(os.path.join(os.path.realpath(output / name), "") for name in FOLDERS)

    def is_result(path: str) -> bool:
        # No file has such a name, which a list of photos may hold and `realpath` cannot bear.
        return "\0" not in path and os.path.realpath(photo_id(path)).startswith(results)

    kept = [path for path in paths if not is_result(path)]
    if not kept:
        raise UserError(
            f"no photos but those in {output}/{{{','.join(FOLDERS)}}}, where results go; "
            "name others or choose another --output"
        )
    return kept


def places(paths: Sequence[str]) -> dict[str, str]:
    """Path -> the same path below the folder that all of them have in common."""
    root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    return {path: os.path.relpath(os.path.abspath(path), root) for path in paths}


def film_name(name: str) -> str:
    """The name of a coloured film: the film's own, with `.mp4` added to containers of old."""
    return name if Path(name).suffix.lower() in CONTAINERS else f"{name}.mp4"


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
      the format, or a film's own. Names of formats that hold no coloured photo get `.png` added,
      those of films `.mp4`; so does, with its own ending, a name that another photo has
      already, or it gets a number. No two names are equal, not even on file systems that know no
      capitals.
    """
    own = places(paths)
    own.update((path, film_name(own[path])) for path in paths if is_film(path))
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
