"""Sends the page one request after the other; prints how memory and temporary files grow.

    python benchmarks/serve_soak.py [--requests 500] [--model_dir models/color_global]

Starts `--mode serve` and sends it photos through the API. Each session sends ten requests, one of
them for something that is no photo, and ends as a closed tab does. Ends with exit code 1 if, after
the last session, there are more temporary files than after the first 50 requests, or if the memory
of the server has grown by more than `--allowed` MB since.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

_SCRIPTS = Path(__file__).resolve().parent.parent
_WARM_UP = 50
_SESSION = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--model_dir", default="models/color_global")
    parser.add_argument("--port", type=int, default=7861)
    parser.add_argument("--allowed", type=float, default=50, help="MB that memory may grow")
    options = parser.parse_args()
    model = json.loads((Path(options.model_dir) / "settings.json").read_text())["model"]
    command = [
        sys.executable, str(_SCRIPTS / f"{model}.py"), "--mode", "serve",
        "--model_dir", options.model_dir, "--port", str(options.port),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="serve-soak-") as temporary:
        server = subprocess.Popen(
            command, env={**os.environ, "TMPDIR": temporary}, stdout=subprocess.PIPE, text=True
        )
        try:
            line = server.stdout.readline()
            found = re.search(r"http://\S+", line)
            if found is None:
                sys.exit(f"the server did not start: {line}")
            result = soak(found[0], server.pid, Path(temporary), options)
        finally:
            server.terminate()
            server.wait(30)
        left = sum(1 for _ in Path(temporary).rglob("*"))
        print(f"Ended with exit code {server.returncode}, leaving {left} files.")
        sys.exit(result or left > 0)


def soak(url: str, server: int, temporary: Path, options: argparse.Namespace) -> int:
    seen = {}
    print("requests   memory MB   temporary files   open files", flush=True)
    for done in range(0, options.requests, _SESSION):
        session(url, done)
        now = done + _SESSION
        if now % _WARM_UP == 0:
            time.sleep(20)  # the server waits a while for those who left to come back
            files = sum(1 for _ in temporary.rglob("*"))
            process = psutil.Process(server)
            opened = process.num_handles() if psutil.WINDOWS else process.num_fds()
            seen[now] = (process.memory_info().rss / 1e6, files, opened)
            print("{:8} {:11.0f} {:17} {:12}".format(now, *seen[now]), flush=True)
    memory, files, opened = (
        last - first for first, last in zip(seen[_WARM_UP], seen[max(seen)], strict=True)
    )
    print(
        f"Growth from request {_WARM_UP} to {max(seen)}: {memory:+.0f} MB, "
        f"{files:+} temporary files, {opened:+} open files."
    )
    return int(files > 0 or opened > 0 or memory > options.allowed)


def session(url: str, number: int) -> None:
    name = uuid.uuid4().hex
    random = np.random.default_rng(number)
    with httpx.Client(base_url=url, timeout=120) as client:
        config = client.get("/config").json()
        function = next(
            one["id"] for one in config["dependencies"] if one["api_name"] == "colorize"
        )
        model = config["components"]
        model = next(one["props"]["value"] for one in model if one["type"] == "dropdown")
        with client.stream("GET", f"/gradio_api/heartbeat/{name}") as heartbeat:
            lines = heartbeat.iter_lines()
            next(lines)
            for turn in range(_SESSION):
                data = b"no photo" if turn == 5 else photo(random)
                (path,) = client.post(
                    "/gradio_api/upload", files={"files": ("photo.jpg", data)}
                ).json()
                file = {"path": path, "meta": {"_type": "gradio.FileData"}}
                client.post(
                    "/gradio_api/queue/join",
                    json={
                        "data": [[file], model, 1, None],
                        "fn_index": function,
                        "session_hash": name,
                    },
                ).raise_for_status()
                message = completed(client, name)
                if message["success"] == (turn == 5):
                    sys.exit(f"an unexpected answer: {message}")
                if turn != 5:
                    url = message["output"]["data"][0][0]["url"]
                    client.get(url).raise_for_status()


def completed(client: httpx.Client, name: str) -> dict:
    parameters = {"session_hash": name}
    with client.stream("GET", "/gradio_api/queue/data", params=parameters) as stream:
        for line in stream.iter_lines():
            message = json.loads(line[5:]) if line else {}
            if message.get("msg") == "process_completed":
                return message
    sys.exit("the server broke off")


def photo(random: np.random.Generator) -> bytes:
    """A JPEG of a size that varies, as photos' do."""
    height, width = random.integers(100, 600, 2)
    coarse = Image.fromarray(random.integers(0, 256, [8, 8], np.uint8))
    with io.BytesIO() as file:
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG")
        return file.getvalue()


if __name__ == "__main__":
    main()
