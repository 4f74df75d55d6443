"""The calls that open, list and search folders, of this machine and of remote storage."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator
from typing import BinaryIO

_SEPARATORS = re.escape(f"/{os.sep}")
# The part of a glob that stands for any number of folders, with the separators behind it.
_RECURSION = re.compile(rf"(?:^|(?<=[{_SEPARATORS}]))\*\*(?:[{_SEPARATORS}]+|$)")


def file_system(path: str) -> _Local | _Remote:
    """The calls to open a path with. TensorFlow's own fail for local names that are not UTF-8."""
    return _Remote() if "://" in path else _Local()


class _Local:
    """The calls of `tf.io.gfile` that are needed, for local files of any name."""

    exists = staticmethod(os.path.exists)
    isdir = staticmethod(os.path.isdir)

    @staticmethod
    def size_and_time(path: str) -> tuple[int, int]:
        """Bytes, and nanoseconds from 1970 to the last change."""
        status = os.stat(path)
        # Programs that turn or tag photos can leave the time of the content as it was. The time of
        # the status tells of them, but on Windows it is that of creation.
        return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)

    @staticmethod
    def open(path: str, mode: str) -> BinaryIO:
        kind = stat.S_IFMT(os.stat(path).st_mode)
        # Pipes and devices may never end, or wait for a writer.
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise OSError("not a file")
        if kind == stat.S_IFDIR:
            # For a folder that cannot be listed, this raises the reason.
            os.listdir(path)
        return open(path, mode)

    @staticmethod
    def walk(top: str, unlisted: list[str]) -> Iterator[tuple[str, list[str], list[str]]]:
        """Walks as `os.walk` does, then through linked folders, but through no folder twice.

        Folders that cannot be listed are added to `unlisted`.
        """

        def handle_error(error: OSError) -> None:
            # Windows keeps old names of folders as links that cannot be listed; they are ignored.
            if os.path.lexists(error.filename) and not getattr(
                os.lstat(error.filename), "st_reparse_tag", 0
            ):
                unlisted.append(error.filename)

        visited, tops = set(), [top]
        for start in tops:
            for folder, subfolders, names in os.walk(start, onerror=handle_error):
                real = os.path.realpath(folder)
                if real in visited:
                    subfolders.clear()
                    continue
                visited.add(real)
                yield folder, subfolders, names
                paths = (os.path.join(folder, name) for name in subfolders)
                tops += filter(os.path.islink, paths)

    @classmethod
    def glob(cls, pattern: str) -> list[str]:
        """Paths that match, where `**` stands for folders that are searched as in `walk`.

        Python's own glob follows links in circles.
        """
        before, *after = _RECURSION.split(pattern, maxsplit=1)
        if not after:
            return glob.glob(pattern)
        found: list[str] = []
        for top in glob.glob(before) if before else [os.curdir]:
            for folder, subfolders, _ in cls.walk(top, []):
                subfolders[:] = [name for name in subfolders if not name.startswith(".")]
                shown = folder if before else os.path.relpath(folder)
                inside = "" if shown == os.curdir else glob.escape(shown)
                found += cls.glob(os.path.join(inside, after[0] or "*"))
        return list(dict.fromkeys(found))


class _Remote:
    """The same for whatever else TensorFlow opens: gs://, s3://, file:// and so on."""

    def __init__(self):
        import tensorflow as tf

        self.exists, self.isdir = tf.io.gfile.exists, tf.io.gfile.isdir
        self.open, self.glob = tf.io.gfile.GFile, tf.io.gfile.glob
        self._stat, self._walk = tf.io.gfile.stat, tf.io.gfile.walk

    def walk(self, top: str, unlisted: list[str]) -> Iterator[tuple[str, list[str], list[str]]]:
        """Walks through a folder; the first error ends it, because errors name no folder."""

        def fail(error: Exception) -> None:
            raise error

        return self._walk(top, onerror=fail)

    def size_and_time(self, path: str) -> tuple[int, int]:
        status = self._stat(path)
        return status.length, status.mtime_nsec
