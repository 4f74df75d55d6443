"""The page to colour photos on, and the same as an API; what `--mode serve` runs.

Built on Gradio. Around it stand `request_filter`, which decides what reaches it, and `sessions`,
which keeps and removes the files.
"""

from __future__ import annotations

import contextlib
import errno
import html
import logging
import os
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from fastapi.middleware import Middleware
from PIL import Image

from colorization.errors import UserError
from colorization.server.jobs import (
    MAX_SATURATION,
    Models,
    colorize_all,
    named_problems,
    parse_job,
    refusal,
    uploads,
    write_zip,
)
from colorization.server.request_filter import RequestFilter
from colorization.server.sessions import Request, Result, Sessions

# Of one file. How many pixels it may have, `photos.MAX_PIXELS` says.
MAX_UPLOAD = 256 * 2**20

# So many that a few long jobs do not hold up a short one, so few that large photos fit in memory.
_JOBS_AT_ONCE = 4
_JOBS_WAITING = 200
# What nobody has asked for since is removed.
_KEEP_SECONDS = 3600
# Gradio remembers what each of so many sessions sent last, for listeners of another kind than ours.
_SESSIONS_REMEMBERED = 16

_log = logging.getLogger(__name__)


def read_accounts(path: str | None) -> list[tuple[str, str]]:
    """User names and passwords, from lines `user:password` of a file or of COLORIZE_AUTH.

    Args:
      path: of the file; without one, the environment variable counts.

    Returns:
      Nothing where neither is given.

    Raises:
      UserError: the file cannot be read, or one of them holds something else.
    """
    where = f"--auth_file {path}" if path else "COLORIZE_AUTH"
    try:
        text = Path(path).read_text("utf-8") if path else os.environ.get("COLORIZE_AUTH", "")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise UserError(f"cannot read {where} ({reason}); name a text file") from error
    accounts = []
    for line in filter(None, map(str.strip, text.splitlines())):
        user, _, password = line.partition(":")
        if not user or not password:
            raise UserError(f"{where} must hold lines of the form user:password")
        accounts.append((user, password))
    if path and not accounts:
        raise UserError(f"{where} is empty; write a line of the form user:password into it")
    return accounts


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in ("127.0.0.1", "localhost", "::1")


@contextlib.contextmanager
def serving(
    models: Models,
    examples: Mapping[str, np.ndarray],
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    accounts: Sequence[tuple[str, str]] = (),
) -> Iterator[str]:
    """Serves the page for the duration of the body.

    Only one at a time: it sets the environment variables of `_environment`.

    Args:
      models: what to colour with.
      examples: photos to try, by name: uint8 grays `[height, width]`.
      host: address to listen on.
      port: likewise.
      accounts: user names and passwords; without any, whoever reaches the address is served.

    Yields:
      The page's address.

    Raises:
      UserError: the address cannot be listened on.
    """
    _require_free(host, port)
    name = f"[{host}]" if ":" in host else host
    with (
        tempfile.TemporaryDirectory(prefix="colorize-", ignore_cleanup_errors=True) as temporary,
        _environment(Path(os.path.realpath(temporary))) as folder,
    ):
        sessions = Sessions(folder)
        page = _page(models, sessions, _write_examples(examples, sessions.permanent_folder()))
        public = bool(accounts) or not is_local(host)
        request_filter = Middleware(RequestFilter, folder=folder, public=public)
        ended = threading.Event()
        sweeper = threading.Thread(target=_sweep, args=(page, sessions, ended), daemon=True)
        try:
            page.launch(
                server_name=name,
                server_port=port,
                auth=list(accounts) or None,
                app_kwargs={"middleware": [request_filter]},
                max_file_size=MAX_UPLOAD,
                state_session_capacity=_SESSIONS_REMEMBERED,
                theme=_theme(),
                css=_CSS,
                footer_links=["api"],
                enable_monitoring=False,
                share=False,
                ssr_mode=False,
                mcp_server=False,
                pwa=False,
                inline=False,
                quiet=True,
                prevent_thread_lock=True,
            )
            sweeper.start()
            yield f"http://{name}:{port}"
        finally:
            ended.set()
            page.close(verbose=False)


@contextlib.contextmanager
def _environment(folder: Path) -> Iterator[Path]:
    """Tells Gradio to keep its files in a folder and to send nothing anywhere."""
    wanted = {
        "GRADIO_TEMP_DIR": str(folder),
        "GRADIO_EXAMPLES_CACHE": str(folder / "examples"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_RUN_HISTORY": "False",
        # Statistics of all requests, made anew after each, that nobody can see.
        "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
        "GRADIO_ANALYTICS_MAX_EVENTS": "1",
        "HF_HUB_OFFLINE": "1",
        # It asks itself, and nobody else, whether it has started; a proxy would get in the way.
        "no_proxy": "*",
    }
    former = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    # Read from the environment already, when it was imported.
    gr.routes.DEFAULT_TEMP_DIR = str(folder)
    try:
        yield folder
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _require_free(host: str, port: int) -> None:
    """Tries the address; Gradio reports any trouble as a port in use.

    Raises:
      UserError: it cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family):
            pass
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} is in use; choose another with --port") from error
        raise UserError(
            f"cannot listen on port {port} of {host} ({error.strerror or error}); "
            "choose others with --host and --port"
        ) from error


def _sweep(page: gr.Blocks, sessions: Sessions, ended: threading.Event) -> None:
    while not ended.wait(60):
        sessions.sweep(_KEEP_SECONDS)
        # Gradio notes the name of every file, to remove it some day, and forgets none.
        for noted in page.temp_file_sets:
            noted.clear()


def _write_examples(photos: Mapping[str, np.ndarray], folder: Path) -> list[str]:
    for name, pixels in photos.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return [str(folder / f"{name}.png") for name in photos]


# Wide: photos and settings at the left, the result at the right. Narrow: the result in between.
_CSS = """
.gradio-container { width: 100%; max-width: 1280px !important; margin: 0 auto !important; }
#examples .container { max-width: 4.5rem; max-height: 4.5rem; }
#strip .grid-wrap { min-height: 0; max-height: 250px; }
footer .divider { display: none; }
@media (min-width: 768px) {
  #layout { display: grid; grid-template: auto 1fr / minmax(0, 2fr) minmax(0, 3fr); }
  #result { grid-area: 1 / 2 / span 2; }
}
"""


def _theme() -> gr.themes.Base:
    # Gradio's own theme loads its fonts from Google.
    return gr.themes.Default(
        primary_hue="teal",
        neutral_hue="zinc",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        # Dark enough for white letters on it to be read.
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
    )


def _page(models: Models, sessions: Sessions, examples: Sequence[str]) -> gr.Blocks:
    """The page and what happens on it.

    All listeners take what the client sends as it is (`preprocess=False`) and check it themselves:
    Gradio would open files to do so.
    """

    def colour(
        photos: Any,
        model: Any,
        saturation: Any,
        style: Any,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[Any]:
        if not photos:
            sessions.end(_session(request))
            yield nothing()
            return
        job = parse_job(models, sessions, photos, model, saturation, style)
        chosen = None
        with running(request, photos, style) as begun:
            for finished, problems in colorize_all(job, begun, progress):
                archive = None
                if finished and len(begun.results) > 1:
                    archive = write_zip(begun.results, begun.folder / "coloured.zip")
                # Later results leave alone what may be looked at already.
                chosen = choice(begun.results[0]) if chosen is None else (gr.skip(), gr.skip())
                yield *chosen, *others(begun.results, archive)
                if finished and problems:
                    gr.Warning(html.escape(named_problems(problems), quote=False), duration=None)

    def colorize(
        photos: Any,
        model: Any,
        saturation: Any,
        style: Any = None,
        request: gr.Request = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[list[str], dict[str, str]]:
        job = parse_job(models, sessions, photos, model, saturation, style)
        with running(request, photos, style) as begun:
            *_, (_, problems) = colorize_all(job, begun, progress)
        return [str(result.picture) for result in begun.results], problems

    @contextlib.contextmanager
    def running(request: gr.Request, photos: Any, style: Any) -> Iterator[Request]:
        """A request that stops without a traceback when its session ends."""
        with sessions.request(_session(request), uploads(sessions, photos, style)) as begun:
            try:
                yield begun
            except FileNotFoundError as error:
                if begun.ended:
                    raise refusal("The session has ended.") from error
                raise

    def nothing() -> tuple:
        return None, *(gr.update(value=None, visible=False) for _ in range(3))

    def others(results: Sequence[Result], archive: Path | None) -> tuple:
        many = len(results) > 1
        return (
            gr.update(value=archive and str(archive), visible=archive is not None),
            gr.update(value=[str(one.after) for one in results] if many else None, visible=many),
        )

    def choice(result: Result) -> tuple:
        picture = result.picture
        button = gr.update(value=str(picture), label=f"Download {picture.name}", visible=True)
        return (str(result.before), str(result.after)), button

    def choose(request: gr.Request, chosen: gr.SelectData) -> tuple:
        results = sessions.latest(_session(request))
        if not isinstance(chosen.index, int) or not 0 <= chosen.index < len(results):
            raise refusal("That picture is no longer here; colour the photo once more.")
        return choice(results[chosen.index])

    def try_example(number: Any) -> list[str]:
        if not isinstance(number, int) or not 0 <= number < len(examples):
            raise refusal("There is no such example.")
        return [examples[number]]

    def leave(request: gr.Request) -> None:
        sessions.end(_session(request))

    with gr.Blocks(title="Let there be colour", analytics_enabled=False, fill_width=True) as page:
        gr.Markdown("# Let there be colour")
        with gr.Row(elem_id="layout"):
            with gr.Column(min_width=280):
                photos = gr.File(
                    label="Photos", file_count="multiple", height=170, elem_id="photos"
                )
                tried = gr.Dataset(
                    components=[gr.Image(visible=False)],
                    samples=[[example] for example in examples],
                    label="Or try one of these",
                    type="index",
                    visible=bool(examples),
                    elem_id="examples",
                )
            with gr.Column(min_width=280, elem_id="result"):
                slider = gr.ImageSlider(
                    label="Gray and coloured",
                    interactive=False,
                    max_height=560,
                    buttons=["fullscreen"],
                    elem_id="slider",
                )
                strip = gr.Gallery(
                    label="All photos",
                    show_label=False,
                    columns=6,
                    fit_columns=False,
                    object_fit="cover",
                    allow_preview=False,
                    interactive=False,
                    buttons=[],
                    visible=False,
                    elem_id="strip",
                )
                with gr.Row():
                    download = gr.DownloadButton(
                        "Download", variant="primary", visible=False, elem_id="download"
                    )
                    archive = gr.DownloadButton(
                        "Download all (zip)", visible=False, elem_id="download-all"
                    )
            with gr.Column(min_width=280):
                model = gr.Dropdown(
                    models.names, value=models.default, label="Model", filterable=False
                )
                saturation = gr.Slider(
                    0.1, MAX_SATURATION, 1, step=0.1, label="Saturation", elem_id="saturation"
                )
                style = gr.Image(
                    label="Style: colours in the mood of this photo",
                    type="filepath",
                    sources=["upload"],
                    height=170,
                    visible=models.default in models.with_style,
                    elem_id="style",
                )
        hidden = gr.Button(visible=False)
        pictures = gr.File(visible=False, file_count="multiple", label="pictures")
        problems = gr.JSON(visible=False, label="problems")

        settings = [photos, model, saturation, style]
        hidden_from_api: dict[str, Any] = {"api_visibility": "private", "preprocess": False}
        jobs: dict[str, Any] = {"concurrency_id": "colour", "concurrency_limit": _JOBS_AT_ONCE}
        gr.on(
            [photos.change, model.change, saturation.release, style.change],
            colour,
            settings,
            [slider, download, archive, strip],
            trigger_mode="always_last",
            show_progress_on=slider,
            **jobs,
            **hidden_from_api,
        )
        hidden.click(
            colorize,
            settings,
            [pictures, problems],
            api_name="colorize",
            api_description="Colours photos at their full size.",
            preprocess=False,
            **jobs,
        )
        model.change(
            lambda name: gr.update(visible=name in models.with_style),
            model,
            style,
            show_progress="hidden",
            **hidden_from_api,
        )
        tried.click(try_example, tried, photos, **hidden_from_api)
        strip.select(choose, None, [slider, download], **hidden_from_api)
        page.unload(leave)
    # Listeners without a limit of their own are quick.
    page.queue(max_size=_JOBS_WAITING, default_concurrency_limit=None, api_open=False)
    return page


def _session(request: gr.Request) -> str:
    return request.session_hash or secrets.token_urlsafe()
