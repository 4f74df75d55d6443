"""Files of the people who use the page: uploads and results, in one private folder."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# Number of requests of a session whose results stay whatever their age.
_MOST_REQUESTS = 8
# Seconds in which results can be fetched, however many more come after them.
_FETCH_SECONDS = 60
# Seconds for a visitor whose connection broke off to come back: phones end it when they are locked.
_AWAY_SECONDS = 600
# Seconds after which what nobody has asked for since is removed.
_KEEP_SECONDS = 3600

# Painted lines, from first to last; see `brush.are_strokes`.
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
        """A key that no other result has, in any request."""
        return f"{self.planes.parent.name}/{self.planes.stem}"

    @property
    def drawn(self) -> Path:
        """Path of the strokes as a PNG, if there are any."""
        return self.picture.parent / "strokes" / f"{self.picture.stem}.png"

    def next_version(self, what: str) -> Path:
        """A path for another version of one of its files; all but the last one are removed.

        The last one may still be on its way to the visitor.
        """
        stem = f"{self.planes.stem}-{what}-"
        versions = sorted(self.planes.parent.glob(f"{stem}*"))
        for old in versions[:-1]:
            _remove(old)
        number = 1 + int(versions[-1].stem.removeprefix(stem)) if versions else 0
        return self.planes.with_name(f"{stem}{number:06}")


class Request:
    """One request of a session: it waits for its turn, runs, and has ended.

    Attributes:
      session: that it belongs to.
      folder: for its results; made when it begins; its name cannot be guessed.
      uploads: the files that it names.
      asked: for what the page asked: photos in order, model, saturation, path of the photo for the
        style or None; None before it has begun, or where another program asked.
      results: of the photos coloured so far.
      begun: whether it has had its turn.
      running: whether more results may come.
    """

    def __init__(self, session: str, folder: Path, uploads: set[Path]):
        self.session = session
        self.folder = folder
        self.uploads = uploads
        self.asked: tuple[list[Path], str, float, str | None] | None = None
        self.results: list[Result] = []
        self.begun = self.running = False
        self.time = time.time()  # of its last change

    @property
    def gone(self) -> bool:
        """Whether its session has ended, and with it the folder."""
        return not self.folder.exists()


class Sessions:
    """Knows which files belong to which session, and removes what is no longer needed.

    A session is whatever sends the same name: a browser's tab, or a client. All methods may be
    called from several threads at the same time.
    """

    def __init__(self, folder: Path):
        """Takes charge of a folder, given by its real path, into which Gradio puts uploads."""
        self._folder = folder
        # Requests by session, the oldest first.
        self._requests: dict[str, list[Request]] = {}
        # Times at which the uploads of these requests were made, in nanoseconds.
        self._made: dict[Path, int] = {}
        self._visitors: Counter[str] = Counter()
        # The session that each tab has now, by the tab's own name.
        self._tabs: dict[str, str] = {}
        # Times at which the last visitor of a session left.
        self._left: dict[str, float] = {}
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
    def visit(self, session: str) -> Iterator[None]:
        """Someone is there for the duration of the body.

        A session ends some minutes after the last one has left, unless someone comes back or asks
        for something.
        """
        with self._lock:
            self._visitors[session] += 1
            self._left.pop(session, None)
        try:
            yield
        finally:
            with self._lock:
                self._visitors[session] -= 1
                if not self._visitors[session]:
                    del self._visitors[session]
                    self._left[session] = time.time()

    def uploads(self, paths: Iterable[object]) -> set[Path]:
        """The uploads among the files that a client named, without the results."""
        found = {path for path in map(self.upload, paths) if path is not None}
        with self._lock:
            others = self._permanent.union(one.folder for one in self._all_requests())
        return {path for path in found if others.isdisjoint(path.parents)}

    def expect(self, session: str | None, uploads: set[Path]) -> Request:
        """A request that waits for its turn; its uploads stay until it has ended.

        Args:
          session: None for one that nobody shares.
          uploads: as `uploads` gives them.
        """
        name = secrets.token_urlsafe(24)
        request = Request(session or name, self._folder / name, uploads)
        with self._lock:
            self._left.pop(session, None)
            for path in uploads:
                with contextlib.suppress(OSError):
                    self._made[path] = path.stat().st_mtime_ns
                    os.utime(path.parent)
            self._requests.setdefault(request.session, []).append(request)
        return request

    @contextlib.contextmanager
    def running(self, request: Request) -> Iterator[None]:
        """The request runs as long as the body; its files stay unless the session ends.

        Those of requests that ended some time ago may be removed.

        Raises:
          FileNotFoundError: the session has ended.
        """
        with self._lock:
            if request not in self._requests.get(request.session, ()):
                raise FileNotFoundError(request.folder)
            request.folder.mkdir()
            request.begun = request.running = True
            self._remove_surplus(request.session)
        try:
            yield
        finally:
            with self._lock:
                request.running, request.time = False, time.time()

    def come_back(self, tab: str, session: str) -> list[Request] | None:
        """Gives a tab that was loaded anew what belongs to the session that it had before.

        Returns:
          The requests of that session, the oldest first; None if somebody is still there, who may
          be looking at another tab of that name, where one was copied.
        """
        with self._lock:
            former = self._tabs.get(tab)
            if former in self._visitors:
                return None
            self._tabs[tab] = session
            self._left.pop(former, None)
            requests = self._requests.pop(former, [])
            for request in requests:
                request.session, request.time = session, time.time()
            if requests:
                self._requests.setdefault(session, [])[:0] = requests
            return requests

    def latest(self, session: str) -> list[Result]:
        """Results of the last request of a session that has begun; empty if there is none."""
        with self._lock:
            begun = [one for one in self._requests.get(session, ()) if one.begun]
            return list(begun[-1].results) if begun else []

    def find(self, session: str, key: object) -> Result | None:
        """The result of a session with that key, if it is still there."""
        with self._lock:
            self._left.pop(session, None)
            for request in self._requests.get(session, ()):
                for result in request.results:
                    if result.key == key:
                        request.time = time.time()
                        return result
            return None

    def strokes(self, session: str, photo: Path) -> Strokes:
        """The strokes that were last painted on a photo of a session."""
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
            self._end(session)

    def sweep(self) -> None:
        """Removes the files of sessions that were left, and those nobody asked for in an hour."""
        now = time.time()
        with self._lock:
            for session, left in list(self._left.items()):
                if left < now - _AWAY_SECONDS:
                    self._end(session)
            before = now - _KEEP_SECONDS
            for request in list(self._all_requests()):
                if not request.running and request.time < before:
                    self._remove(request)
            self._tabs = {
                tab: session
                for tab, session in self._tabs.items()
                if session in self._visitors or session in self._requests
            }
            kept = set(self._permanent)
            for request in self._all_requests():
                kept |= {request.folder, *(path.parent for path in request.uploads)}
            for path in set(self._folder.iterdir()) - kept:
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < before:
                        _remove(path)

    def _all_requests(self) -> Iterator[Request]:
        return itertools.chain.from_iterable(self._requests.values())

    def _end(self, session: str) -> None:
        self._left.pop(session, None)
        for request in list(self._requests.get(session, ())):
            self._remove(request)

    def _remove_surplus(self, session: str) -> None:
        """Removes the oldest requests that have ended, as far as there are too many."""
        begun = [one for one in self._requests[session] if one.begun]
        before = time.time() - _FETCH_SECONDS
        ended = [one for one in begun if not one.running and one.time < before]
        for request in ended[: max(0, len(begun) - _MOST_REQUESTS)]:
            self._remove(request)

    def _remove(self, request: Request) -> None:
        requests = self._requests[request.session]
        requests.remove(request)
        if not requests:
            del self._requests[request.session]
        _remove(request.folder)
        for path in request.uploads.difference(*(one.uploads for one in self._all_requests())):
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
