"""The photos that a preparation was begun with, noted for when some have come or gone meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from colorization.console import a_few
from colorization.data.held_out import file_sizes
from colorization.data.photos import common_folder
from colorization.files import write_json


class PhotoList(NamedTuple):
    """Photos that are prepared together.

    Attributes:
      paths: where they are, or were when they were listed.
      names: the paths below `root`, with slashes on every system.
      sizes: of their files in bytes; -1 of what is remote or cannot be looked at.
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
    """The list of some photos, named below the folder that all have in common."""
    slashed = _slashed(paths)
    root = common_folder(slashed)
    return PhotoList(paths, _below(root, slashed), file_sizes(paths), root)


def note(file: str, photos: PhotoList) -> None:
    """Writes a list, for `noted`; the file may be anything that `tf.io.gfile` writes."""
    write_json(file, {"root": photos.root, "sizes": photos.sizes, "names": photos.names})


def noted(file: str, sha256: str, now: PhotoList) -> tuple[PhotoList, str] | None:
    """The list that a file holds.

    Args:
      file: written by `note`.
      sha256: of the list.
      now: the photos that are there now.

    Returns:
      The list, its paths those of now where the photos are still there; and what has changed since
      then, in one line. None if there is no such list, it has photos that are there but not named
      now, now has less than half of its photos as they were, or most of now's are new.
    """
    try:
        with tf.io.gfile.GFile(file) as opened:
            stored = json.loads(opened.read())
        root, names, sizes = stored["root"], stored["names"], stored["sizes"]
    except (tf.errors.NotFoundError, ValueError, KeyError, TypeError):
        return None
    slashed = _slashed(now.paths)
    # Paths that are told otherwise than then are compared below what they have in common.
    if any(path.startswith(root) for path in slashed):
        now = now._replace(names=_below(root, slashed))
    paths = dict(zip(now.names, now.paths, strict=True))
    sizes_now = dict(zip(now.names, now.sizes, strict=True))
    former = PhotoList([paths.get(name, root + name) for name in names], names, sizes, root)
    known = set(names)
    new = [name for name in now.names if name not in known]
    gone = [name for name in names if name not in paths]
    changed = [
        name for name, size in zip(names, sizes, strict=True) if sizes_now.get(name, size) != size
    ]
    # Photos that are still there, but not named any more, are not wanted. Where most of them have
    # gone, changed or come, another folder is meant.
    unnamed = (root + name for name in gone)
    other = 2 * (len(gone) + len(changed)) > len(names) or 2 * len(new) > len(now.names)
    if former.sha256 != sha256 or other or any(map(tf.io.gfile.exists, unnamed)):
        return None
    told = {
        "new, so that they are left out (prepare them into another --output)": new,
        "gone": gone,
        "changed, and taken as they are now unless they are done": changed,
    }
    return former, "; ".join(f"{what}: {a_few(which)}" for what, which in told.items() if which)


def _slashed(paths: Sequence[str]) -> list[str]:
    return [path.replace(os.sep, "/") for path in paths]


def _below(root: str, paths: Sequence[str]) -> list[str]:
    return [path.removeprefix(root) for path in paths]
