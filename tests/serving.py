"""Requests to a running server, and what else its tests share; skips them without Gradio."""

import functools
import json
import socket
import time
from pathlib import Path

import pytest
from platforms import HANG

pytest.importorskip("gradio", reason="needs Gradio")

# Packages that Gradio brings along.
import gradio_client
import httpx

PRECISION = "float32"
# Answers may take long on a busy machine, for which httpx waits five seconds.
get, post, stream = (
    functools.partial(call, timeout=HANG) for call in (httpx.get, httpx.post, httpx.stream)
)


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def wait_for(condition):
    until = time.monotonic() + HANG
    while not (found := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return found


def colorize(client, paths, **settings):
    files = [gradio_client.handle_file(path) for path in paths]
    pictures, problems = client.predict(files, api_name="/colorize", **settings)
    return {Path(path).name: Path(path).read_bytes() for path in pictures}, problems


def raw(server, data, function=0, session="raw"):
    """Sends what the page would send, and returns the last thing that comes back."""
    sent = {"data": data, "fn_index": function, "session_hash": session}
    answer = post(f"{server.url}/gradio_api/queue/join", json=sent)
    if answer.status_code != 200:
        return answer.status_code
    parameters = {"session_hash": session}
    with stream("GET", f"{server.url}/gradio_api/queue/data", params=parameters) as events:
        for line in events.iter_lines():
            message = json.loads(line[5:]) if line else {}
            if message.get("msg") == "process_completed":
                return message
    return None


def functions(server):
    config = get(f"{server.url}/config").json()
    return {one["id"]: len(one["inputs"]) for one in config["dependencies"]}
