"""What stands between the network and Gradio: lets through only what the page needs."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_PREFIX = "/gradio_api/"
# Of Gradio's routes those that the page and its own client use. Left out are calls that go past the
# queue, fetch from other hosts, or serve development.
_PAGES = (
    "/",
    "/config",
    "/favicon.ico",
    "/login",
    "/logout",
    "/manifest.json",
    "/robots.txt",
    "/theme.css",
)
_FOLDERS = ("/assets/", "/static/", "/svelte/")
_CALLS = (
    "app_id",
    "call/",
    "cancel",
    "file=",
    "heartbeat/",
    "info",
    "login_check",
    "queue/data",
    "queue/join",
    "reset",
    "startup-events",
    "theme.css",
    "token",
    "upload",
    "upload_progress",
    "user",
)
_MOST_BYTES = 4 * 2**20  # of a request other than an upload
_LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")

_HEADERS = [
    # Whatever a page of ours might ask for elsewhere, the browser refuses.
    (
        b"content-security-policy",
        b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
        b"frame-ancestors 'none'; form-action 'self'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]

_Message = dict[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class RequestFilter:
    """ASGI middleware that refuses

    - routes that the page does not need;
    - paths, in addresses and in what is sent, that lead anywhere but into the folder of uploads
      and results, and addresses in their place;
    - unless `public`, requests that another site makes the browser send.
    """

    def __init__(self, app: Callable, folder: Path, public: bool):
        """Wraps an application; `folder` is given by its real path."""
        self._app = app
        self._folder = str(folder)
        self._public = public

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Passes a request on or answers it with 400, 403, 404 or 413."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            refusal = self._refusal(scope)
            if refusal is None and scope["method"] == "POST" and _is_call(scope["path"]):
                refusal, receive = await self._read(receive)
            if refusal is None:
                await self._app(scope, receive, _with_headers(send))
            else:
                await _answer(send, refusal)

    def _refusal(self, scope: _Message) -> int | None:
        path: str = scope["path"]
        call = path.removeprefix(_PREFIX) if path.startswith(_PREFIX) else None
        if call is None:
            known = path in _PAGES or path.startswith(_FOLDERS)
        else:
            known = any(
                call.startswith(one) if one[-1] in "/=" else call.rstrip("/") == one
                for one in _CALLS
            )
        if not known:
            return 404
        if call is not None and call.startswith("file="):
            allowed = self._is_ours(call.removeprefix("file="))
        else:
            allowed = True
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        return None if allowed and (self._public or _from_here(headers)) else 403

    def _is_ours(self, path: object) -> bool:
        if not isinstance(path, str) or "\0" in path:
            return False
        return os.path.realpath(path).startswith(self._folder + os.sep)

    async def _read(self, receive: _Receive) -> tuple[int | None, _Receive]:
        """The whole body, checked, to be received once more."""
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return 400, receive
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > _MOST_BYTES:
                return 413, receive
        try:
            sent = json.loads(body)
            if not self._names_only_ours(sent):
                return 403, receive
        except (ValueError, RecursionError):
            return 400, receive
        # Written anew, so that nobody reads anything else into it.
        messages = iter([{"type": "http.request", "body": json.dumps(sent).encode()}])

        async def receive_again() -> _Message:
            return next(messages, None) or await receive()

        return None, receive_again

    def _names_only_ours(self, sent: object) -> bool:
        if isinstance(sent, dict):
            if "path" in sent and sent["path"] is not None and not self._is_ours(sent["path"]):
                return False
            sent = list(sent.values())
        return not isinstance(sent, list) or all(map(self._names_only_ours, sent))


def _is_call(path: str) -> bool:
    return path.startswith((f"{_PREFIX}queue/join", f"{_PREFIX}call/"))


def _from_here(headers: dict[bytes, str]) -> bool:
    """Whether a browser on this machine asks for this machine, on behalf of no other site.

    A site of another name could have that name point to this machine (DNS rebinding).
    """
    host = headers.get(b"host", "")
    origin = headers.get(b"origin")
    try:
        local = urlsplit(f"//{host}").hostname in _LOCAL_NAMES
        return local and origin in (None, f"http://{host}")
    except ValueError:
        return False


def _with_headers(send: _Send) -> _Send:
    async def send_with_headers(message: _Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
        await send(message)

    return send_with_headers


async def _answer(send: _Send, status: int) -> None:
    texts = {400: "not understood", 403: "refused", 404: "no such page", 413: "too long"}
    body = texts[status].encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
