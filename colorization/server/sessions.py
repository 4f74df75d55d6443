"""Uploads and results of the people who use the page, in one private folder."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from colorization.files import remove

# Number of a session's latest requests that are kept when there are more.
_MAX_REQUESTS = 8
# Seconds for which results can be fetched, however many requests follow.
_FETCH_SECONDS = 60
# Seconds for a visitor to come back after losing the connection, as phones do when they are locked.
_AWAY_SECONDS = 600
# Seconds after which files are removed if nobody has asked for them.
_KEEP_SECONDS = 3600

# Painted lines, from first to last; see `brush.are_strokes`.
Strokes = Sequence[dict[str, Any]]


class Result(NamedTuple):
    """Files of a coloured photo, and what has been painted on it.

    Attributes:
      picture: the coloured picture at full size.
      gray: preview in gray.
      coloured: preview in colour.
      planes: input and output of the network, see `painting.Planes`.
      photo: the upload.
      strokes: those that its preview was made with.
      is_finished: whether the picture was made with them, too.
    """

    picture: Path
    gray: Path
    coloured: Path
    planes: Path
    photo: Path
    strokes: Strokes
    is_finished: bool = True

    @property
    def key(self) -> str:
        """A key that no other result has, in any request."""
        return f"{self.planes.parent.name}/{self.planes.stem}"

    @property
    def strokes_file(self) -> Path:
        """Path of the strokes as a PNG, if there are any."""
        return self.picture.parent / "strokes" / f"{self.picture.stem}.png"

    def next_version(self, kind: str) -> Path:
        """A path for a new version of one of its files; removes all but the last and its own.

        The last one may still be on its way to the visitor, and the new one may come too late or
        not at all.
        """
        stem = f"{self.planes.stem}-{kind}-"
        versions = sorted(self.planes.parent.glob(f"{stem}*"))
        for version in versions[:-1]:
            if version not in (self.picture.parent, self.coloured):
                remove(version)
        number = 1 + int(versions[-1].stem.removeprefix(stem)) if versions else 0
        return self.planes.with_name(f"{stem}{number:06}")


class Request:
    """A request of a session, which first waits, then runs and ends.

    Attributes:
      session: the session that it belongs to; another one once its page was loaded anew.
      folder: for its results; created when it begins; its name cannot be guessed.
      uploads: the files that it names.
      inputs: values of the page's fields: photos in order, model, saturation, and path of the style
        photo or None. None before the request has begun, or if it does not come from the page.
      results: those of the photos coloured so far.
      problems: what the visitor was told of files that could not be coloured.
      has_begun: whether it has had its turn.
      running: whether more results may come.
    """

    def __init__(self, session: str, folder: Path, uploads: set[Path]):
        self.session = session
        self.folder = folder
        self.uploads = uploads
        self.inputs: tuple[list[Path], str, float, str | None] | None = None
        self.results: list[Result] = []
        self.problems = ""
        self.has_begun = self.running = False
        # When somebody last asked for it.
        self.time = time.time()

    @property
    def is_gone(self) -> bool:
        """Whether its session has ended and its folder was removed."""
        return not self.folder.exists()


class Sessions:
    """Knows which files belong to which session, and removes those no longer needed.

    Requests with the same name form a session, for example those of a browser's tab. All methods
    are thread-safe.
    """

    def __init__(self, folder: Path):
        """Takes charge of the folder that Gradio puts uploads into, given by its real path."""
        self._folder = folder
        # Requests by session, the oldest first.
        self._requests: dict[str, list[Request]] = {}
        # Upload -> time of its last change in nanoseconds, for uploads of these requests.
        self._upload_times: dict[Path, int] = {}
        self._visitors: Counter[str] = Counter()
        # Name of a tab -> its current session.
        self._tabs: dict[str, str] = {}
        # Session -> key of the result that its visitor sees.
        self._shown: dict[str, str] = {}
        # Session -> time at which its last visitor left.
        self._left_at: dict[str, float] = {}
        self._lock = threading.Lock()
        self._permanent: set[Path] = set()
        self._uploads_under_way = 0

    def permanent_folder(self) -> Path:
        """Creates a folder for files that stay as long as the server runs."""
        folder = self._folder / secrets.token_urlsafe(24)
        folder.mkdir()
        self._permanent.add(folder)
        return folder

    @contextlib.contextmanager
    def uploading(self) -> Iterator[None]:
        """Counts an upload for the duration of the body; what was not received whole is removed.

        Gradio writes what it receives to files in the private folder itself, and moves those of a
        whole upload to folders of their own.
        """
        with self._lock:
            self._uploads_under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._uploads_under_way -= 1
                if not self._uploads_under_way:
                    for path in filter(Path.is_file, self._folder.iterdir()):
                        # Gradio may keep it open for a while, and its space would be lost so long.
                        with contextlib.suppress(OSError):
                            os.truncate(path, 0)
                        remove(path)

    def upload(self, path: object) -> Path | None:
        """The file at a path that a client sent; None unless it lies in the private folder."""
        if not isinstance(path, str) or "\0" in path:
            return None
        real = Path(os.path.realpath(path))
        return real if self._folder in real.parents and real.is_file() else None

    @contextlib.contextmanager
    def visit(self, session: str) -> Iterator[None]:
        """Counts a visitor of a session for the duration of the body.

        A session ends some minutes after its last visitor has left, unless there is a new visitor
        or request.
        """
        with self._lock:
            self._visitors[session] += 1
            self._left_at.pop(session, None)
        try:
            yield
        finally:
            with self._lock:
                self._visitors[session] -= 1
                if not self._visitors[session]:
                    del self._visitors[session]
                    self._left_at[session] = time.time()

    def uploads(self, paths: Iterable[object]) -> set[Path]:
        """The uploads among the files that a client named, without the results."""
        files = {path for path in map(self.upload, paths) if path is not None}
        with self._lock:
            other_folders = self._permanent.union(
                request.folder for request in self._all_requests()
            )
        return {path for path in files if other_folders.isdisjoint(path.parents)}

    def expect(self, session: str | None, uploads: set[Path]) -> Request:
        """Adds a request that waits for its turn; its uploads stay until it has ended.

        Args:
          session: None for a session of its own.
          uploads: from `uploads`.
        """
        name = secrets.token_urlsafe(24)
        request = Request(session or name, self._folder / name, uploads)
        with self._lock:
            self._left_at.pop(session, None)
            for path in uploads:
                with contextlib.suppress(OSError):
                    self._upload_times[path] = path.stat().st_mtime_ns
                    os.utime(path.parent)
            self._requests.setdefault(request.session, []).append(request)
        return request

    @contextlib.contextmanager
    def running(self, request: Request) -> Iterator[None]:
        """Lets a request run for the duration of the body; its files stay unless the session ends.

        Surplus requests that ended some time ago are removed.

        Raises:
          FileNotFoundError: the session has ended.
        """
        with self._lock:
            if request not in self._requests.get(request.session, ()):
                raise FileNotFoundError(request.folder)
            request.folder.mkdir()
            request.has_begun = request.running = True
            self._remove_surplus(request.session)
        try:
            yield
        finally:
            with self._lock:
                request.running, request.time = False, time.time()

    def come_back(self, tab: str, session: str) -> list[Request] | None:
        """Gives a reloaded tab the requests of the session that it had before.

        Returns:
          The requests of that session, the oldest first; None if it still has a visitor, perhaps
          in a tab that this one is a copy of.
        """
        with self._lock:
            former = self._tabs.get(tab)
            if former in self._visitors:
                return None
            self._tabs[tab] = session
            self._left_at.pop(former, None)
            self._shown.pop(former, None)
            requests = self._requests.pop(former, [])
            for request in requests:
                request.session, request.time, request.problems = session, time.time(), ""
            if requests:
                self._requests.setdefault(session, [])[:0] = requests
            elif session not in self._visitors:
                # The first sign of the page may come a moment later.
                self._left_at[session] = time.time()
            return requests

    def latest(self, session: str) -> list[Result]:
        """Results of the latest request of a session that has begun; empty if there is none."""
        with self._lock:
            begun_requests = [
                request for request in self._requests.get(session, ()) if request.has_begun
            ]
            return list(begun_requests[-1].results) if begun_requests else []

    def last_request(self, session: str) -> Request | None:
        """The last request of a session.

        Its `session` is up to date when a page is loaded anew, for what takes longer than that.
        """
        with self._lock:
            requests = self._requests.get(session, ())
            return requests[-1] if requests else None

    def has_news(self, request: Request, problems: str) -> bool:
        """Notes what a visitor is told of a request; False if just told so of the one before."""
        with self._lock:
            request.problems = problems
            requests = self._requests.get(request.session, ())
            former = [other for other in requests if other.has_begun and other is not request]
            return not former or former[-1].problems != problems

    def show(self, session: str, result: Result) -> Result:
        """Notes that the visitor sees a result from now on; returns its current state."""
        with self._lock:
            if session in self._requests:
                self._shown[session] = result.key
        return self.shown(session) or result

    def shown(self, session: str) -> Result | None:
        """The result that the visitor of a session sees, if it still exists."""
        with self._lock:
            self._left_at.pop(session, None)
            key = self._shown.get(session)
            for request in self._requests.get(session, ()):
                for result in request.results:
                    if result.key == key:
                        request.time = time.time()
                        return result
            return None

    def of_photo(self, session: str, photo: str) -> list[Result]:
        """The latest results of a photo: of the last request that has any, one for each copy."""
        with self._lock:
            self._left_at.pop(session, None)
            for request in reversed(self._requests.get(session, ())):
                results = [result for result in request.results if str(result.photo) == photo]
                if results:
                    request.time = time.time()
                    return results
            return []

    def unfinished(self, session: str) -> list[Result]:
        """Results of a session whose pictures lack what was painted on their previews."""
        with self._lock:
            requests = self._requests.get(session, ())
            results = itertools.chain.from_iterable(request.results for request in requests)
            return [result for result in results if not result.is_finished]

    def strokes(self, session: str, photo: Path) -> Strokes:
        """The strokes that were last painted on a photo of a session."""
        with self._lock:
            requests = self._requests.get(session, ())
            painted = [
                result.strokes
                for request in requests
                for result in request.results
                if result.photo == photo
            ]
            return painted[-1] if painted else ()

    def update(self, session: str, result: Result, **changes: Any) -> bool:
        """Replaces fields of a result, unless other strokes have been painted on it meanwhile.

        Returns:
          Whether they were replaced.
        """
        with self._lock:
            for request in self._requests.get(session, ()):
                for number, current in enumerate(request.results):
                    if current.key == result.key and current.strokes == result.strokes:
                        request.results[number] = current._replace(**changes)
                        return True
            return False

    def end(self, session: str) -> None:
        """Removes all files of a session."""
        with self._lock:
            self._end(session)

    def sweep(self) -> None:
        """Removes the files of abandoned sessions, and those nobody has asked for in an hour."""
        now = time.time()
        with self._lock:
            for session, left_at in list(self._left_at.items()):
                if left_at < now - _AWAY_SECONDS:
                    self._end(session)
            expiry = now - _KEEP_SECONDS
            for request in list(self._all_requests()):
                if not request.running and request.time < expiry:
                    self._remove(request)
            self._tabs = {
                tab: session
                for tab, session in self._tabs.items()
                if any(
                    session in known for known in (self._visitors, self._requests, self._left_at)
                )
            }
            needed = set(self._permanent)
            for request in self._all_requests():
                needed |= {request.folder, *(path.parent for path in request.uploads)}
            for path in set(self._folder.iterdir()) - needed:
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < expiry:
                        remove(path)

    def _all_requests(self) -> Iterator[Request]:
        return itertools.chain.from_iterable(self._requests.values())

    def _end(self, session: str) -> None:
        self._left_at.pop(session, None)
        for request in list(self._requests.get(session, ())):
            self._remove(request)

    def _remove_surplus(self, session: str) -> None:
        """Removes the oldest requests that have ended, if there are too many."""
        begun_requests = [request for request in self._requests[session] if request.has_begun]
        expiry = time.time() - _FETCH_SECONDS
        ended = [
            request for request in begun_requests if not request.running and request.time < expiry
        ]
        for request in ended[: max(0, len(begun_requests) - _MAX_REQUESTS)]:
            self._remove(request)

    def _remove(self, request: Request) -> None:
        requests = self._requests[request.session]
        requests.remove(request)
        if not requests:
            del self._requests[request.session]
            self._shown.pop(request.session, None)
        remove(request.folder)
        for path in request.uploads.difference(*(other.uploads for other in self._all_requests())):
            # A changed file was uploaded again, for a request that is yet to come.
            upload_time = self._upload_times.pop(path, None)
            with contextlib.suppress(OSError):
                if path.stat().st_mtime_ns == upload_time:
                    path.unlink()
                    path.parent.rmdir()
