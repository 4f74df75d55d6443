"""The calls that open, list and search folders, of this machine and of remote storage."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO


def file_system(path: str) -> _Local | _Remote:
    """The calls to open a path with; TensorFlow's own know no local names that are no UTF-8."""
    return _Remote() if "://" in path else _Local()


class _Local:
    """The calls of `tf.io.gfile` that are needed, without its detours and for any name."""

    exists = staticmethod(os.path.exists)
    isdir = staticmethod(os.path.isdir)

    @staticmethod
    def size_and_time(path: str) -> tuple[int, int]:
        """Bytes, and nanoseconds from 1970 to the last change."""
        found = os.stat(path)
        return found.st_size, found.st_mtime_ns

    @staticmethod
    def open(path: str, mode: str) -> BinaryIO:
        kind = stat.S_IFMT(os.stat(path).st_mode)
        # Pipes and devices may never end, or wait for somebody to write to them.
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise OSError("not a file")
        if kind == stat.S_IFDIR:
            # Of a folder that cannot be listed, this tells why.
            os.listdir(path)
        return open(path, mode)

    @staticmethod
    def walk(top: str, unlisted: list[str]) -> Iterator[tuple[str, list[str], list[str]]]:
        """Walks as `os.walk` does, then through linked folders, but through no folder twice.

        `unlisted` takes the folders that cannot be listed.
        """

        def note(error: OSError) -> None:
            # Windows keeps links to folders under their old names, which may not be listed.
            if os.path.lexists(error.filename) and not getattr(
                os.lstat(error.filename), "st_reparse_tag", 0
            ):
                unlisted.append(error.filename)

        seen, tops = set(), [top]
        for start in tops:
            for folder, subfolders, names in os.walk(start, onerror=note):
                real = os.path.realpath(folder)
                if real in seen:
                    subfolders.clear()
                    continue
                seen.add(real)
                yield folder, subfolders, names
                paths = (os.path.join(folder, name) for name in subfolders)
                tops += filter(os.path.islink, paths)

    @staticmethod
    def glob(pattern: str) -> list[str]:
        return glob.glob(pattern, recursive=True)


class _Remote:
    """The same for whatever else TensorFlow opens: gs://, s3://, file:// and so on."""

    def __init__(self):
        import tensorflow as tf

        self.exists, self.isdir = tf.io.gfile.exists, tf.io.gfile.isdir
        self.open, self.glob = tf.io.gfile.GFile, tf.io.gfile.glob
        self._stat, self._walk = tf.io.gfile.stat, tf.io.gfile.walk

    def walk(self, top: str, unlisted: list[str]) -> Iterator[tuple[str, list[str], list[str]]]:
        """Walks through a folder; its errors name no folder, so that the first one ends it."""

        def fail(error: Exception) -> None:
            raise error

        return self._walk(top, onerror=fail)

    def size_and_time(self, path: str) -> tuple[int, int]:
        found = self._stat(path)
        return found.length, found.mtime_nsec
