"""Pictures that `--mode predict` has made, told from photos wherever its results folders lie."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

# Folder -> what is in it, as the gallery names it. `unhinted` is what the network says alone, of
# photos that are predicted with hints.
VIEWS = {
    "gray": "Gray",
    "unhinted": "Without hints",
    "predicted": "Predicted",
    "truth": "Truth",
}
# Folder beside those for the gallery's small pictures.
THUMBNAILS = "thumbnails"
# Beginnings of the names of records, of finished pictures and of those that were begun.
FINISHED, BEGUN = "finished", ".begun"
# Errors that reading a damaged line of a record may raise.
NONSENSE = (ValueError, KeyError, TypeError, RecursionError, OverflowError)


class OwnResults:
    """Results folders that have been met; each is looked at once."""

    def __init__(self):
        self._recorded: dict[str, frozenset[str]] = {}

    def folder_of(self, path: str, root: str = "") -> str | None:
        """The results folder that a picture belongs to; None where it is somebody else's.

        Args:
          path: of a file of this machine, with forward slashes.
          root: only folders in this one count, up to a slash; by default all.
        """
        above, (*folders, name) = path[: len(root)], path[len(root) :].split("/")
        for depth, view in enumerate(folders):
            if view in (*VIEWS, THUMBNAILS):
                folder = above + "/".join(folders[:depth])
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


def record_lines(folder: Path, kind: str) -> Iterator[bytes]:
    """The lines of all shards' records in a results folder."""
    for path in sorted(folder.glob(f"{kind}*.jsonl")):
        with open(path, "rb") as record:
            yield from record


def is_thumbnail(name: str) -> bool:
    """Whether a path below `THUMBNAILS` is that of a thumbnail, and no stranger's."""
    return re.fullmatch(rf"({'|'.join(VIEWS)})/[0-9a-f]{{20}}\.(jpg|png)", name) is not None


def _recorded_names(folder: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for kind in (FINISHED, BEGUN):
            for line in record_lines(folder, kind):
                with contextlib.suppress(*NONSENSE):
                    yield str(json.loads(line)["picture"])
