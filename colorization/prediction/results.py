"""The record of a results folder: which photo each picture was made from, and its figures.

`finished.jsonl` grows by a line with every picture, so that a run that is cut short loses none. A
line that makes no sense, such as one that was cut short itself, says nothing about the others. A
picture without a line is not finished, whoever left it there. `.begun.jsonl` names each picture
before it is written: a file that neither names is somebody else's, and nothing takes its place.
Each shard of a run has records of its own, because file systems that machines share mix up what two
of them append to one file.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from colorization.data.own_results import (
    BEGUN,
    FINISHED,
    NONSENSE,
    VIEWS,
    OwnResults,
    record_lines,
)
from colorization.data.photos import (
    Version,
    file_version,
    is_film,
    photo_id,
    size_and_time,
)
from colorization.errors import UnreadablePhoto, UserError
from colorization.files import locked
from colorization.prediction.pictures import FORMATS, KINDS, format_of_name
from colorization.prediction.portable_names import portable

_lock = threading.Lock()

# FFmpeg's names for the containers that hold everything a coloured film needs, by ending.
CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}


class Finished(NamedTuple):
    """Record of a finished picture.

    Attributes:
      photo: it was made from, as `photos.photo_id` gives it.
      version: of the photo; None where the record does not tell, or the picture was only begun.
      scores: its figures.
      hints: it was made with, as `hints.digest` gives them; empty if there were none.
    """

    photo: str
    version: Version | None
    scores: dict[str, float]
    hints: str = ""


@contextlib.contextmanager
def claimed(output: Path, shard: tuple[int, int] = (0, 1)) -> Iterator[None]:
    """Keeps other runs out of a results folder, which is made if need be.

    Only the shards of one run, which are equally many, write to it at the same time: no two of them
    give a picture the same name.

    Raises:
      UserError: another run is writing to it, or it cannot be written.
    """
    own = output / f".run{_of_shard(shard)}.lock"

    def of_other_runs() -> Iterator[Path]:
        for lock in output.glob(".run*.lock"):
            if lock != own and (shard[1] == 1 or not lock.stem.endswith(f"-of-{shard[1]}")):
                yield lock

    with locked(own, str(output), "run", "output", others=of_other_runs):
        (output / f"{FINISHED}{_of_shard(shard)}.jsonl").touch()
        yield


def require_own_page(output: Path) -> None:
    """Finds out whether the gallery would take the place of somebody else's page.

    Raises:
      UserError: it would.
    """
    page = output / "index.html"
    if page.exists() and not any(output.glob(f"{FINISHED}*.jsonl")):
        raise UserError(
            f"{page} is none of this program's, and the gallery would replace it; "
            "choose another --output"
        )


def add_begun(output: Path, name: str, path: str, shard: tuple[int, int] = (0, 1)) -> None:
    """Notes that a picture is being written, whose files are this program's from now on.

    Args:
      output, name, path, shard: see `add_finished`.

    Raises:
      OSError: the record cannot be written.
    """
    facts = {"picture": name, "photo": photo_id(path), "scores": {}}
    _add(output / f"{BEGUN}{_of_shard(shard)}.jsonl", facts)


def add_finished(
    output: Path,
    name: str,
    path: str,
    version: Version | None,
    scores: Mapping[str, float],
    hints: str = "",
    shard: tuple[int, int] = (0, 1),
) -> None:
    """Adds a picture to the record; several threads may do so.

    Args:
      output: the results folder.
      name: of the picture, below `predicted`.
      path: of its photo.
      version: of the photo when it was read; None if it is to be coloured anew.
      scores: see `colorize_folder.colorize_photos`.
      hints: see `Finished`.
      shard: whose record.

    Raises:
      OSError: the record cannot be written.
    """
    facts = {
        "picture": name,
        "photo": photo_id(path),
        "version": version and version._asdict(),
        "scores": dict(scores),
        "noted": time.time(),
    }
    if hints:
        facts["hints"] = hints
    _add(output / f"{FINISHED}{_of_shard(shard)}.jsonl", facts)


def _add(record: Path, facts: dict[str, Any]) -> None:
    line = f"{json.dumps(facts)}\n".encode()
    record.parent.mkdir(parents=True, exist_ok=True)
    with _lock, open(record, "a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            # A new line begins after one that was cut short.
            line = line if file.read() == b"\n" else b"\n" + line
        file.write(line)


def read_finished(output: Path) -> dict[str, Finished]:
    """Name -> what the records say last about it, for pictures that still exist."""
    return still_there(_recorded(output, FINISHED), output)


def still_there(known: Mapping[str, Finished | None], output: Path) -> dict[str, Finished]:
    """Those pictures of this program that still exist."""
    return {
        name: picture
        for name, picture in known.items()
        if picture and os.path.exists(output / "predicted" / name)
    }


def read_known(output: Path) -> dict[str, Finished | None]:
    """Name -> what the records say last about it, for all files in the folders of results.

    None for a file that they do not name.
    """
    # Files first: others that write to the same folder note a picture before they write it.
    present = {_key(name): name for name in _present(output)}
    recorded = _all_recorded(output)
    known = {name: picture for name, picture in recorded.items() if _key(name) in present}
    for name in known:
        present.pop(_key(name), None)
    return known | dict.fromkeys(present.values())


def _all_recorded(output: Path) -> dict[str, Finished]:
    return _recorded(output, BEGUN) | _recorded(output, FINISHED)


def _present(output: Path) -> Iterator[str]:
    for view in VIEWS:
        for folder, _, names in os.walk(output / view):
            for name in names:
                yield (Path(folder) / name).relative_to(output / view).as_posix()


def _recorded(output: Path, kind: str) -> dict[str, Finished]:
    noted: dict[str, float] = {}
    pictures: dict[str, Finished] = {}
    for line in record_lines(output, kind):
        with contextlib.suppress(*NONSENSE):
            facts = json.loads(line)
            name, when = str(facts["picture"]), float(facts.get("noted", 0))
            picture = Finished(
                str(facts["photo"]),
                _version(facts.get("version")),
                _believable(facts["scores"]),
                str(facts.get("hints", "")),
            )
            if when >= noted.get(name, 0):
                noted[name], pictures[name] = when, picture
    return pictures


def _of_shard(shard: tuple[int, int]) -> str:
    """What the names of a shard's records end with."""
    index, count = shard
    return "" if count == 1 else f"-{index}-of-{count}"


def _version(facts: object) -> Version | None:
    with contextlib.suppress(*NONSENSE):
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
    """The photos that are no pictures of a results folder, so that none is coloured again.

    Raises:
      UserError: there are none.
    """
    results = OwnResults()

    def is_result(path: str) -> bool:
        # No file has such a name, which a list of photos may hold and `realpath` cannot bear.
        if "\0" in path:
            return False
        folder = results.folder_of(os.path.realpath(photo_id(path)).replace(os.sep, "/"))
        return bool(folder) and output.exists() and os.path.samefile(folder, output)

    kept = [path for path in paths if not is_result(path)]
    if not kept:
        raise UserError(
            f"no photos but the pictures in {output}; name others or choose another --output"
        )
    return kept


def thumbnail_name(name: str) -> str:
    """What the thumbnails of a picture are named, but for the ending."""
    # The name has a fixed length and plain characters, and `a.png` and `a.jpg` do not meet.
    return hashlib.blake2b(os.fsencode(name), digest_size=10).hexdigest()


def film_name(name: str) -> str:
    """The name of a coloured film: the film's own, with `.mp4` added to containers of old."""
    return name if Path(name).suffix.lower() in CONTAINERS else f"{name}.mp4"


def picture_names(
    places: Mapping[str, str],
    format: str | None = None,
    known: Mapping[str, Finished | None] | None = None,
) -> dict[str, str]:
    """Names of the pictures and coloured films below the folders of a results folder.

    Args:
      places: path -> place of a photo or film, from `photos.find_places`.
      format: a key of `pictures.FORMATS`, for all photos; by default their own.
      known: what the results folder holds, from `read_known`.

    Returns:
      path -> name: the photo's place, whatever other photos there are. The format's ending is added
      to names that have another one, `.png` to names of formats that hold no coloured photo,
      `.mp4` to those of films in containers of old. Only where this name is another photo's
      already, in `places` or in the results folder, or a folder's, or a file there that is nobody's
      picture, it gets a number. No two names are equal, not even on file systems that know no
      capitals, and every file system takes all of them, see `portable_names`.
    """
    wanted = (FORMATS[format][1],) if format else KINDS
    ending = FORMATS[format or "png"][0]

    def own_name(path: str, place: str) -> str:
        if is_film(path):
            return film_name(place)
        return place if format_of_name(place) in wanted else f"{place}{ending}"

    own = {path: os.path.splitext(own_name(path, place)) for path, place in places.items()}
    names: dict[str, str] = {}
    # No picture may have the name of a folder.
    taken = {_key(folder) for folder in _folders(portable(*parts) for parts in own.values())}
    others = {_key(name): picture for name, picture in (known or {}).items()}

    def is_free(name: str, path: str) -> bool:
        key = _key(name)
        if key in taken:
            return False
        return key not in others or (others[key] is not None and is_of_photo(others[key], path))

    # Pictures that keep their names come first, so that no other takes one of these.
    for path in sorted(places, key=lambda path: portable(*own[path]) != places[path]):
        stem, its_ending = own[path]
        endings = (f" ({number}){its_ending}" for number in itertools.count(2))
        tries = (portable(stem, added) for added in itertools.chain([its_ending], endings))
        names[path] = next(name for name in tries if is_free(name, path))
        taken.add(_key(names[path]))
    return {path: names[path] for path in places}


def _folders(names: Iterable[str]) -> set[str]:
    """The folders that files of these names lie in, with those above."""
    folders = {name.rpartition("/")[0] for name in names}
    return folders | {
        folder[: place.start()] for folder in folders for place in re.finditer("/", folder)
    }


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
