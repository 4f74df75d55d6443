"""Files of the people who use the page: uploads and results, in one private folder."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# Results of a session that can still be downloaded, in requests.
_MOST_REQUESTS = 8

# Lines that were painted, from first to last; see `brush.are_strokes`.
Strokes = Sequence[dict[str, Any]]


class Result(NamedTuple):
    """Files of a coloured photo, and what has been painted on it.

    Attributes:
      picture: at full size.
      before: smaller and gray, to look at.
      after: likewise, in colour.
      planes: what the network saw and predicted, see `painting`.
      photo: the upload.
      strokes: that the picture and the one to look at in colour have been made with.
    """

    picture: Path
    before: Path
    after: Path
    planes: Path
    photo: Path
    strokes: Strokes = ()

    @property
    def key(self) -> str:
        """What tells results apart, those of other requests too."""
        return f"{self.planes.parent.name}/{self.planes.stem}"

    @property
    def drawn(self) -> Path:
        """Where the strokes lie as a PNG, if there are any."""
        return self.picture.parent / "strokes" / f"{self.picture.stem}.png"

    def next_version(self, what: str) -> Path:
        """A path for another version of one of its files; all but the last one are removed.

        The last one may still be on its way to the visitor.
        """
        stem = f"{self.planes.stem}-{what}-"
        for old in sorted(self.planes.parent.glob(f"{stem}*"))[:-1]:
            _remove(old)
        return self.planes.with_name(f"{stem}{time.time_ns()}")


class Request:
    """One request of a session.

    Attributes:
      folder: for its results; its name cannot be guessed.
      results: of the photos coloured so far.
      running: whether more may come.
    """

    def __init__(self, folder: Path, uploads: set[Path]):
        self.folder = folder
        self.uploads = uploads
        self.results: list[Result] = []
        self.running = True
        self.time = time.time()

    @property
    def ended(self) -> bool:
        """Whether its session has ended, and its files are gone."""
        return not self.folder.exists()


class Sessions:
    """Knows which files belong to which session, and removes what is no longer needed.

    A session is whatever sends the same name: a browser's tab, or a client. All methods may be
    called from several threads at the same time.
    """

    def __init__(self, folder: Path):
        """Takes charge of a folder, given by its real path, into which Gradio puts uploads."""
        self._folder = folder
        self._requests: dict[str, list[Request]] = {}
        # When the uploads of these requests were made, in nanoseconds.
        self._made: dict[Path, int] = {}
        self._lock = threading.Lock()
        self._permanent: set[Path] = set()

    def permanent_folder(self) -> Path:
        """A folder for files that stay as long as the server does."""
        folder = self._folder / secrets.token_urlsafe(24)
        folder.mkdir()
        self._permanent.add(folder)
        return folder

    def upload(self, path: object) -> Path | None:
        """The file at a path that a client sent; None unless it lies in the private folder."""
        if not isinstance(path, str) or "\0" in path:
            return None
        real = Path(os.path.realpath(path))
        return real if self._folder in real.parents and real.is_file() else None

    @contextlib.contextmanager
    def request(self, session: str, uploads: Iterable[Path]) -> Iterator[Request]:
        """A request of a session, which runs as long as the body.

        Files of the session's oldest ones that run no more may be removed; those of one that runs
        stay, unless the session ends.
        """
        folder = self._folder / secrets.token_urlsafe(24)
        folder.mkdir()
        request = Request(folder, {path for path in uploads if path.parent not in self._permanent})
        with self._lock:
            for path in request.uploads:
                with contextlib.suppress(OSError):
                    self._made[path] = path.stat().st_mtime_ns
                    os.utime(path.parent)
            requests = self._requests.setdefault(session, [])
            requests.append(request)
            self._expire(session, lambda _: len(requests) > _MOST_REQUESTS)
        try:
            yield request
        finally:
            with self._lock:
                request.running, request.time = False, time.time()

    def latest(self, session: str) -> list[Result]:
        """Results of the last request of a session; empty if there is none."""
        with self._lock:
            requests = self._requests.get(session)
            return list(requests[-1].results) if requests else []

    def find(self, session: str, key: object) -> Result | None:
        """The result of a session with that key, if it is still there."""
        with self._lock:
            for request in self._requests.get(session, ()):
                for result in request.results:
                    if result.key == key:
                        request.time = time.time()
                        return result
            return None

    def strokes(self, session: str, photo: Path) -> Strokes:
        """What was last painted on a photo of a session."""
        with self._lock:
            requests = self._requests.get(session, ())
            found = [
                result.strokes
                for request in requests
                for result in request.results
                if result.photo == photo
            ]
            return found[-1] if found else ()

    def update(self, session: str, result: Result, **changes: Any) -> list[Result]:
        """Replaces fields of a result, unless other strokes have been painted on it since.

        Returns:
          All results of its request; none if nothing was replaced.
        """
        with self._lock:
            for request in self._requests.get(session, ()):
                for number, current in enumerate(request.results):
                    if current.key == result.key and current.strokes == result.strokes:
                        request.results[number] = current._replace(**changes)
                        return list(request.results)
            return []

    def end(self, session: str) -> None:
        """Removes all files of a session."""
        with self._lock:
            for request in self._requests.pop(session, ()):
                self._remove(request)

    def sweep(self, seconds: float) -> None:
        """Removes all files that have not been asked for since so long."""
        before = time.time() - seconds
        with self._lock:
            for session in list(self._requests):
                self._expire(session, lambda request: request.time < before)
                if not self._requests[session]:
                    del self._requests[session]
            kept = self._permanent.union(
                *([one.folder, *(path.parent for path in one.uploads)] for one in self._held())
            )
            for path in set(self._folder.iterdir()) - kept:
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < before:
                        _remove(path)

    def _held(self) -> Iterator[Request]:
        return itertools.chain.from_iterable(self._requests.values())

    def _expire(self, session: str, due: Callable[[Request], bool]) -> None:
        """Removes requests of a session, from the oldest on, that are due and run no more."""
        requests = self._requests[session]
        for request in list(requests):
            if not request.running and due(request):
                requests.remove(request)
                self._remove(request)

    def _remove(self, request: Request) -> None:
        _remove(request.folder)
        for path in request.uploads.difference(*(one.uploads for one in self._held())):
            # One that has changed was uploaded anew, for a request that has yet to come.
            with contextlib.suppress(OSError):
                if path.stat().st_mtime_ns == self._made.pop(path, None):
                    path.unlink()
                    path.parent.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
