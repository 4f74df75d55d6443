"""The photos that were held out for a model, and those that it was trained on.

The list of the first lies beside the model. Whatever they are called later, on whichever machine
and beside whichever copies and other photos, they are known again by their size and checksum. Of
the others, which may be a million, only the sizes are noted: a photo of another size is certainly
none of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from colorization.data.photos import file_checksum, photo_id
from colorization.data.shards import Shards
from colorization.files import read_json, write_json

# Sizes of the photos that a model was trained on; the file lies beside the list of the others.
_TRAINED_ON = "trained_on.json"
# In place of the sizes of photos that are remote or prepared.
_UNKNOWN = -1
_MEND = "restore it (the folder best may hold a copy), or train anew in another --model_dir"
_THREADS = 8


class HeldOut(NamedTuple):
    """A photo: where it lay, and what it held. A remote one is known by its address alone.

    Attributes:
      path: as `photos.photo_id` gives it; what `nameless` makes of it where that is private.
      bytes: size of its file; -1 if it is remote or was gone when it was noted.
      sha256: of its file, hexadecimal; "" likewise.
    """

    path: str
    bytes: int
    sha256: str


def identify(paths: Sequence[str]) -> list[HeldOut]:
    """Size and checksum of each of some photos."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_identify, paths))


def _identify(path: str) -> HeldOut:
    path = photo_id(path)
    try:
        return HeldOut(path, os.path.getsize(path), file_checksum(path))
    # A name with a zero byte raises a ValueError.
    except (OSError, ValueError):
        return HeldOut(path, _UNKNOWN, "")


def same_content(paths: Sequence[str], others: Iterable[HeldOut]) -> set[str]:
    """The photos that are, or are copies of, any of some others.

    Only photos of equal size are read, so that many photos take little time.
    """
    others = list(others)
    addresses = {other.path for other in others}
    lengths = {other.bytes for other in others if other.sha256}
    contents = {other.sha256 for other in others if other.sha256}
    found = {path for path in paths if {photo_id(path), _hashed(photo_id(path))} & addresses}
    suspects = as_large([path for path in paths if path not in found], frozenset(lengths))
    for path, identity in zip(suspects, identify(suspects), strict=True):
        if identity.sha256 in contents:
            found.add(path)
    return found


def sizes(photos: Sequence[str] | Shards) -> frozenset[int]:
    """Sizes of photos, to note what a model was trained on."""
    return frozenset([_UNKNOWN] if isinstance(photos, Shards) else file_sizes(photos))


def as_large(paths: Sequence[str], trained_on: frozenset[int]) -> list[str]:
    """The photos that have one of some sizes, so that they may be the same."""
    known = trained_on - {_UNKNOWN}
    return [path for path, size in zip(paths, file_sizes(paths), strict=True) if size in known]


def unlike(paths: Sequence[str], trained_on: frozenset[int]) -> list[str]:
    """The photos that are certainly none of those, nor copies of any, that have some sizes."""
    if not trained_on:
        return list(paths)
    if _UNKNOWN in trained_on:
        return []
    unfit = trained_on | {_UNKNOWN}
    return [path for path, size in zip(paths, file_sizes(paths), strict=True) if size not in unfit]


def untrained(
    paths: Sequence[str], others: Iterable[HeldOut], trained_on: frozenset[int]
) -> list[str]:
    """Those of held-out photos that are certainly none of those that have some sizes.

    Where photos have been numbered anew, another one may lie under the path of one held out.
    """
    contents = {other.sha256 for other in others}
    new = set(unlike(paths, trained_on))
    found = zip(paths, identify(paths), strict=True)
    return [path for path, photo in found if photo.sha256 in contents or path in new]


def moved(others: Iterable[HeldOut], paths: Sequence[str]) -> list[HeldOut]:
    """Held-out photos by where they lie now, if their files are among some others by now."""
    others = list(others)
    there = {photo[::2] for photo in identify([other.path for other in others if other.path])}
    now = {photo.sha256: photo for photo in identify(paths) if photo.sha256}
    return [other if other[::2] in there else now.get(other.sha256, other) for other in others]


def file_sizes(paths: Sequence[str]) -> list[int]:
    """Bytes of each photo's file; -1 of what is remote or cannot be looked at."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_size, paths))


def _size(path: str) -> int:
    try:
        return os.path.getsize(photo_id(path))
    except (OSError, ValueError):
        return _UNKNOWN


def nameless(photos: Iterable[HeldOut]) -> list[HeldOut]:
    """The photos without the paths, which may be private; by a hash where only that tells them."""
    return [photo._replace(path="" if photo.sha256 else _hashed(photo.path)) for photo in photos]


def _hashed(path: str) -> str:
    if path.startswith("sha256:"):
        return path
    return f"sha256:{hashlib.sha256(os.fsencode(path)).hexdigest()}"


def read(file: Path) -> list[HeldOut]:
    """The list beside a model; empty where there is none.

    Raises:
      UserError: it is damaged, so that nobody knows what must not be trained on.
    """
    return read_json(file, _listed, [], _MEND)


def _listed(noted: Any) -> list[HeldOut]:
    # Earlier versions listed paths alone.
    paths = [entry for entry in _as_list(noted) if isinstance(entry, str)]
    others = [entry for entry in noted if not isinstance(entry, str)]
    known = [
        HeldOut(str(other["path"]), int(other["bytes"]), bytes.fromhex(other["sha256"]).hex())
        for other in others
    ]
    return [*known, *identify(paths)]


def _as_list(noted: Any) -> list:
    if not isinstance(noted, list):
        raise TypeError("no list")
    return noted


def read_trained_on(file: Path) -> frozenset[int]:
    """Sizes of the photos that the model beside a list was trained on; empty where none tells.

    Raises:
      UserError: the note is damaged, so that nobody knows what must not be tested on.
    """
    note = file.with_name(_TRAINED_ON)
    return read_json(note, lambda noted: frozenset(map(int, _as_list(noted))), frozenset(), _MEND)


def write(file: Path, photos: Sequence[HeldOut], trained_on: frozenset[int] = frozenset()) -> None:
    """Notes the photos, and beside them the sizes of others; takes back notes of none.

    Raises:
      OSError: the folder cannot be written to.
    """
    notes = {
        file: [photo._asdict() for photo in photos],
        file.with_name(_TRAINED_ON): sorted(trained_on),
    }
    for path, note in notes.items():
        if note:
            write_json(path, note)
        else:
            path.unlink(missing_ok=True)


def copy(file: Path, other: Path, private: bool = False) -> None:
    """Copies the notes of a model to another list and what lies beside it.

    Args:
      file: the list beside the model.
      other: where to.
      private: whether the paths are nobody else's business.

    Raises:
      OSError: the folder cannot be written to.
    """
    photos = read(file)
    write(other, nameless(photos) if private else photos, read_trained_on(file))
