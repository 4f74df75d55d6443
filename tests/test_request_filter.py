"""Requests that the filter lets through to an application that answers everything."""

import asyncio
import json

import pytest
from platforms import link

from colorization.server.addresses import parse_public_url
from colorization.server.request_filter import RequestFilter, expected_request
from colorization.server.sessions import Sessions

LOCAL = {"host": "127.0.0.1:7860"}


def require_sense(function, values):
    """Stands for a page whose functions 0 and `colorize` take two values."""
    if function not in (0, "colorize") or len(values) < 2:
        raise ValueError(function)


@pytest.fixture
def ask(tmp_path):
    """Sends a request; returns the status and what the application behind received."""

    def send(path, body=None, headers=LOCAL, any_host=False, public_url=None, **how):
        received, sent = [], []

        async def application(scope, receive, send):
            received.append((await receive())["body"])
            if how.get("fails") == "before":
                raise KeyError(path)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            if how.get("fails") == "after":
                raise KeyError(path)
            await send({"type": "http.response.body", "body": scope["path"].encode()})
            asked.append(scope)

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
            "type": how.get("kind", "http"),
            "method": "GET" if body is None else "POST",
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        asked.clear()
        url = parse_public_url(public_url) if public_url else None
        request_filter = RequestFilter(
            application, tmp_path, Sessions(tmp_path), require_sense, any_host, url
        )
        asyncio.run(request_filter(scope, receive, answer))
        send.sent = sent
        status = sent[0].get("status", sent[0]["type"])
        return status, received, dict(sent[0].get("headers", ()))

    asked = send.asked = []
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
        "/gradio_api/token",
        "/logout",
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
        sent = {"data": [[{"path": path, "meta": {"_type": "gradio.FileData"}}], 1], "fn_index": 0}
        return ask(f"/gradio_api/{call}", json.dumps(sent).encode())[0]

    assert status(f"{tmp_path}/a/b.png") == 200
    for path in ("/etc/passwd", f"{tmp_path}/../c", "http://example.org/b.png", "", ["x"], 1):
        assert status(path) == 403, path


def test_bodies_reach_the_application_as_they_were_checked(ask):
    body = b"""{"data": [{"path": "/etc/passwd", "path": null}, "\xc3\xa4"], "fn_index": 0,
        "event_data": {"index": 1, "other": 2}, "batched": true, "session_hash": "a"}"""
    status, (received,), _ = ask("/gradio_api/queue/join", body)
    assert status == 200
    assert json.loads(received) == {
        "data": [{"path": None}, "ä"],
        "fn_index": 0,
        "session_hash": "a",
        "event_data": {"index": 1, "value": None, "selected": None},
    }


@pytest.mark.parametrize(
    "sent",
    [
        *({}, [], 5, None, {"data": None}, {"data": [1, 2]}, {"data": [1, 2], "fn_index": 1}),
        *({"data": [1], "fn_index": 0}, {"data": [1, 2], "fn_index": [0]}),
        {"data": [1, 2], "fn_index": 0, "session_hash": 5},
        {"data": [1, 2], "fn_index": 0, "session_hash": ""},
    ],
)
def test_calls_that_make_no_sense_are_refused(ask, sent):
    assert ask("/gradio_api/queue/join", json.dumps(sent).encode())[:2] == (400, [])


def test_uploads_that_are_named_are_expected(ask, tmp_path):
    upload = tmp_path / "hash" / "photo.png"
    upload.parent.mkdir()
    upload.write_bytes(b"photo")
    sent = {"data": [[{"path": str(upload)}], 1], "session_hash": "a"}
    assert ask("/gradio_api/call/colorize", json.dumps(sent).encode())[0] == 200
    expected = expected_request(ask.asked[0])
    assert (expected.session, expected.uploads) == ("a", {upload})
    sent["data"][0] = []
    assert ask("/gradio_api/call/colorize", json.dumps(sent).encode())[0] == 200
    assert expected_request(ask.asked[0]) is None


def test_bodies_that_make_no_sense_are_refused(ask):
    for body in (b"", b"{", b"\xff\xfe\xff", b"[" * 100_000):
        assert ask("/gradio_api/queue/join", body)[:2] == (400, [])
    assert ask("/gradio_api/queue/join", b'"' + b"x" * 2**23 + b'"')[:2] == (413, [])


def test_other_sites_cannot_use_a_visitors_browser(ask):
    ours = {**LOCAL, "origin": "http://127.0.0.1:7860"}
    assert ask("/", headers=ours)[0] == 200
    for headers in ({"host": "evil.example:7860"}, {**LOCAL, "origin": "http://evil.example"}, {}):
        assert ask("/", headers=headers)[:2] == (403, []), headers
    there = {"host": "photos.example"}
    assert ask("/", headers=there, any_host=True)[0] == 200
    assert ask("/", headers={**there, "origin": "http://evil.example"}, any_host=True)[0] == 403


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"any_host": True, "headers": {"host": "photos.example"}},
        {"public_url": "https://photos.example/colour", "headers": {"host": "photos.example"}},
    ],
)
def test_other_sites_can_link_to_the_page_but_not_load_parts_of_it(ask, tmp_path, where):
    """Browsers state no origin for pictures and links."""

    def status(path, **fetch):
        named = {f"sec-fetch-{name}": value for name, value in fetch.items()}
        return ask(path, **{**where, "headers": {**where.get("headers", LOCAL), **named}})[0]

    parts = ("/config", "/gradio_api/heartbeat/a", f"/gradio_api/file={tmp_path}/a/b.png")
    assert status("/", site="cross-site", mode="navigate", dest="document") == 200
    assert status("/", site="cross-site", mode="no-cors", dest="image") == 403
    for path in parts:
        assert status(path) == 200  # by a program, or a browser that does not say
        assert status(path, site="same-origin", mode="cors") == 200
        assert status(path, site="none", mode="navigate") == 200
        assert status(path, site="cross-site", mode="no-cors") == 403
        assert status(path, site="cross-site", mode="navigate") == 403


def test_a_refusal_names_the_option(ask, caplog):
    there = {"host": "photos.example", "x-forwarded-proto": "https"}
    assert ask("/", headers=there)[0] == 403
    said = ask.sent[1]["body"].decode()
    assert "--public_url https://photos.example " in said
    assert said in caplog.text
    assert ask("/", headers=there, public_url="https://photos.example")[0] == 200
    elsewhere = {**LOCAL, "origin": "https://other.example"}
    assert ask("/", headers=elsewhere, public_url="https://photos.example")[0] == 403
    assert b"--public_url is https://photos.example" in ask.sent[1]["body"]
    ask("/", headers={**LOCAL, "origin": "http://<script>"})
    assert b"script" not in ask.sent[1]["body"]


@pytest.mark.parametrize(
    ("path", "passed_on"),
    [("/colour/config", "/config"), ("/colour", "/"), ("/colour/", "/"), ("/config", "/config")],
)
def test_a_proxy_may_keep_the_folder_that_it_shows_the_page_in(ask, path, passed_on):
    assert ask(path, public_url="https://photos.example/colour")[0] == 200
    assert ask.sent[1]["body"].decode() == passed_on
    if path != passed_on:
        assert ask(path)[0] == 404


def test_what_fails_behind_is_answered(ask):
    assert ask("/", fails="before")[0] == 500
    assert ask("/gradio_api/upload", b"nonsense", fails="before")[0] == 400
    assert ask("/", fails="after")[0] == 200
    assert ask.sent[-1] == {"type": "http.response.body", "body": b""}


def test_websockets_are_closed(ask):
    assert ask("/queue/join", kind="websocket")[:2] == ("websocket.close", [])
