"""The record of a results folder: which photo each picture was made from, and its figures.

`finished.jsonl` grows by a line with every picture, so that a run that is cut short loses none. A
line that makes no sense, such as one that was cut short itself, says nothing about the others. A
picture without a line is not finished, whoever left it there. Each shard of a run has a record of
its own, because file systems that machines share mix up what two of them append to one file.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from colorization.data.photos import (
    Version,
    file_version,
    is_film,
    photo_id,
    size_and_time,
)
from colorization.errors import UnreadablePhoto, UserError
from colorization.prediction.pictures import FORMATS, KINDS, format_of_name
from colorization.prediction.portable_names import portable
from colorization.prediction.video import CONTAINERS

_lock = threading.Lock()
# Errors that reading a damaged line of the record may raise.
_NONSENSE = (ValueError, KeyError, TypeError, RecursionError, OverflowError)

# Folder -> what is in it, as the gallery names it. `unhinted` is what the network says alone, of
# photos that are predicted with hints.
VIEWS = {
    "gray": "Gray",
    "unhinted": "Without hints",
    "predicted": "Predicted",
    "truth": "Truth",
}
# Everything that a results folder holds.
FOLDERS = (*VIEWS, "thumbnails")


class Finished(NamedTuple):
    """Record of a finished picture.

    Attributes:
      photo: it was made from, as `photos.photo_id` gives it.
      version: of the photo; None where the record does not tell.
      scores: its figures.
      hints: it was made with, as `hints.digest` gives them; empty if there were none.
    """

    photo: str
    version: Version | None
    scores: dict[str, float]
    hints: str = ""


def add_finished(
    output: Path,
    name: str,
    path: str,
    version: Version,
    scores: Mapping[str, float],
    hints: str = "",
    shard: tuple[int, int] = (0, 1),
) -> None:
    """Adds a picture to the record; several threads may do so.

    Args:
      output: the results folder.
      name: of the picture, below `predicted`.
      path: of its photo.
      version: of the photo when it was read.
      scores: see `colorize_folder.colorize_photos`.
      hints: see `Finished`.
      shard: whose record.

    Raises:
      OSError: the record cannot be written.
    """
    facts = {
        "picture": name,
        "photo": photo_id(path),
        "version": version._asdict(),
        "scores": dict(scores),
        "noted": time.time(),
    }
    if hints:
        facts["hints"] = hints
    line = f"{json.dumps(facts)}\n".encode()
    with _lock, open(output / _record(shard), "a+b") as record:
        if record.tell():
            record.seek(-1, os.SEEK_END)
            # A new line begins after one that was cut short.
            line = line if record.read() == b"\n" else b"\n" + line
        record.write(line)


def read_finished(output: Path) -> dict[str, Finished]:
    """Name -> what the records say last about it, for pictures that still exist."""
    noted: dict[str, float] = {}
    finished: dict[str, Finished] = {}
    for line in _lines(output):
        with contextlib.suppress(*_NONSENSE):
            facts = json.loads(line)
            name, when = str(facts["picture"]), float(facts.get("noted", 0))
            picture = Finished(
                str(facts["photo"]),
                _version(facts.get("version")),
                _believable(facts["scores"]),
                str(facts.get("hints", "")),
            )
            if when >= noted.get(name, 0):
                noted[name], finished[name] = when, picture
    return {
        name: picture
        for name, picture in finished.items()
        if os.path.exists(output / "predicted" / name)
    }


def _record(shard: tuple[int, int]) -> str:
    index, count = shard
    return "finished.jsonl" if count == 1 else f"finished-{index}-of-{count}.jsonl"


def _lines(output: Path) -> Iterator[bytes]:
    for path in sorted(output.glob("finished*.jsonl")):
        with open(path, "rb") as record:
            yield from record


def _version(facts: object) -> Version | None:
    with contextlib.suppress(*_NONSENSE):
        return Version(int(facts["size"]), int(facts["time"]), str(facts["sha256"]))
    return None


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


def film_name(name: str) -> str:
    """The name of a coloured film: the film's own, with `.mp4` added to containers of old."""
    return name if Path(name).suffix.lower() in CONTAINERS else f"{name}.mp4"


def picture_names(
    places: Mapping[str, str],
    format: str | None = None,
    finished: Mapping[str, Finished] | None = None,
) -> dict[str, str]:
    """Names of the pictures and coloured films below the folders of a results folder.

    Args:
      places: path -> place of a photo or film, from `photos.find_places`.
      format: a key of `pictures.FORMATS`, for all photos; by default their own.
      finished: what the results folder holds, from `read_finished`.

    Returns:
      path -> name: the photo's place, whatever other photos there are. The format's ending is added
      to names that have another one, `.png` to names of formats that hold no coloured photo,
      `.mp4` to those of films in containers of old. Only where this name is another photo's
      already, in `places` or in the results folder, it gets a number. No two names are equal, not
      even on file systems that know no capitals, and every file system takes all of them, see
      `portable_names`.
    """
    wanted = (FORMATS[format][1],) if format else KINDS
    ending = FORMATS[format or "png"][0]

    def own_name(place: str) -> str:
        if is_film(place):
            return film_name(place)
        return place if format_of_name(place) in wanted else f"{place}{ending}"

    own = {path: os.path.splitext(own_name(place)) for path, place in places.items()}
    names: dict[str, str] = {}
    taken: set[str] = set()
    others = {_key(name): picture for name, picture in (finished or {}).items()}

    def is_free(name: str, path: str) -> bool:
        key = _key(name)
        return key not in taken and (key not in others or is_of_photo(others[key], path))

    # Pictures that keep their names come first, so that no other takes one of these.
    for path in sorted(places, key=lambda path: portable(*own[path]) != places[path]):
        stem, its_ending = own[path]
        endings = (f" ({number}){its_ending}" for number in itertools.count(2))
        tries = (portable(stem, added) for added in itertools.chain([its_ending], endings))
        names[path] = next(name for name in tries if is_free(name, path))
        taken.add(_key(names[path]))
    return {path: names[path] for path in places}


def _key(name: str) -> str:
    """A key that names share if some file system takes them for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def is_of_photo(picture: Finished, path: str) -> bool:
    """Whether a picture was made from a photo: from this path, or from the same content."""
    return picture.photo == photo_id(path) or is_up_to_date(picture, path)


def is_up_to_date(picture: Finished, path: str) -> bool:
    """Whether a picture was made from the content that a photo has now.

    A photo of the same path, size and time counts as the same; else its content is compared.
    """
    if picture.version is None:
        return False
    with contextlib.suppress(UnreadablePhoto):
        size, time = size_and_time(path)
        if size == picture.version.size:
            same = picture.photo == photo_id(path) and time == picture.version.time
            return same or file_version(path).sha256 == picture.version.sha256
    return False
