"""Report on the photos of a data set: which were left out, and why."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import tensorflow as tf

from colorization.errors import UserError
from colorization.files import write_file
from colorization.wording import a_few, counted, printable

# Name scope of the operations that fail for a damaged record. TensorFlow's error names it.
RECORD_SCOPE = "prepared_record"

_log = logging.getLogger(__name__)


class Report:
    """Report on the photos of one data set, filled in while the data set is read.

    Attributes:
      total: photos listed.
      what: what messages call the photos.
      problem: the error that stopped the reading, if any; see `as_user_error`.
      gray: paths of the photos left out because they have no colour.
      toned: paths of those left out because their colour is that of a toned print.
      unreadable: path -> reason for the photos that could not be opened when last tried.
    """

    def __init__(self, total: int, what: str = "photos"):
        self.total, self.what = total, what
        self.problem: UserError | None = None
        self.gray: set[str] = set()
        self.toned: set[str] = set()
        self.unreadable: dict[str, str] = {}
        # Likewise, of an earlier run, by `printable` path; those that this run has not opened.
        self._earlier: dict[str, str] = {}
        self._lock = threading.Lock()

    def add_without_color(self, path: str, kind: str) -> None:
        """Records that a photo is left out as "gray" or "toned", see `lab_planes.to_sheet`."""
        with self._lock:
            {"gray": self.gray, "toned": self.toned}[kind].add(path)

    def add_unreadable(self, path: str, reason: str, in_part: bool = False) -> None:
        """Records why a photo, or a part of it, cannot be used; warns of it the first time."""
        with self._lock:
            was_known = path in self.unreadable
            self.unreadable[path] = reason
        if not was_known:
            outcome = "left out of" if in_part else "skipped"
            _log.warning("%s %s: %s", outcome, printable(path), reason)

    def add_readable(self, path: str) -> None:
        """Records that a photo has been opened, which may have failed before."""
        if self._earlier or path in self.unreadable:
            with self._lock:
                self.unreadable.pop(path, None)
                self._earlier.pop(printable(path), None)

    def stop(self, problem: UserError) -> NoReturn:
        """Ends the reading for a reason that the user should hear."""
        self.problem = problem
        raise problem

    @property
    def too_many_unreadable(self) -> bool:
        """Whether it is certain already that more than half of the photos are unreadable."""
        return 2 * len(self.unreadable) > self.total

    def require_readable(self) -> None:
        """Stops the reading when too many photos are unreadable."""
        if self.too_many_unreadable:
            which = f"{len(self.unreadable):,} of {self.total:,} {self.what} are unreadable"
            reasons = named_reasons(self.unreadable)
            self.stop(UserError(f"{which}: {reasons}; mend them or name others"))

    @contextlib.contextmanager
    def as_user_error(self) -> Iterator[None]:
        """Raises the `problem` that stopped the reading, instead of TensorFlow's error about it."""
        try:
            yield
        except tf.errors.OpError as error:
            problem = self.problem
            if problem is None and f"node {RECORD_SCOPE}/" in str(error):
                problem = UserError("a prepared photo is damaged; prepare the photos anew")
            if problem is None:
                raise
            # The traceback holds the data set's iterator, whose threads must not outlive Python's.
            traceback.clear_frames(error.__traceback__)
            raise problem from error

    def recall_unreadable(self, file: str, paths: Iterable[str]) -> None:
        """Keeps what an earlier run wrote into a local list for the next `write_unreadable`.

        Args:
          file: the list, if there is one.
          paths: of all photos. The list's lines on others are dropped, and, later, those on photos
            that can be opened.
        """
        with contextlib.suppress(OSError):
            lines = os.fsdecode(Path(file).read_bytes()).split("\n")
            earlier = dict(line.split("\t", 1) for line in lines if "\t" in line)
            listed = earlier.keys() & set(map(printable, paths)) if earlier else ()
            self._earlier = {path: earlier[path] for path in listed}

    def write_unreadable(self, file: str) -> None:
        """Writes the unreadable photos and their reasons, one a line, or removes an old list."""
        with self._lock:
            found = {printable(path): reason for path, reason in self.unreadable.items()}
            unreadable = {**self._earlier, **found}
        lines = [f"{path}\t{reason}\n" for path, reason in sorted(unreadable.items())]
        if not lines:
            if tf.io.gfile.exists(file):
                tf.io.gfile.remove(file)
            return
        write_file(file, os.fsencode("".join(lines)))

    @property
    def without_color(self) -> set[str]:
        """Gray photos and toned prints."""
        return self.gray | self.toned

    @property
    def usable(self) -> int:
        """Number of the photos that are neither left out nor unreadable."""
        return self.total - len(self.without_color) - len(self.unreadable)

    def __str__(self) -> str:
        toned = f", {len(self.toned):,} toned" if self.toned else ""
        summary = (
            f"{counted(self.usable, 'photo')}, {len(self.gray):,} gray{toned} left out, "
            f"{len(self.unreadable):,} unreadable"
        )
        return f"{summary}: {named_reasons(self.unreadable)}" if self.unreadable else summary


def named_reasons(unreadable: Mapping[str, str]) -> str:
    """A few unreadable photos with their reasons, and how many more there are."""

    def with_reason(path: str) -> str:
        return f"{printable(os.path.basename(path))} ({unreadable[path]})"

    return a_few(sorted(unreadable), with_reason)
