"""The listeners of the page, which colour, paint and show."""

from __future__ import annotations

import contextlib
import html
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData

from colorization.errors import NO_MEMORY, UnreadablePhoto, trouble_of_disk
from colorization.files import atomic_write
from colorization.prediction.memory_budget import MemoryBudget
from colorization.server.brush import are_strokes
from colorization.server.jobs import (
    Job,
    Models,
    colorize_all,
    named_problems,
    parse_job,
    refusal,
    write_zip,
)
from colorization.server.painting import painted_picture, painted_preview, strokes_as_png
from colorization.server.request_filter import expected_request
from colorization.server.sessions import Request, Result, Sessions, Strokes

_PICTURE_GONE = "That picture is no longer here; colour the photo once more."


class Actions:
    """Listeners of the page. Their arguments come from clients and may be of any type."""

    def __init__(self, models: Models, sessions: Sessions, examples: Sequence[str]):
        self._models = models
        self._sessions = sessions
        self._examples = examples
        self._memory = MemoryBudget.of_pictures()

    def colour(
        self,
        photos: Any,
        model: Any,
        saturation: Any,
        style: Any,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[Any]:
        """Colours photos and shows each result; without photos, empties the page."""
        if not photos:
            self._sessions.end(_session(request))
            yield None, None, *(gr.update(value=None, visible=False) for _ in range(4))
            return
        job = self._parsed(photos, model, saturation, style)
        shown = None
        with self._running(request) as job_request:
            # By the request, which is moved to another session if the page is loaded anew.
            job = job._replace(
                strokes=lambda photo: self._sessions.strokes(job_request.session, photo)
            )
            job_request.inputs = job.photos, model, saturation, style["path"] if style else None
            for finished, problems in colorize_all(job, job_request, progress):
                archive = None
                if finished and len(job_request.results) > 1:
                    archive = write_zip(job_request.results, job_request.folder / "coloured.zip")
                # The first result stays in view when later ones come.
                if shown is None:
                    shown = _show(self._sessions.show(_session(request), job_request.results[0]))
                else:
                    shown = (gr.skip(),) * len(shown)
                yield *shown, _archive(archive), _strip(job_request.results)
                if finished and problems:
                    said = named_problems(problems)
                    # Each warning stays until it is closed.
                    if self._sessions.has_news(job_request, said):
                        gr.Warning(html.escape(said, quote=False), duration=None)

    def colorize(
        self,
        photos: Any,
        model: Any,
        saturation: Any,
        style: Any = None,
        hints: Any = None,
        request: gr.Request = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[list[str], dict[str, str]]:
        """Colours photos.

        Hints are a list for each photo, of `[x, y, colour]` as `Colorizer.colorize` takes them.

        Returns:
          Paths of the pictures; and the names of photos that could not be coloured, with reasons.
        """
        job = self._parsed(photos, model, saturation, style, hints)
        # The page sends the photo that its hidden field keeps.
        if style and job.style is None:
            able = ", ".join(self._models.with_style) or "none"
            raise refusal(f"This model takes no style; leave it out. Models that do: {able}.")
        with self._running(request) as job_request:
            *_, (_, problems) = colorize_all(job, job_request, progress)
        return [str(result.picture) for result in job_request.results], problems

    def _parsed(self, *values: Any) -> Job:
        return parse_job(self._models, self._sessions, self._memory, *values)

    @contextlib.contextmanager
    def _running(self, request: gr.Request) -> Iterator[Request]:
        """Runs the request for the duration of the body; the end of its session is no traceback."""
        job_request = expected_request(request.request.scope)
        if job_request is None:  # a result is coloured once more
            job_request = self._sessions.expect(_session(request), set())
        try:
            with self._sessions.running(job_request):
                yield job_request
        except OSError as error:
            # First, because a full disk may have kept the folder from being made.
            _refuse_trouble_of_disk(error)
            if job_request.is_gone:
                raise refusal("The session has ended.") from error
            raise

    def choose(self, request: gr.Request, chosen: gr.SelectData) -> tuple:
        """Shows the picture of the strip that was clicked."""
        session = _session(request)
        results = self._sessions.latest(session)
        if not isinstance(chosen.index, int) or not 0 <= chosen.index < len(results):
            raise refusal(_PICTURE_GONE)
        return _show(self._sessions.show(session, results[chosen.index]))

    def paint(self, painted: Any, request: gr.Request) -> tuple:
        """Makes previews with the strokes that a visitor has painted, path of the photo -> strokes.

        The visitor may look at another photo by now, which stays in view.
        """
        session = _session(request)
        if not isinstance(painted, dict) or not all(map(are_strokes, painted.values())):
            raise refusal("These are no strokes, or too many.")
        job_request = self._sessions.last_request(session)
        if painted and job_request is None:
            raise refusal(_PICTURE_GONE)
        for photo, strokes in painted.items():
            self._paint(job_request, photo, strokes)
        shown = self._sessions.shown(session)
        if shown is None:
            return (gr.skip(),) * 4
        slider, value, download, _ = _show(shown)
        if str(shown.photo) not in painted:
            slider = value = download = gr.skip()
        results = self._sessions.latest(session)
        return slider, value, download, _strip(results) if shown in results else gr.skip()

    def _paint(self, request: Request, photo: str, strokes: Strokes) -> None:
        """Makes previews with strokes of a photo of the session that the request belongs to."""
        # Twice, as meanwhile the photo may have been coloured anew without these strokes.
        for _ in range(2):
            results = self._sessions.of_photo(request.session, photo)
            if not results:
                raise refusal(_PICTURE_GONE)
            for result in (result for result in results if list(result.strokes) != strokes):
                with _explained_removal():
                    data = painted_preview(result, strokes)
                    preview = result.next_version("preview").with_suffix(".jpg")
                    with atomic_write(preview) as temporary:
                        temporary.write_bytes(data)
                changes = {"coloured": preview, "strokes": strokes, "is_finished": False}
                self._sessions.update(request.session, result, **changes)

    def finish_painting(self, request: gr.Request) -> tuple:
        """Makes the pictures that lack strokes at full size."""
        session = _session(request)
        with _explained_removal():
            unfinished = self._sessions.unfinished(session)
            folders = [self._finish(session, result) for result in unfinished]
            shown = self._sessions.shown(session)
            if not any(folders) or shown is None:
                return (gr.skip(),) * 3
            *_, folder = filter(None, folders)
            archive = self._zip(session, folder / "coloured.zip")
        *_, download, strokes = _show(shown)
        return download, strokes, _archive(archive)

    def _zip(self, session: str, path: Path) -> Path | None:
        """Writes the pictures of the latest request into one archive; None for a single one."""
        archive, results = None, None
        # Again if one was added or painted on meanwhile.
        while results != (latest := self._sessions.latest(session)):
            results = latest
            archive = write_zip(results, path) if len(results) > 1 else None
        return archive

    def _finish(self, session: str, result: Result) -> Path | None:
        """Makes a picture with its strokes; returns its folder unless others were painted."""
        data = painted_picture(result, self._memory)
        folder = result.next_version("picture")
        with atomic_write(folder) as temporary:
            written = result._replace(picture=temporary / result.picture.name)
            written.strokes_file.parent.mkdir(parents=True)
            written.picture.write_bytes(data)
            if written.strokes:
                written.strokes_file.write_bytes(strokes_as_png(result))
        changes = {"picture": folder / result.picture.name, "is_finished": True}
        return folder if self._sessions.update(session, result, **changes) else None

    def try_example(self, number: Any) -> list[str]:
        """Takes an example as the photo."""
        if not isinstance(number, int) or not 0 <= number < len(self._examples):
            raise refusal("There is no such example.")
        return [self._examples[number]]

    def come_back(self, tab: Any, request: gr.Request) -> tuple:
        """Restores the photos and settings of a page that was reloaded.

        Returns:
          The new name of the tab, and values for the photos and settings.
        """
        requests = None
        for _ in range(20 if isinstance(tab, str) else 0):
            requests = self._sessions.come_back(tab, _session(request))
            if requests is not None:
                break
            # The server may not have noticed yet that the former page is closed.
            time.sleep(0.1)
        if requests is None:
            # This tab is a copy of another one, which keeps the name.
            tab = secrets.token_urlsafe()
            requests = self._sessions.come_back(tab, _session(request))
        inputs = [former.inputs for former in requests if former.inputs]
        if not inputs:
            return tab, *(gr.skip(),) * 4
        photos, *settings = inputs[-1]
        # Each field that is set has the photos coloured, so that those left as they were are not.
        defaults = (self._models.default, 1, None)
        settings = [
            gr.skip() if value == default else value
            for value, default in zip(settings, defaults, strict=True)
        ]
        return tab, list(map(str, photos)), *settings

    def offer_style(self, model: Any) -> Any:
        """Shows the field for a style photo if the model can take one."""
        return gr.update(visible=model in self._models.with_style)


def _show(result: Result) -> tuple:
    """Values of the slider, the brush and the download buttons of a picture and its strokes."""
    picture, preview = result.picture, str(result.coloured)
    value = {
        "photo": str(result.photo),
        "picture": FileData(path=preview).model_dump(),
        "strokes": list(result.strokes),
    }
    download = gr.update(
        value=str(picture),
        label=f"Download {picture.name}",
        visible=True,
        interactive=result.is_finished,
    )
    strokes_file = str(result.strokes_file) if result.strokes_file.exists() else None
    strokes = gr.update(value=strokes_file, visible=strokes_file is not None)
    # As an update, of which a later value of a running job leaves the brush's own part alone.
    return (str(result.gray), preview), gr.update(value=value), download, strokes


def _archive(archive: Path | None) -> Any:
    return gr.update(value=archive and str(archive), visible=archive is not None)


def _strip(results: Sequence[Result]) -> Any:
    is_visible = len(results) > 1
    previews = [str(result.coloured) for result in results]
    return gr.update(value=previews if is_visible else None, visible=is_visible)


@contextlib.contextmanager
def _explained_removal() -> Iterator[None]:
    """Explains a lack of disk or memory, and that files have gone, with their session or by age."""
    try:
        yield
    except (FileNotFoundError, UnreadablePhoto, MemoryError) as error:
        # Decoding turns a lack of memory into an error about the photo.
        lacks_memory = isinstance(error.__cause__ or error, MemoryError)
        raise refusal(f"On the server, {NO_MEMORY}." if lacks_memory else _PICTURE_GONE) from error
    except OSError as error:
        _refuse_trouble_of_disk(error)
        raise


def _refuse_trouble_of_disk(error: OSError) -> None:
    """Raises an explanation for the visitor if the error is about the server's disk."""
    if (trouble := trouble_of_disk(error)) is not None:
        raise refusal(f"On the server, {trouble}.") from error


def _session(request: gr.Request) -> str:
    return request.session_hash or secrets.token_urlsafe()
