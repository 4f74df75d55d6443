"""The list of photos that a preparation was begun with, in case the photos have changed since."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from colorization.data.file_system import file_system
from colorization.data.held_out import file_sizes
from colorization.data.places import common_folder
from colorization.files import write_json
from colorization.wording import a_few


class PhotoList(NamedTuple):
    """Photos that are prepared together.

    Attributes:
      paths: where the photos are, or were when they were listed.
      names: the paths below `root`, with slashes on every system.
      sizes: of their files in bytes; -1 for what is remote or cannot be accessed.
      root: what all paths begin with, up to a slash.
    """

    paths: Sequence[str]
    names: Sequence[str]
    sizes: Sequence[int]
    root: str

    @property
    def sha256(self) -> str:
        """Hexadecimal checksum of names and sizes.

        A photo that was replaced under the same name nearly always has another size.
        """
        listed = (f"{size} {name}" for size, name in zip(self.sizes, self.names, strict=True))
        return hashlib.sha256(os.fsencode("\n".join(listed))).hexdigest()


def of(paths: Sequence[str]) -> PhotoList:
    """The list of photos, with names below their common folder."""
    slashed = _slashed(paths)
    root = common_folder(slashed)
    return PhotoList(paths, _relative_to(root, slashed), file_sizes(paths), root)


def write(file: str, photos: PhotoList) -> None:
    """Writes a list; the file may be anything that `tf.io.gfile` writes."""
    write_json(file, {"root": photos.root, "sizes": photos.sizes, "names": photos.names})


def read(file: str, sha256: str, current: PhotoList) -> tuple[PhotoList, str] | None:
    """Reads the list of an interrupted preparation, if it can go on with the current photos.

    Args:
      file: written by `write`.
      sha256: expected checksum of the list.
      current: the photos that are named now.

    Returns:
      The list, with current paths for the photos that still exist; and one line on what has changed
      since it was written. None if there is no such list, if it has existing photos that are no
      longer named, if more than half of its photos are missing or changed, or if more than half of
      the current photos are new.
    """
    try:
        with tf.io.gfile.GFile(file) as opened:
            stored = json.loads(opened.read())
        root, names, sizes = stored["root"], stored["names"], stored["sizes"]
    except (tf.errors.NotFoundError, ValueError, KeyError, TypeError):
        return None
    slashed = _slashed(current.paths)
    # Under another root than before, the names below the two roots are compared.
    if any(path.startswith(root) for path in slashed):
        current = current._replace(names=_relative_to(root, slashed))
    paths = dict(zip(current.names, current.paths, strict=True))
    current_sizes = dict(zip(current.names, current.sizes, strict=True))
    former = PhotoList([paths.get(name, root + name) for name in names], names, sizes, root)
    former_names = set(names)
    added = [name for name in current.names if name not in former_names]
    missing = [name for name in names if name not in paths]
    former_sizes = zip(names, sizes, strict=True)
    changed = [name for name, size in former_sizes if current_sizes.get(name, size) != size]
    # A photo that exists but is no longer named is not wanted. If most photos are missing, changed
    # or new, the user means another folder.
    unnamed = (root + name for name in missing)
    few_left = 2 * (len(missing) + len(changed)) > len(names)
    most_are_new = 2 * len(added) > len(current.names)
    if former.sha256 != sha256 or few_left or most_are_new or any(map(_exists, unnamed)):
        return None
    changes = {
        "new, so that they are left out (prepare them into another --output)": added,
        "gone": missing,
        "changed, and taken as they are now unless they are done": changed,
    }
    summary = (f"{change}: {a_few(photos)}" for change, photos in changes.items() if photos)
    return former, "; ".join(summary)


def _exists(path: str) -> bool:
    return file_system(path).exists(path)


def _slashed(paths: Sequence[str]) -> list[str]:
    return [path.replace(os.sep, "/") for path in paths]


def _relative_to(root: str, paths: Sequence[str]) -> list[str]:
    return [path.removeprefix(root) for path in paths]
