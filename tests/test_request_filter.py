"""What the filter lets through to an application that answers everything."""

import asyncio
import json

import pytest
from platforms import link

from colorization.server.request_filter import RequestFilter

LOCAL = {"host": "127.0.0.1:7860"}


@pytest.fixture
def ask(tmp_path):
    """Sends a request; returns the status and what the application behind received."""

    def send(path, body=None, headers=LOCAL, public=False):
        received, sent = [], []

        async def application(scope, receive, send):
            received.append((await receive())["body"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        pieces = [body[:5], body[5:]] if body is not None else [b""]
        messages = [
            {"type": "http.request", "body": piece, "more_body": piece is not pieces[-1]}
            for piece in pieces
        ]

        async def receive():
            return messages.pop(0)

        async def answer(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET" if body is None else "POST",
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        asyncio.run(RequestFilter(application, tmp_path, public)(scope, receive, answer))
        return sent[0]["status"], received, dict(sent[0]["headers"])

    return send


@pytest.mark.parametrize(
    "path", ["/", "/config", "/assets/index.js", "/gradio_api/info", "/gradio_api/upload"]
)
def test_what_the_page_needs_is_let_through(ask, path):
    status, received, headers = ask(path)
    assert (status, len(received)) == (200, 1)
    assert b"default-src 'self'" in headers[b"content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/run/colorize",
        "/gradio_api/api/colorize",
        "/gradio_api/proxy=http://example.org",
        "/gradio_api/component_server",
        "/gradio_api/vibe-edit",
        "/gradio_api/runs",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/deep_link",
        "/monitoring",
        "/somewhere",
    ],
)
def test_other_routes_do_not_exist(ask, path):
    assert ask(path)[:2] == (404, [])


def test_only_files_of_the_folder_are_read(ask, tmp_path):
    assert ask(f"/gradio_api/file={tmp_path}/a/b.png")[0] == 200
    link(tmp_path / "link", "/etc")
    for path in (
        "/etc/passwd",
        f"{tmp_path}/../b.png",
        f"{tmp_path}/link/passwd",
        f"{tmp_path}",
        f"{tmp_path}-other/b.png",
        "http://example.org/b.png",
        "b.png",
        f"{tmp_path}/a\0b",
    ):
        assert ask(f"/gradio_api/file={path}")[:2] == (403, []), path


@pytest.mark.parametrize("call", ["queue/join", "call/colorize", "call/v2/colorize"])
def test_only_paths_of_the_folder_are_passed_on(ask, tmp_path, call):
    def status(path):
        sent = {"data": [[{"path": path, "meta": {"_type": "gradio.FileData"}}], 1]}
        return ask(f"/gradio_api/{call}", json.dumps(sent).encode())[0]

    assert status(f"{tmp_path}/a/b.png") == 200
    for path in ("/etc/passwd", f"{tmp_path}/../c", "http://example.org/b.png", "", ["x"], 1):
        assert status(path) == 403, path


def test_bodies_reach_the_application_as_they_were_checked(ask):
    body = b'{"path": "/etc/passwd", "path": null, "data": ["\xc3\xa4"]}'
    status, (received,), _ = ask("/gradio_api/queue/join", body)
    assert status == 200
    assert json.loads(received) == {"path": None, "data": ["ä"]}


def test_bodies_that_make_no_sense_are_refused(ask):
    for body in (b"", b"{", b"\xff\xfe\xff", b"[" * 100_000):
        assert ask("/gradio_api/queue/join", body)[:2] == (400, [])
    assert ask("/gradio_api/queue/join", b'"' + b"x" * 2**23 + b'"')[:2] == (413, [])


def test_other_sites_cannot_use_a_visitors_browser(ask):
    ours = {**LOCAL, "origin": "http://127.0.0.1:7860"}
    assert ask("/", headers=ours)[0] == 200
    assert ask("/", headers={"host": "localhost:7860"})[0] == 200
    assert ask("/", headers={"host": "[::1]:7860"})[0] == 200
    for headers in (
        {"host": "evil.example:7860"},
        {**LOCAL, "origin": "http://evil.example"},
        {**LOCAL, "origin": "http://127.0.0.1:8000"},
        {**LOCAL, "origin": "null"},
        {"host": "[127.0.0.1"},
        {},
    ):
        assert ask("/", headers=headers)[:2] == (403, []), headers
    assert ask("/", headers={"host": "photos.example"}, public=True)[0] == 200
