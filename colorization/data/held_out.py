"""The photos that were held out for a model, and those that it was trained on.

The list of held-out photos lies beside the model. Size and checksum identify them under any name,
on any machine and among copies and other photos. Of the photos trained on, which may be a million,
only the sizes are stored: a photo of another size is certainly none of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from colorization.console import progress_bar
from colorization.data.in_threads import in_threads
from colorization.data.photo_files import file_checksum
from colorization.data.places import photo_id
from colorization.data.shards import UNKNOWN_SIZE, Shards
from colorization.files import read_json, write_json

# Sizes of the photos that a model was trained on; the file lies beside the list of held-out ones.
TRAINED_ON = "trained_on.json"
# Begins what stands for paths that are kept private.
_HASHED = "sha256:"
_REMEDY = "restore it (the folder best may hold a copy), or train anew in another --model_dir"


class HeldOut(NamedTuple):
    """A held-out photo's path and content. A remote photo is identified by its address alone.

    Attributes:
      path: as `places.photo_id` gives it, or what `anonymized` makes of it; "" for a prepared one.
      bytes: size of its file; -1 if it is remote or was missing when it was identified, or was
        prepared by an earlier version.
      sha256: hexadecimal, of its file; "" in the first two cases.
      maybe_trained_on: whether the model may have been trained on it before it was held out.
    """

    path: str
    bytes: int
    sha256: str
    maybe_trained_on: bool = False

    @property
    def identity(self) -> str:
        """What stays the same wherever the photo lies."""
        return self.sha256 or self.path

    @property
    def has_path(self) -> bool:
        """Whether it is known where the photo lay."""
        return self.path != "" and not self.path.startswith(_HASHED)


def identify(photos: Sequence[str] | Shards) -> list[HeldOut]:
    """Reads size and checksum of each photo. Prepared ones, which have no path, may be fewer."""
    if isinstance(photos, Shards):
        return [
            HeldOut("", UNKNOWN_SIZE if size is None else size, digest.hex())
            for digest, size in photos.identities()
        ]
    return list(in_threads(_identify, photos))


def _identify(path: str) -> HeldOut:
    path = photo_id(path)
    try:
        return HeldOut(path, os.path.getsize(path), file_checksum(path))
    # A path with a zero byte raises a ValueError.
    except (OSError, ValueError):
        return HeldOut(path, UNKNOWN_SIZE, "")


def same_content(
    paths: Sequence[str], photos: Iterable[HeldOut], known: dict[str, int] | None = None
) -> set[str]:
    """The paths of files that are any of the photos, or copies of one.

    Only files of equal size are read, so that a large folder takes little time. Sizes come from
    `known`, see `file_sizes`.
    """
    photos = list(photos)
    if not photos:
        return set()
    addresses = {photo.path for photo in photos}
    file_lengths = {photo.bytes for photo in photos if photo.sha256}
    contents = {photo.sha256 for photo in photos if photo.sha256}
    matches = {path for path in paths if _has_address(photo_id(path), addresses)}
    others = [path for path in paths if path not in matches]
    suspects = with_sizes(others, frozenset(file_lengths), known)
    for path, identity in zip(suspects, identify(suspects), strict=True):
        if identity.sha256 in contents:
            matches.add(path)
    return matches


def _has_address(address: str, addresses: set[str]) -> bool:
    return address in addresses or _hashed(address) in addresses


def trained_on_sizes(photos: Sequence[str] | Shards, known: dict[str, int]) -> frozenset[int]:
    """Sizes of the photos that a model is trained on, to be stored beside it; see `file_sizes`.

    Those of remote photos are unknown. Files that are not there are not trained on.
    """
    if isinstance(photos, Shards):
        return photos.sizes
    return frozenset(
        size
        for path, size in zip(photos, file_sizes(photos, known), strict=True)
        if size != UNKNOWN_SIZE or "://" in path
    )


def with_sizes(
    paths: Sequence[str], sizes: frozenset[int], known: dict[str, int] | None = None
) -> list[str]:
    """The photos that have one of the sizes, and so may be the ones that the sizes are of."""
    wanted = sizes - {UNKNOWN_SIZE}
    if not wanted:
        return []
    return [
        path for path, size in zip(paths, file_sizes(paths, known), strict=True) if size in wanted
    ]


def possibly_trained_on(
    photos: Sequence[str] | Shards, held_out: Iterable[HeldOut], trained_on: frozenset[int]
) -> int:
    """Number of photos that a model may have been trained on, judged by their sizes.

    It was certainly not trained on those that were held out from the beginning.
    """
    sizes = trained_on - {UNKNOWN_SIZE}
    if not sizes:
        return 0
    held_out = list(held_out)
    doubtful = _doubtful(held_out)
    never_seen = [photo for photo in held_out if photo.identity not in doubtful]
    if not isinstance(photos, Shards):
        suspects = with_sizes(photos, sizes)
        # By now another photo may lie where one was held out.
        anywhere = [photo._replace(path="") if photo.sha256 else photo for photo in never_seen]
        return len(set(suspects) - same_content(suspects, anywhere))
    contents = {photo.sha256 for photo in never_seen}
    return sum(photo.bytes in sizes and photo.sha256 not in contents for photo in identify(photos))


def with_added(
    held_out: Sequence[HeldOut], photos: Iterable[HeldOut], trained_on: frozenset[int]
) -> list[HeldOut]:
    """Held-out photos and further ones, each of which notes whether it may have been trained on.

    Args:
      held_out: photos that are held out already.
      photos: to hold out from now on; some may be held out already.
      trained_on: sizes of the photos that the model was trained on until now.
    """
    known = {photo.identity for photo in held_out}
    doubtful = _doubtful(held_out)
    sizes = trained_on - {UNKNOWN_SIZE}

    def may_be_seen(photo: HeldOut) -> bool:
        return photo.identity in doubtful if photo.identity in known else photo.bytes in sizes

    added = [photo._replace(maybe_trained_on=may_be_seen(photo)) for photo in photos]
    return list(dict.fromkeys([*held_out, *added]))


def _doubtful(held_out: Iterable[HeldOut]) -> set[str]:
    """Identities of the photos that the model may have been trained on."""
    return {photo.identity for photo in held_out if photo.maybe_trained_on}


def never_trained_on(
    paths: Sequence[str], trained_on: frozenset[int], known: dict[str, int] | None = None
) -> list[str]:
    """The photos that a model was certainly not trained on, as none it saw was of their sizes."""
    if not trained_on:
        return list(paths)
    if UNKNOWN_SIZE in trained_on:
        return []
    excluded = trained_on | {UNKNOWN_SIZE}
    sizes = file_sizes(paths, known)
    return [path for path, size in zip(paths, sizes, strict=True) if size not in excluded]


def safe_to_test_on(
    paths: Sequence[str], held_out: Iterable[HeldOut], trained_on: frozenset[int]
) -> list[str]:
    """The paths at which a held-out photo still lies, or another one never trained on.

    Where photos have been renumbered, the path of a held-out photo may lead to another one. Of
    copies the first counts.
    """
    contents = {photo.sha256 for photo in held_out}
    untrained = set(never_trained_on(paths, trained_on))
    return without_copies(
        {
            path: photo
            for path, photo in zip(paths, identify(paths), strict=True)
            if photo.sha256 in contents or path in untrained
        }
    )


def without_copies(photos: Mapping[str, HeldOut]) -> list[str]:
    """Of paths and what lies there the first path of each content."""
    path_by_identity: dict[str, str] = {}
    for path, photo in photos.items():
        path_by_identity.setdefault(photo.identity, path)
    return list(path_by_identity.values())


def with_present_content(held_out: Sequence[HeldOut], paths: Sequence[str]) -> list[HeldOut]:
    """Held-out photos and what they have become where programs have edited them in place.

    A rating is enough to change a file. Both contents count, as copies may have either.

    Args:
      held_out: the photos as they were.
      paths: what `safe_to_test_on` gives for them.
    """
    known = {photo.sha256 for photo in held_out}
    edited = [photo for photo in identify(paths) if photo.sha256 and photo.sha256 not in known]
    return list(dict.fromkeys([*held_out, *edited]))


def with_current_paths(held_out: Iterable[HeldOut], paths: Sequence[str]) -> list[HeldOut]:
    """Held-out photos with new paths, for those that have moved to one of `paths`."""
    held_out = list(held_out)
    in_place = {
        (photo.path, photo.sha256)
        for photo in identify([photo.path for photo in held_out if photo.path])
    }
    path_by_content = {photo.sha256: photo.path for photo in identify(paths) if photo.sha256}
    return [
        photo
        if (photo.path, photo.sha256) in in_place
        else photo._replace(path=path_by_content.get(photo.sha256, photo.path))
        for photo in held_out
    ]


def file_sizes(paths: Sequence[str], known: dict[str, int] | None = None) -> list[int]:
    """Bytes of each photo's file; -1 if it is remote or cannot be accessed.

    Args:
      paths: of the photos.
      known: path -> size of those that were asked for before, so that no file is asked twice; takes
        those of the others.
    """
    known = {} if known is None else known
    unknown = [path for path in paths if path not in known]
    total = len(unknown)
    with progress_bar(total, "looking through", " photos", delay=1, leave=False) as bar:
        for path, size in zip(unknown, in_threads(_size, unknown), strict=True):
            known[path] = size
            bar.update()
    return [known[path] for path in paths]


def _size(path: str) -> int:
    try:
        return os.path.getsize(photo_id(path))
    except (OSError, ValueError):
        return UNKNOWN_SIZE


def anonymized(photos: Iterable[HeldOut]) -> list[HeldOut]:
    """The photos without their paths, which may be private; a hash where nothing else is known."""
    return [photo._replace(path="" if photo.sha256 else _hashed(photo.path)) for photo in photos]


def _hashed(path: str) -> str:
    if path.startswith(_HASHED):
        return path
    return f"{_HASHED}{hashlib.sha256(os.fsencode(path)).hexdigest()}"


def read(file: Path) -> list[HeldOut]:
    """Reads the list beside a model; empty if there is none.

    Raises:
      UserError: it is damaged, so that the photos that must not be trained on are unknown.
    """
    return read_json(file, _parsed, [], _REMEDY)


def _parsed(content: Any) -> list[HeldOut]:
    # Earlier versions listed paths alone.
    paths = [entry for entry in _as_list(content) if isinstance(entry, str)]
    records = [entry for entry in content if not isinstance(entry, str)]
    photos = [
        HeldOut(
            str(record["path"]),
            int(record["bytes"]),
            bytes.fromhex(record["sha256"]).hex(),
            # Earlier versions did not note it.
            bool(record.get("maybe_trained_on", False)),
        )
        for record in records
    ]
    return [*photos, *identify(paths)]


def _as_list(content: Any) -> list:
    if not isinstance(content, list):
        raise TypeError("no list")
    return content


def read_trained_on(file: Path) -> frozenset[int]:
    """Reads the sizes of the photos that a model was trained on; empty if none are stored.

    Args:
      file: the list of held-out photos, which they lie beside.

    Raises:
      UserError: they are damaged, so that the photos that must not be tested on are unknown.
    """

    def parse(content: Any) -> frozenset[int]:
        return frozenset(map(int, _as_list(content)))

    return read_json(file.with_name(TRAINED_ON), parse, frozenset(), _REMEDY)


def write(file: Path, photos: Sequence[HeldOut], trained_on: frozenset[int] = frozenset()) -> None:
    """Writes the held-out photos and the sizes of others; removes the file of an empty list.

    Raises:
      OSError: the folder cannot be written to.
    """
    contents = {
        file: [photo._asdict() for photo in photos],
        file.with_name(TRAINED_ON): sorted(trained_on),
    }
    for path, content in contents.items():
        if content:
            write_json(path, content)
        else:
            path.unlink(missing_ok=True)


def copy(file: Path, target: Path, private: bool = False) -> None:
    """Copies the list of held-out photos, and the sizes beside it, to another model.

    Args:
      file: the list beside the model.
      target: the list to write.
      private: leave out the paths.

    Raises:
      OSError: the folder cannot be written to.
    """
    photos = read(file)
    write(target, anonymized(photos) if private else photos, read_trained_on(file))
