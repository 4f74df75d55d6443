"""Serves the page to colour photos on and its API, for `--mode serve`.

`page` is built with Gradio. `request_filter` decides which requests reach it, and `sessions` keeps
and removes its files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import gradio as gr
import numpy as np
from fastapi.middleware import Middleware
from PIL import Image

from colorization.environment import environment
from colorization.errors import UserError, reason
from colorization.files import private_folder
from colorization.server.addresses import NO_PROXY, Address, is_local
from colorization.server.jobs import Models
from colorization.server.page import CSS, HEAD, build_page, require_sense, theme
from colorization.server.request_filter import RequestFilter
from colorization.server.sessions import Sessions
from colorization.texts import as_utf_8

# Most bytes of an uploaded file. The most pixels are `refusals.MAX_PIXELS`.
MAX_UPLOAD = 256 * 2**20

# Seconds between two searches for files to remove.
_SWEEP_SECONDS = 5
# Number of sessions whose last input Gradio keeps, which our listeners do not use.
_SESSIONS_REMEMBERED = 16


def read_accounts(path: str | None) -> list[tuple[str, str]]:
    """User names and passwords, from lines `user:password` of a file or of COLORIZE_AUTH.

    Blanks around a name are left out.

    Args:
      path: of the file; without one, the environment variable is used.

    Returns:
      Nothing if neither is given.

    Raises:
      UserError: the file cannot be read, or one of them holds something else.
    """
    source = f"--auth_file {path}" if path else "COLORIZE_AUTH"
    try:
        text = (
            as_utf_8(Path(path).read_bytes()).decode()
            if path
            else os.environ.get("COLORIZE_AUTH", "")
        )
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "not in UTF-8"
        raise UserError(f"cannot read {source} ({why}); name a text in UTF-8") from error
    accounts = []
    for line in filter(None, map(str.strip, text.splitlines())):
        user, _, password = line.partition(":")
        # Gradio removes blanks around the name that somebody logs in with.
        user = user.strip()
        if not user or not password:
            raise UserError(f"{source} must hold lines of the form user:password")
        accounts.append((user, password))
    if path and not accounts:
        raise UserError(f"{source} is empty; write a line of the form user:password into it")
    return accounts


@contextlib.contextmanager
def serving(
    models: Models,
    examples: Mapping[str, np.ndarray],
    *,
    host: str = "127.0.0.1",
    port: int,
    public_url: Address | None = None,
    accounts: Sequence[tuple[str, str]] = (),
) -> Iterator[str]:
    """Serves the page for the duration of the body.

    There must be only one at a time, because it changes environment variables.

    Args:
      models: what to colour with.
      examples: photos to try, by name: uint8 grays `[height, width]`.
      host: address to listen on.
      port: port to listen on.
      public_url: where people open the page, if a proxy stands in front of it.
      accounts: user names and passwords; without any, the page is open to everyone.

    Yields:
      The page's address.

    Raises:
      UserError: the address cannot be listened on.
    """
    _require_free(host, port)
    name = f"[{host}]" if ":" in host else host
    with (
        private_folder() as temporary,
        _environment(Path(os.path.realpath(temporary))) as folder,
    ):
        sessions = Sessions(folder)
        paths = _write_examples(examples, sessions.permanent_folder())
        page = build_page(models, sessions, paths)
        request_filter = Middleware(
            RequestFilter,
            folder=folder,
            sessions=sessions,
            require_sense=partial(require_sense, page),
            any_host=bool(accounts) or not is_local(host),
            public_url=public_url,
        )
        ended = threading.Event()
        sweeper = threading.Thread(target=_sweep, args=(page, sessions, ended), daemon=True)
        try:
            root = str(public_url or "")
            _launch(page, name, port, root, accounts, [request_filter])
            sweeper.start()
            yield root or f"http://{name}:{port}"
        finally:
            ended.set()
            page.close(verbose=False)


def _launch(
    page: gr.Blocks,
    name: str,
    port: int,
    root: str,
    accounts: Sequence[tuple[str, str]],
    middleware: list[Middleware],
) -> None:
    """Starts to serve in a new thread, without any features that contact other hosts."""
    page.launch(
        server_name=name,
        server_port=port,
        root_path=root,
        auth=list(accounts) or None,
        app_kwargs={"middleware": middleware},
        max_file_size=MAX_UPLOAD,
        state_session_capacity=_SESSIONS_REMEMBERED,
        theme=theme(),
        css=CSS,
        head=HEAD,
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


@contextlib.contextmanager
def _environment(folder: Path) -> Iterator[Path]:
    """Tells Gradio to keep its files in a folder and to send nothing anywhere."""
    variables = {
        "GRADIO_TEMP_DIR": str(folder),
        "GRADIO_EXAMPLES_CACHE": str(folder / "examples"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_RUN_HISTORY": "False",
        # Gradio would recompute statistics of all requests after each one, for nobody to see.
        "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
        "GRADIO_ANALYTICS_MAX_EVENTS": "1",
        "HF_HUB_OFFLINE": "1",
        **NO_PROXY,
    }
    # Gradio has read GRADIO_TEMP_DIR when it was imported.
    former, gr.routes.DEFAULT_TEMP_DIR = gr.routes.DEFAULT_TEMP_DIR, str(folder)
    try:
        with environment(variables):
            yield folder
    finally:
        gr.routes.DEFAULT_TEMP_DIR = former


def _require_free(host: str, port: int) -> None:
    """Tries to listen on the address, because Gradio reports every problem as a port in use.

    Raises:
      UserError: it cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family):
            pass
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", None)):
            raise UserError(f"port {port} is in use; choose another with --port") from error
        # Python adds the address to the text; errors about names have codes of their own.
        is_of_system = isinstance(error.errno, int) and error.errno > 0
        why = os.strerror(error.errno) if is_of_system else error.strerror or error
        raise UserError(
            f"cannot listen on port {port} of {host} ({why}); choose others with --host and --port"
        ) from error


def _sweep(page: gr.Blocks, sessions: Sessions, ended: threading.Event) -> None:
    while not ended.wait(_SWEEP_SECONDS):
        # What fails now, as for want of file handles, is left to the next time.
        with contextlib.suppress(OSError):
            sessions.sweep()
        # Gradio collects the names of all files to remove some day, and would never drop any.
        for files in page.temp_file_sets:
            files.clear()


def _write_examples(photos: Mapping[str, np.ndarray], folder: Path) -> list[str]:
    for name, pixels in photos.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return [str(folder / f"{name}.png") for name in photos]
