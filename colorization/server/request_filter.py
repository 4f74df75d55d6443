"""A filter between the network and Gradio that lets through only what the page needs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from colorization.errors import trouble_of_disk
from colorization.server.addresses import Address, foreign_address, parse_address
from colorization.server.sessions import Request, Sessions

_PREFIX = "/gradio_api/"
# Routes of Gradio's that the page and its own client use. Left out are calls that go past the
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
# Most bytes of a request other than an upload.
_MOST_BYTES = 4 * 2**20
_HEARTBEAT = f"{_PREFIX}heartbeat/"
_FILE = f"{_PREFIX}file="
# Status and text of answers.
_NOT_UNDERSTOOD = (400, "not understood")
_REFUSED = (403, "refused")
_NO_PAGE = (404, "no such page")
_TOO_LONG = (413, "too long")
_FAILED = (500, "failed")
# Fields that Gradio's page sends with a call, and with the event that it is for.
_CALL_NAMES = ("data", "fn_index", "session_hash", "trigger_id")
_EVENT_NAMES = ("index", "value", "selected")
# Key under which the scope of a request that names uploads holds its `Request`.
_REQUEST_KEY = "colorization.request"

_HEADERS = [
    # Policy by which the browser refuses whatever a page of ours might ask for elsewhere.
    (
        b"content-security-policy",
        b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
        b"frame-ancestors 'none'; form-action 'self'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    # Header that lets proxies pass on progress as it comes.
    (b"x-accel-buffering", b"no"),
]

_log = logging.getLogger(__name__)

_Message = dict[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class RequestFilter:
    """ASGI middleware that refuses

    - routes that the page does not need;
    - paths, in addresses and in what is sent, that lead anywhere but into the folder of uploads
      and results, and addresses in their place;
    - unless everybody is let in, requests that another site makes the browser send;

    and tells `Sessions` who is there, and which uploads are waited for.
    """

    def __init__(
        self,
        app: Callable,
        folder: Path,
        sessions: Sessions,
        require_sense: Callable[[object, object], None],
        open_to_all: bool,
        public_url: Address | None = None,
    ):
        """Wraps an application.

        Args:
          app: what answers the other requests.
          folder: of uploads and results, given by its real path.
          sessions: what lies in there.
          require_sense: given a function, by its number or its name, and the values for it, raises
            ValueError where these are none that it takes.
          open_to_all: whether it does not matter under which name the page is asked for.
          public_url: where a proxy shows the page, if one does.
        """
        self._app = app
        self._folder = str(folder)
        self._sessions = sessions
        self._require_sense = require_sense
        self._open_to_all = open_to_all
        self._public_url = public_url
        self._warned = False

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Passes a request on or answers it with 400, 403, 404, 413, 500 or 507."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # nothing here speaks that
        else:
            scope = self._without_folder(scope)
            path: str = scope["path"]
            refusal = self._refusal(scope)
            if refusal is None and scope["method"] == "POST" and _is_call(path):
                refusal, receive, scope = await self._read(scope, receive)
            if refusal is None:
                with self._visit(path):
                    await self._pass_on(scope, receive, send)
            else:
                await _answer(send, *refusal)

    async def _pass_on(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Lets the application answer; what it makes of nonsense is no news for the log."""
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
                # Fails where the answer has been promised to be longer; the connection ends then.
                with contextlib.suppress(RuntimeError):
                    await send({"type": "http.response.body", "body": b""})
            elif trouble is not None:
                await _answer(send, 507, f"on the server, {trouble}")
            else:
                # Gradio does not check all it is sent before it uses it.
                await _answer(send, *(_NOT_UNDERSTOOD if scope["method"] == "POST" else _FAILED))

    def _without_folder(self, scope: _Message) -> _Message:
        """The scope as if the proxy showed the page at the top, where it does not itself do so."""
        folder = self._public_url.path if self._public_url else ""
        if not folder or not f"{scope['path']}/".startswith(f"{folder}/"):
            return scope
        path = scope["path"].removeprefix(folder) or "/"
        return {**scope, "path": path, "raw_path": quote(path).encode()}

    def _visit(self, path: str) -> contextlib.AbstractContextManager:
        """Someone is there as long as this connection, which says nothing else, stands."""
        call = path.removeprefix(_HEARTBEAT)
        return self._sessions.visit(call) if call != path else contextlib.nullcontext()

    def _refusal(self, scope: _Message) -> tuple[int, str] | None:
        path: str = scope["path"]
        call = path.removeprefix(_PREFIX)
        if call == path:
            known = path in _PAGES or path.startswith(_FOLDERS)
        else:
            known = any(
                call.startswith(one) if one[-1] in "/=" else call.rstrip("/") == one
                for one in _CALLS
            )
        if not known:
            return _NO_PAGE
        if path.startswith(_FILE) and not self._is_ours(path.removeprefix(_FILE)):
            return _REFUSED
        # The page's own files are no secret, and the page explains better what is wrong.
        if self._open_to_all or path.startswith(_FOLDERS):
            return None
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        other = foreign_address(headers, self._public_url)
        return None if other is None else (403, self._explanation(other))

    def _explanation(self, other: str) -> str:
        """The answer to requests from another page; the log has it too, the first time."""
        address = parse_address(other)
        known = str(address) if address else "another address"
        if self._public_url:
            said = f"refused: asked for at {known}, but --public_url is {self._public_url}"
        else:
            said = (
                f"refused: asked for at {known}; if a proxy shows the page there, start it with "
                f"--public_url {address or 'ADDRESS'} (with the folder, if it shows it in one)"
            )
        if not self._warned:
            self._warned = True
            _log.warning("%s", said)
        return said

    def _is_ours(self, path: object) -> bool:
        if not isinstance(path, str) or "\0" in path:
            return False
        return os.path.realpath(path).startswith(self._folder + os.sep)

    async def _read(
        self, scope: _Message, receive: _Receive
    ) -> tuple[tuple[int, str] | None, _Receive, _Message]:
        """The whole body, checked, to be received once more; and the scope that goes with it."""
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return _NOT_UNDERSTOOD, receive, scope
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > _MOST_BYTES:
                return _TOO_LONG, receive, scope
        try:
            sent = json.loads(body)
            if not all(map(self._is_ours, _paths(sent))):
                return _REFUSED, receive, scope
            sent = self._understood(scope["path"], sent)
        except (ValueError, RecursionError):
            return _NOT_UNDERSTOOD, receive, scope
        uploads = self._sessions.uploads(_paths(sent))
        if uploads:
            expected = self._sessions.expect(sent.get("session_hash"), uploads)
            scope = {**scope, _REQUEST_KEY: expected}
        # The call is written anew, so that nobody reads anything else into it.
        messages = iter([{"type": "http.request", "body": json.dumps(sent).encode()}])

        async def receive_again() -> _Message:
            return next(messages, None) or await receive()

        return None, receive_again, scope

    def _understood(self, path: str, sent: object) -> dict[str, Any]:
        """The fields of a call that the application gets to see.

        Raises:
          ValueError: the call makes no sense.
        """
        if not isinstance(sent, dict) or not isinstance(sent.get("session_hash"), str | None):
            raise ValueError(sent)
        call = path.removeprefix(_PREFIX).rstrip("/")
        if call.startswith("call/v2/"):
            self._require_sense(call.removeprefix("call/v2/"), sent)
            return sent
        function = sent.get("fn_index") if call == "queue/join" else call.removeprefix("call/")
        self._require_sense(function, sent.get("data"))
        event = sent.get("event_data")
        event = event if isinstance(event, dict) else {}
        understood = {name: sent[name] for name in _CALL_NAMES if name in sent}
        return {**understood, "event_data": {name: event.get(name) for name in _EVENT_NAMES}}


def expected_request(scope: _Message) -> Request | None:
    """The request that `Sessions` expects for an HTTP request, if that names uploads."""
    return scope.get(_REQUEST_KEY)


def _paths(sent: object) -> Iterator[object]:
    """Everything that a client sent as the path of a file."""
    if isinstance(sent, dict):
        if sent.get("path") is not None:
            yield sent["path"]
        sent = list(sent.values())
    if isinstance(sent, list):
        for one in sent:
            yield from _paths(one)


def _is_call(path: str) -> bool:
    return path.startswith((f"{_PREFIX}queue/join", f"{_PREFIX}call/"))


async def _answer(send: _Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
