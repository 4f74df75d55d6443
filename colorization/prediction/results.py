"""The record of a results folder: which photo each picture was made from, and its figures.

`finished.jsonl` gets a line for every finished picture, so that an interrupted run loses none.
Lines that cannot be read, such as one cut short, are skipped. A picture without a line is not
finished. `.begun.jsonl` names each picture before it is written: a file that neither record names
is not this program's and is never replaced. Each shard of a run has its own records, because shared
file systems may mix up what two machines append to one file.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

from colorization.data.in_threads import in_threads
from colorization.data.own_results import VIEWS, OwnResults
from colorization.data.photo_files import Version, size_and_time
from colorization.data.places import photo_id
from colorization.data.records import BEGUN, FINISHED, Finished, read_lines, record_files
from colorization.errors import UnreadablePhoto, UserError
from colorization.files import files_below, locked, remove_left_behind, staying
from colorization.prediction.portable_names import comparison_key

_Kept = TypeVar("_Kept")

_lock = threading.Lock()


@contextlib.contextmanager
def claimed(output: Path, shard: tuple[int, int] = (0, 1)) -> Iterator[None]:
    """Keeps other runs out of a results folder, which is made if need be.

    What killed runs were writing there is removed first. Shards of one run may write to it at the
    same time, as they never give two pictures one name. Locks of another number of shards belong to
    other runs.

    Raises:
      UserError: another run is writing to it, it or its record cannot be written, or it has gone by
        the end.
    """
    own_lock = output / f".run{_shard_suffix(shard)}.lock"

    def locks_of_other_runs() -> Iterator[Path]:
        for lock in output.glob(".run*.lock"):
            if lock != own_lock and (shard[1] == 1 or not lock.stem.endswith(f"-of-{shard[1]}")):
                yield lock

    with (
        locked(own_lock, str(output), "run", "output", others=locks_of_other_runs),
        staying(own_lock, str(output), "run"),
    ):
        record = output / f"{FINISHED}{_shard_suffix(shard)}.jsonl"
        record.touch()
        _require_appendable(record)
        remove_left_behind(output)
        yield


def _require_appendable(record: Path) -> None:
    """Requires that lines can be added to a record, which a few file systems write whole only.

    Raises:
      UserError: they cannot.
    """
    try:
        open(record, "a+b").close()
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        raise UserError(
            f"nothing can be added to {record} ({error.strerror}); mount its disk in another way "
            "(rclone: --vfs-cache-mode writes) or choose another --output"
        ) from error


def add_begun(output: Path, name: str, path: str, shard: tuple[int, int]) -> None:
    """Records that a picture is being written, so that its files count as this program's.

    Args:
      output, name, path, shard: see `add_finished`.

    Raises:
      OSError: the record cannot be written.
    """
    facts = {"picture": name, "photo": photo_id(path), "scores": {}}
    _add(output / f"{BEGUN}{_shard_suffix(shard)}.jsonl", facts)


def add_finished(
    output: Path,
    name: str,
    path: str,
    version: Version | None,
    scores: Mapping[str, float],
    hints: str = "",
    shard: tuple[int, int] = (0, 1),
    made: str = "",
) -> None:
    """Adds a picture to the record; several threads may do so.

    Args:
      output: the results folder.
      name: of the picture, below `predicted`.
      path: of its photo.
      version: of the photo when it was read; None to have later runs colour it again.
      scores: see `colorize_folder.colorize_photos`.
      hints: see `Finished`.
      shard: the shard to whose record it is added.
      made: see `Finished`.

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
    if made:
        facts["made"] = made
    _add(output / f"{FINISHED}{_shard_suffix(shard)}.jsonl", facts)


def _add(record: Path, facts: dict[str, Any]) -> None:
    line = f"{json.dumps(facts)}\n".encode()
    with _lock, open(record, "a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            # If the last line was cut short, the new one begins on a line of its own.
            line = line if file.read() == b"\n" else b"\n" + line
        file.write(line)


def read_scores(output: Path) -> dict[str, dict[str, float]]:
    """Name -> scores in the latest record of it, of pictures that were finished, gone or not."""
    # Whole records of an archive would take several times the memory.
    return _read_record(output, FINISHED, lambda picture: picture.scores)


def existing(records: Mapping[str, Finished | None], output: Path) -> dict[str, Finished]:
    """The pictures of this program that still exist."""
    pictures = {name: picture for name, picture in records.items() if picture}
    paths = [output / "predicted" / name for name in pictures]
    return dict(compress(pictures.items(), in_threads(os.path.exists, paths)))


def read_known(output: Path) -> dict[str, Finished | None]:
    """Name -> latest record of it, for all files in a results folder; None without a record."""
    # Files are listed first, because other shards record a picture before they write it.
    names = (name for view in VIEWS for name in files_below(output / view))
    present_names = {comparison_key(name): name for name in names}
    recorded = _read_records(output)
    known_pictures = {
        name: picture for name, picture in recorded.items() if comparison_key(name) in present_names
    }
    for name in known_pictures:
        present_names.pop(comparison_key(name), None)
    return known_pictures | dict.fromkeys(present_names.values())


def _read_records(output: Path) -> dict[str, Finished]:
    return _read_record(output, BEGUN) | _read_record(output, FINISHED)


def _read_record(
    output: Path, kind: str, keep: Callable[[Finished], _Kept] = lambda picture: picture
) -> dict[str, _Kept]:
    """Name -> what is kept of the latest line about it in all shards' records."""
    latest: dict[str, tuple[float, _Kept]] = {}
    for path in record_files(output, kind):
        # Within one record the last line counts, for the clock may have been wrong once.
        for name, noted in _read_file(path, keep).items():
            if name not in latest or noted[0] >= latest[name][0]:
                latest[name] = noted
    return {name: kept for name, (_, kept) in latest.items()}


def _read_file(path: Path, keep: Callable[[Finished], _Kept]) -> dict[str, tuple[float, _Kept]]:
    """Name -> time of the last line about it in one record, and what is kept of that."""
    return {name: (noted, keep(picture)) for name, noted, picture in read_lines(path)}


def _shard_suffix(shard: tuple[int, int]) -> str:
    """The suffix in the names of a shard's records."""
    index, count = shard
    return "" if count == 1 else f"-{index}-of-{count}"


def without_results(paths: Sequence[str], output: Path) -> list[str]:
    """The photos without the pictures of a results folder, so that none is coloured again.

    Raises:
      UserError: nothing else is left.
    """
    results = OwnResults()

    def real_path(path: str) -> str:
        # A list of photos may hold zero bytes, on which `realpath` fails; no file has such a name.
        real = "" if "\0" in path else os.path.realpath(photo_id(path))
        return real.replace(os.sep, "/")

    def is_result(real: str) -> bool:
        folder = results.folder_of(real)
        return bool(folder) and output.exists() and os.path.samefile(folder, output)

    real_paths = in_threads(real_path, paths)
    photos = [path for path, real in zip(paths, real_paths, strict=True) if not is_result(real)]
    if not photos:
        raise UserError(
            f"no photos but the pictures in {output}; name others or choose another --output"
        )
    return photos


def is_of_photo(picture: Finished, path: str, version_of: Callable[[str], Version]) -> bool:
    """Whether a picture was made from a photo: from this path, or from the same content."""
    return picture.photo == photo_id(path) or shown_version(picture, path, version_of) is not None


def shown_version(
    picture: Finished, path: str, version_of: Callable[[str], Version]
) -> Version | None:
    """The version of a photo now, if a picture was made from the content that it has; else None.

    The same path, size and time are taken as proof; otherwise the content is compared.

    Args:
      picture: record of the picture.
      path: of the photo.
      version_of: reads a photo's version, as `file_version` does.
    """
    if picture.version is None:
        return None
    with contextlib.suppress(UnreadablePhoto):
        size, time = size_and_time(path)
        if size == picture.version.size:
            if picture.photo == photo_id(path) and time == picture.version.time:
                return picture.version
            version = version_of(path)
            if version.sha256 == picture.version.sha256:
                return version
    return None
