"""Tells pictures that `--mode predict` has made from photos, wherever its results folders lie."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from colorization.data.records import BEGUN, FINISHED, read_lines, record_files

# Folders of pictures. `unhinted` holds what the network predicts without the hints, for photos that
# have some.
VIEWS = ("gray", "unhinted", "predicted", "truth")
# Folder for the gallery's small pictures, beside those above.
THUMBNAILS = "thumbnails"


class OwnResults:
    """Recognizes results folders and their pictures; reads the records of each folder once."""

    def __init__(self):
        self._recorded: dict[str, frozenset[str]] = {}

    def folder_of(self, path: str, root: str = "") -> str | None:
        """The results folder that a picture belongs to; None if it is not this program's.

        Args:
          path: of a local file, with forward slashes.
          root: ends in a slash; of a path below it, only results folders below it count. By default
            all count.
        """
        below = path.removeprefix(root)
        prefix, (*folders, name) = path.removesuffix(below), below.split("/")
        for depth, view in enumerate(folders):
            if view in (*VIEWS, THUMBNAILS):
                folder = prefix + "/".join(folders[:depth])
                picture = "/".join([*folders[depth + 1 :], name])
                if self._is_result(folder, view, picture):
                    return folder
        return None

    def _is_result(self, folder: str, view: str, picture: str) -> bool:
        if folder not in self._recorded:
            self._recorded[folder] = frozenset(_recorded_names(Path(folder)))
        names = self._recorded[folder]
        if view == THUMBNAILS:
            return bool(names) and is_thumbnail(picture)
        return picture in names


def is_thumbnail(name: str) -> bool:
    """Whether a path below `THUMBNAILS` has the form of a thumbnail's name."""
    return re.fullmatch(rf"({'|'.join(VIEWS)})/[0-9a-f]{{20}}\.(jpg|png)", name) is not None


def _recorded_names(folder: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for kind in (FINISHED, BEGUN):
            for path in record_files(folder, kind):
                yield from (name for name, _, _ in read_lines(path))
