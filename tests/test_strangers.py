"""What strangers may try on a server: paths, nonsense, guesses, other sites, broken requests."""

import contextlib
import io
import json
import logging
import socket
import struct
from pathlib import Path

from serving import colorize, functions, get, gradio_client, post, raw

pytest_plugins = ["serving_fixtures"]


def test_no_path_but_that_of_an_upload_is_opened(server, models):
    before = server.files()
    for function, count in functions(server).items():
        for path in (
            "/etc/passwd",
            f"{server.folder}/../../etc/passwd",
            "../../../../../../etc/passwd",
            "http://127.0.0.1:1/photo.png",
            str(models / "color" / "settings.json"),
        ):
            file = {"path": path, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}
            for data in ([file] * count, [[file]] * count, [{"image": file}] * count):
                if count:
                    assert raw(server, data, function) == 403
    # Files of earlier tests' sessions may have such names.
    names = {path.name for path in server.files() - before}
    assert not names & {"passwd", "settings.json", "photo.png"}


def test_nonsense_is_answered_and_nothing_breaks(server, client, photos):
    file = {"path": f"{server.folder}/nothing.png", "meta": {"_type": "gradio.FileData"}}
    (colour, *_) = functions(server)
    for data in (
        [[file], "color_global", 1, None],
        [["no dict"], "color_global", 1, None],
        ["no list", "color_global", 1, None],
        [[{"path": None}], {}, [], 5],
        [5, 5, 5, 5],
    ):
        answer = raw(server, data, colour)
        assert answer == 400 or answer["success"] is False, data
        assert "Traceback" not in json.dumps(answer)
    assert colorize(client, photos)[1] == {}


def test_results_lie_at_addresses_that_cannot_be_guessed(server, client, photos):
    client.download_files = False
    pictures, _ = client.predict([gradio_client.handle_file(photos[0])], api_name="/colorize")
    address = pictures[0]["url"]
    assert get(address).status_code == 200
    (token, *_) = Path(pictures[0]["path"]).relative_to(server.folder).parts
    assert len(token) == 32
    for other in (str(server.folder), str(server.folder / token), "/etc/passwd"):
        assert get(f"{server.url}/gradio_api/file={other}").status_code == 403


def test_other_sites_are_refused(server):
    assert get(server.url).status_code == 200
    assert get(server.url, headers={"Host": "evil.example"}).status_code == 403
    assert get(server.url, headers={"Origin": "http://evil.example"}).status_code == 403


def send_bytes(server, data):
    """Sends what is no whole request, and goes away."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(data)
        with contextlib.suppress(TimeoutError):
            connection.settimeout(0.3)
            connection.recv(100)
        # The connection is reset, not closed.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_nothing_that_a_client_does_fills_the_log(server, photos, capsys):
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio", "")]
    for logger in loggers:
        logger.addHandler(handler)
    address = server.url.removeprefix("http://")
    form = f"Host: {address}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    part = '--x\r\nContent-Disposition: form-data; name="files"'
    for data in (
        "GET / HTTP/1.1\r\nHos",
        "\x16\x03\x01\x02\r\n\r\n",
        f"POST /gradio_api/upload HTTP/1.1\r\n{form}Content-Length: 9999\r\n\r\n{part}",
        f"POST /gradio_api/queue/join HTTP/1.1\r\n{form}Content-Length: 9999\r\n\r\n{{",
        f"GET /gradio_api/heartbeat/x HTTP/1.1\r\nHost: {address}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ):
        send_bytes(server, data.encode("latin-1"))
    multipart = {"content-type": "multipart/form-data; boundary=x"}
    for body in ("", "nothing", f"{part}\r\n\r\nno file\r\n--x--", "--x\r\n\r\n--x--"):
        answer = post(f"{server.url}/gradio_api/upload", content=body, headers=multipart)
        assert answer.status_code in (200, 400, 422)
    for name in ("", "..", "a" * 300, "a\nb.png"):
        with open(photos[0], "rb") as file:
            files = {"files": (name, file)}
            answer = post(f"{server.url}/gradio_api/upload", files=files)
        assert answer.status_code in (200, 400)
    for path in ("queue/data?session_hash=unknown", "call/colorize/unknown", "heartbeat/"):
        assert get(f"{server.url}/gradio_api/{path}").status_code in (200, 404)
    for function, count in functions(server).items():
        for values in ([], [5] * count, [None] * count):
            assert raw(server, values, function) is not None
    for logger in loggers:
        logger.removeHandler(handler)
    assert "Traceback" not in logged.getvalue() + capsys.readouterr().err
