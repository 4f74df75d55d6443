"""Filters requests before they reach Gradio; only what the page needs may pass."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from colorization.errors import trouble_of_disk
from colorization.server.addresses import Address, foreign_address, parse_address
from colorization.server.sessions import Request, Sessions

_PREFIX = "/gradio_api/"
# Gradio's routes that the page and Gradio's client use. The others bypass the queue, fetch from
# other hosts or are for development.
_PAGES = (
    "/",
    "/config",
    "/favicon.ico",
    "/login",
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
    "queue/data",
    "queue/join",
    "reset",
    "startup-events",
    "theme.css",
    "upload",
    "upload_progress",
)
# Largest size in bytes of a request other than an upload.
_MAX_BYTES = 4 * 2**20
_HEARTBEAT = f"{_PREFIX}heartbeat/"
_FILE = f"{_PREFIX}file="
_UPLOAD = f"{_PREFIX}upload"
# Status and text of responses.
_NOT_UNDERSTOOD = (400, "not understood")
_REFUSED = (403, "refused")
_NO_PAGE = (404, "no such page")
_TOO_LONG = (413, "too long")
_FAILED = (500, "failed")
# Fields that Gradio's page sends in a call, and in the description of its event.
_CALL_NAMES = ("data", "fn_index", "session_hash", "trigger_id")
_EVENT_NAMES = ("index", "value", "selected")
# Key of the `Request` in the scope of an HTTP request that names uploads.
_REQUEST_KEY = "colorization.request"

_HEADERS = [
    # The browser refuses to load or send anything elsewhere.
    (
        b"content-security-policy",
        b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
        b"frame-ancestors 'none'; form-action 'self'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    # Proxies pass on progress without buffering.
    (b"x-accel-buffering", b"no"),
]

_log = logging.getLogger(__name__)

_Message = dict[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class RequestFilter:
    """ASGI middleware that refuses requests and informs `Sessions`.

    It refuses

    - routes that the page does not need;
    - files, in addresses and in calls, outside of the folder of uploads and results;
    - requests that another site makes the browser send, as far as the browser says so.

    `Sessions` learns from it which visitors are there, and which uploads are still needed.
    """

    def __init__(
        self,
        app: Callable,
        folder: Path,
        sessions: Sessions,
        require_sense: Callable[[object, object], None],
        any_host: bool,
        public_url: Address | None,
    ):
        """Wraps an application.

        Args:
          app: handles the requests that pass.
          folder: real path of the folder of uploads and results.
          sessions: owner of that folder.
          require_sense: takes the number or name of a function and its values, and raises
            ValueError if the function does not take these.
          any_host: see `addresses.foreign_address`.
          public_url: where a proxy shows the page, if one does.
        """
        self._app = app
        self._folder = str(folder)
        self._sessions = sessions
        self._require_sense = require_sense
        self._any_host = any_host
        self._public_url = public_url
        self._warned = False

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Passes a request on, or responds with 400, 403, 404, 413, 500 or 507."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # not used by the page
        else:
            scope = self._without_folder(scope)
            path: str = scope["path"]
            refusal = self._refusal(scope)
            if refusal is None and scope["method"] == "POST" and _is_call(path):
                refusal, receive, scope = await self._read_call(scope, receive)
            if refusal is None:
                with self._counted(path):
                    await self._pass_on(scope, receive, send)
            else:
                await _answer(send, *refusal)

    async def _pass_on(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Lets the application respond; its errors about nonsense are logged for debugging only."""
        started = False

        async def send_with_headers(message: _Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            trouble = trouble_of_disk(error)
            if trouble is not None:
                _log.warning("%s: %s", self._folder, trouble)
            _log.debug("%s %s", scope["method"], scope["path"], exc_info=True)
            if started:
                # This fails if a longer body was announced; the connection is closed then.
                with contextlib.suppress(RuntimeError):
                    await send({"type": "http.response.body", "body": b""})
            elif trouble is not None:
                await _answer(send, 507, f"on the server, {trouble}")
            else:
                # Gradio does not check all input, so that an error may come from nonsense.
                await _answer(send, *(_NOT_UNDERSTOOD if scope["method"] == "POST" else _FAILED))

    def _without_folder(self, scope: _Message) -> _Message:
        """The scope without the folder of the public address, which not all proxies remove."""
        folder = self._public_url.path if self._public_url else ""
        if not folder or not f"{scope['path']}/".startswith(f"{folder}/"):
            return scope
        path = scope["path"].removeprefix(folder) or "/"
        return {**scope, "path": path, "raw_path": quote(path).encode()}

    def _counted(self, path: str) -> contextlib.AbstractContextManager:
        """Counts an upload, or, as long as a heartbeat connection lasts, a visitor of a session."""
        if path.rstrip("/") == _UPLOAD:
            return self._sessions.uploading()
        session = path.removeprefix(_HEARTBEAT)
        return self._sessions.visit(session) if session != path else contextlib.nullcontext()

    def _refusal(self, scope: _Message) -> tuple[int, str] | None:
        path: str = scope["path"]
        call = path.removeprefix(_PREFIX)
        if call == path:
            is_known = path in _PAGES or path.startswith(_FOLDERS)
        else:
            is_known = any(
                call.startswith(route) if route[-1] in "/=" else call.rstrip("/") == route
                for route in _CALLS
            )
        if not is_known:
            return _NO_PAGE
        if path.startswith(_FILE) and not self._is_ours(path.removeprefix(_FILE)):
            return _REFUSED
        # The page's own files are public, and the page explains the problem better.
        if path.startswith(_FOLDERS):
            return None
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get(b"sec-fetch-site") == "cross-site" and not _opens_page(path, headers):
            return _REFUSED
        foreign = foreign_address(headers, self._public_url, self._any_host)
        return None if foreign is None else (403, self._explanation(foreign))

    def _explanation(self, foreign: str) -> str:
        """The response to requests for or from another site; the first one is also logged."""
        address = parse_address(foreign)
        shown = str(address) if address else "another address"
        if self._public_url:
            message = f"refused: asked for at {shown}, but --public_url is {self._public_url}"
        else:
            message = (
                f"refused: asked for at {shown}; if a proxy shows the page there, start it "
                f"with --public_url {address or 'ADDRESS'} (with the folder, if it shows it in one)"
            )
        if not self._warned:
            self._warned = True
            _log.warning("%s", message)
        return message

    def _is_ours(self, path: object) -> bool:
        if not isinstance(path, str) or "\0" in path:
            return False
        return os.path.realpath(path).startswith(self._folder + os.sep)

    async def _read_call(
        self, scope: _Message, receive: _Receive
    ) -> tuple[tuple[int, str] | None, _Receive, _Message]:
        """Reads and checks a call.

        Returns:
          A refusal or None; a function that receives the checked call again; and the scope, which
          holds the expected `Request` if the call names uploads.
        """
        body = b""
        has_more = True
        while has_more:
            message = await receive()
            if message["type"] != "http.request":
                return _NOT_UNDERSTOOD, receive, scope
            body += message.get("body", b"")
            has_more = message.get("more_body", False)
            if len(body) > _MAX_BYTES:
                return _TOO_LONG, receive, scope
        try:
            call = json.loads(body)
            if not all(map(self._is_ours, _paths(call))):
                return _REFUSED, receive, scope
            call = self._checked_fields(scope["path"], call)
        except (ValueError, RecursionError):
            return _NOT_UNDERSTOOD, receive, scope
        uploads = self._sessions.uploads(_paths(call))
        if uploads:
            request = self._sessions.expect(call.get("session_hash"), uploads)
            scope = {**scope, _REQUEST_KEY: request}
        # The call is serialized again, so that the application cannot parse it differently.
        messages = iter([{"type": "http.request", "body": json.dumps(call).encode()}])

        async def receive_again() -> _Message:
            return next(messages, None) or await receive()

        return None, receive_again, scope

    def _checked_fields(self, path: str, call: object) -> dict[str, Any]:
        """The fields of a call that are passed to the application.

        Raises:
          ValueError: the call makes no sense.
        """
        if not isinstance(call, dict) or not isinstance(call.get("session_hash"), str | None):
            raise ValueError(call)
        # Gradio takes an empty name for none, but does not find the session's events again.
        if call.get("session_hash") == "":
            raise ValueError(call)
        route = path.removeprefix(_PREFIX).rstrip("/")
        if route == "cancel":
            # Gradio would stop all running jobs of the session, and complete only one of them. No
            # function has this number; the one job ends without it, too.
            return {**call, "fn_index": -1}
        if route.startswith("call/v2/"):
            self._require_sense(route.removeprefix("call/v2/"), call)
            return call
        function = call.get("fn_index") if route == "queue/join" else route.removeprefix("call/")
        self._require_sense(function, call.get("data"))
        event = call.get("event_data")
        event = event if isinstance(event, dict) else {}
        fields = {name: call[name] for name in _CALL_NAMES if name in call}
        return {**fields, "event_data": {name: event.get(name) for name in _EVENT_NAMES}}


def expected_request(scope: _Message) -> Request | None:
    """The request that `Sessions` expects for an HTTP request, if that names uploads."""
    return scope.get(_REQUEST_KEY)


def _paths(value: object) -> Iterator[object]:
    """Everything in a client's value that stands for the path of a file."""
    if isinstance(value, dict):
        if value.get("path") is not None:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _paths(item)


def _opens_page(path: str, headers: Mapping[bytes, str]) -> bool:
    """Whether a browser follows a link to the page, rather than loads a part of another site."""
    return path == "/" and headers.get(b"sec-fetch-mode") == "navigate"


def _is_call(path: str) -> bool:
    return path.startswith(tuple(f"{_PREFIX}{call}" for call in ("queue/join", "call/", "cancel")))


async def _answer(send: _Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
