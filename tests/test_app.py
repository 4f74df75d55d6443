"""The page and its API, on a server and in a browser of this machine."""

import base64
import contextlib
import dataclasses
import functools
import io
import json
import logging
import os
import shutil
import signal
import socket
import struct
import sys
import threading
import time
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from platforms import HANG

import color
import color_global
from colorization.data.photos import places_in_common_folder
from colorization.data.report import Report
from colorization.errors import UserError
from colorization.model.layers import Layers
from colorization.options import parse
from colorization.prediction.colorize import Colorizer
from colorization.prediction.colorize_folder import colorize_photos
from colorization.prediction.results import picture_names
from colorization.training import checkpoint, general_model
from colorization.training.settings import copy_settings, store_settings

gradio_client = pytest.importorskip("gradio_client", reason="needs Gradio")

from colorization.console import STOP_SIGNALS  # noqa: E402
from colorization.modes import serve  # noqa: E402
from colorization.server import app, jobs, sessions  # noqa: E402
from colorization.server.addresses import parse_public_url  # noqa: E402

PRECISION = "float32"
# Answers may take long on a busy machine, for which httpx waits five seconds.
get, post, stream = (
    functools.partial(call, timeout=HANG) for call in (httpx.get, httpx.post, httpx.stream)
)
# Addresses that this process connects to while `watching`.
watching: list = []


def _watch(event, arguments):
    if event == "socket.connect" and watching:
        watching.append(arguments[1])


sys.addaudithook(_watch)


def small_network(nn, lightness, params):
    """Visible colours at a thousandth of the real network's cost; only the page is tested here."""
    x = nn.conv(nn.input(lightness), 4, "hidden", stride=2)
    return nn.output(x, 2, "output"), None


def small_global_network(nn, lightness, params):
    """The same, its colours shifted by the mean lightness of the whole photo."""
    x = nn.input(lightness)
    mood = tf.reduce_mean(nn.of_whole_photo(lambda nn, x: x, x, 224), [1, 2, 3], keepdims=True)
    x = nn.conv(x, 4, "hidden", stride=2)
    return nn.output(x + mood, 2, "output"), None


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with both models, as `models/` is, for the duration of which they are small."""
    parent = tmp_path_factory.mktemp("models")
    (parent / "something else").mkdir()
    for model in ("color", "color_global"):
        arguments = ["--normalization", "none", "--chroma_scale", "8", "--precision", "float32"]
        options = parse(model, [*arguments, "--model_dir", str(parent / model)])
        store_settings(options)
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.compat.v1.set_random_seed(len(model))
            tf.compat.v1.train.get_or_create_global_step()
            params = dataclasses.asdict(options)
            small_network(Layers(False, params), tf.zeros([1, 8, 8, 1]), params)
            session.run(tf.compat.v1.global_variables_initializer())
            (kernel,) = (v for v in tf.compat.v1.global_variables() if v.name == "output/kernel:0")
            session.run(kernel.assign(100 * kernel))
            checkpoint = str(parent / model / "model.ckpt")
            tf.compat.v1.train.Saver().save(session, checkpoint, global_step=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(color, "network", small_network)
        patch.setattr(color_global, "network", small_global_network)
        yield parent


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture(scope="module")
def loaded(models):
    return jobs.Models(str(models / "color_global"), PRECISION)


def files(folder):
    """Paths in a folder; unlike `Path.rglob`, os.walk bears that some are going meanwhile."""
    return {
        Path(parent, name) for parent, folders, names in os.walk(folder) for name in folders + names
    }


@pytest.fixture(scope="module")
def server(loaded, tmp_path_factory):
    """A running server: `url`, its private `folder`, and the paths of `files` in there."""
    example = np.arange(64 * 48, dtype=np.uint8).reshape(48, 64)
    temporary = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "MAX_UPLOAD", 2**21)
        patch.setattr(app, "_SWEEP_SECONDS", 0.1)
        patch.setattr(sessions, "_AWAY_SECONDS", 0.1)
        patch.setattr("tempfile.tempdir", str(temporary))
        watching.append("here")
        with app.serving(loaded, {"example": example}, port=free_port()) as url:
            (private,) = temporary.glob("colorize-*")
            yield SimpleNamespace(url=url, folder=private, files=lambda: files(private))
        assert not list(temporary.glob("colorize-*"))
        local = (str, bytes)
        elsewhere = [
            one
            for one in watching[1:]
            if not isinstance(one, local) and one[0] not in ("127.0.0.1", "::1")
        ]
        watching.clear()
        assert elsewhere == []


@pytest.fixture
def client(server, tmp_path):
    with contextlib.closing(
        gradio_client.Client(server.url, verbose=False, download_files=str(tmp_path / "downloads"))
    ) as client:
        yield client


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Files as people have them: a gray PNG and a colour JPEG."""
    made = tmp_path_factory.mktemp("photos")
    pixels = np.random.default_rng(0).integers(0, 256, [6, 4, 3], np.uint8)
    picture = Image.fromarray(pixels).resize((50, 90), Image.Resampling.BICUBIC)
    picture.convert("L").save(made / "gray.png")
    picture.save(made / "photo.jpg", quality=90)
    return [str(made / "gray.png"), str(made / "photo.jpg")]


@pytest.fixture
def no_photos(tmp_path):
    """Files that cannot be coloured, by what is said about them."""
    header = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header
    huge = b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    contents = {
        "not a picture": ("notes.jpg", b"buy milk"),
        "a PDF file; save its pages": ("scan.pdf", b"%PDF-1.7" + bytes(50)),
        "a film, not a photo": ("film.mp4", b"\0\0\0\x18ftypmp42" + bytes(50)),
        "empty file": ("empty.png", b""),
        "pixels above the limit": ("huge.png", huge + b"\0\0\0\0IDAT"),
    }
    for name, data in contents.values():
        (tmp_path / name).write_bytes(data)
    return {str(tmp_path / name): said for said, (name, _) in contents.items()}


@pytest.fixture(scope="module")
def predicted(models, tmp_path_factory):
    """Gives the bytes that `--mode predict` writes, by name."""
    colorizers: dict = {}

    def predict(paths, model="color_global", **settings):
        key = (model, *sorted(settings.items()))
        if key not in colorizers:
            colorizers[key] = Colorizer(str(models / model), precision=PRECISION, **settings)
        output, report = tmp_path_factory.mktemp("predicted"), Report(len(paths))
        names = picture_names(places_in_common_folder(paths))
        colorize_photos(colorizers[key], names, output, report, lambda: None, workers=2, quality=95)
        return {path.name: path.read_bytes() for path in (output / "predicted").iterdir()}

    return predict


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


def wait_for(condition):
    until = time.monotonic() + HANG
    while not (found := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return found


# The API


def test_pictures_are_those_of_predict(client, predicted, photos):
    pictures, problems = colorize(client, photos)
    assert problems == {}
    assert pictures == predicted(photos)
    coloured = np.asarray(Image.open(io.BytesIO(pictures["gray.png"])), float)
    assert np.ptp(coloured, axis=2).mean() > 3


def test_model_saturation_and_style_are_those_of_predict(client, predicted, photos):
    gray, photo = photos
    pictures, _ = colorize(client, [gray], model="color", saturation=1.7)
    assert pictures == predicted([gray], "color", saturation=1.7)
    style = gradio_client.handle_file(photo)
    pictures, _ = colorize(client, [gray], style=style, saturation=0.3)
    assert pictures == predicted([gray], style=photo, saturation=0.3)
    assert pictures != predicted([gray], saturation=0.3)


def test_hints_are_those_of_predict(client, models, photos):
    points = [["25%", "40%", "seagreen"], [3, 2, [128, 128, 128]]]
    pictures, problems = colorize(client, photos, hints=[None, points])
    assert problems == {}
    colorizer = Colorizer(str(models / "color_global"), precision=PRECISION)
    expected = [
        colorizer.colorize_bytes(Path(path).read_bytes(), hints=hints)
        for path, hints in zip(photos, (None, points), strict=True)
    ]
    assert list(pictures.values()) == expected


def test_a_hint_outside_the_photo_is_named(client, photos):
    pictures, problems = colorize(client, photos, hints=[[[10**6, 0, "red"]], []])
    assert list(pictures) == [Path(photos[1]).name]
    assert "X of a hint must be a pixel" in problems[Path(photos[0]).name]


def test_equal_names_stay_apart(client, colourful, tmp_path):
    paths = []
    for number, name in enumerate(["photo", "photo", "photo (2)", "photo"]):
        path = tmp_path / f"{number}" / f"{name}.png"
        path.parent.mkdir()
        Image.fromarray(colourful(20, 20, number)).save(path)
        paths.append(str(path))
    pictures, _ = colorize(client, paths)
    assert list(pictures) == ["photo.png", "photo (3).png", "photo (2).png", "photo (4).png"]
    assert len(set(pictures.values())) == 4


def test_what_is_no_photo_is_named_and_the_others_are_coloured(client, photos, no_photos):
    pictures, problems = colorize(client, [*no_photos, *photos])
    assert set(pictures) == {"gray.png", "photo.jpg"}
    assert set(problems) == {os.path.basename(path) for path in no_photos}
    for path, said in no_photos.items():
        assert said in problems[os.path.basename(path)]


def test_pages_left_out_are_said(client, photos, tmp_path):
    with Image.open(photos[1]) as page:
        page.save(tmp_path / "album.tif", save_all=True, append_images=[page.copy()] * 2)
    pictures, problems = colorize(client, [str(tmp_path / "album.tif")])
    assert list(pictures) == ["album.tif"]
    assert "its 2 further pages are left out here" in problems["album.tif"]


def test_without_any_photo_the_reason_is_the_error(client, no_photos):
    with pytest.raises(gradio_client.exceptions.AppError, match=r"notes\.jpg: not a picture"):
        colorize(client, no_photos)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "../color"}, "There is no model '../color'; choose from color_global, color"),
        ({"model": ["color"]}, "no model"),
        ({"saturation": 0}, "Saturation must be a number above 0"),
        ({"saturation": "1"}, "Saturation must be"),
        ({"hints": [[0, 0, "red"]]}, "a hint is X,Y,COLOUR"),
        ({"hints": [[[0, 0, "reddish"]]]}, "unknown colour 'reddish'"),
        ({"hints": []}, "a list for each photo"),
        ({"hints": "red"}, "a list for each photo|JSON"),
        ({"saturation": float("nan")}, "Saturation must be|Not coloured|400|invalid|JSON"),
    ],
)
def test_settings_without_sense_are_refused(client, photos, settings, said):
    with pytest.raises(Exception, match=said):
        colorize(client, photos[:1], **settings)


@pytest.mark.parametrize("nothing", [[], None])
def test_a_request_without_photos_is_refused(client, nothing):
    with pytest.raises(gradio_client.exceptions.AppError, match=r"Send one photo or more\."):
        client.predict(nothing, model="color_global", saturation=1, api_name="/colorize")


def test_uploads_are_limited_in_bytes(server):
    before = server.files()
    long = {"files": ("long.png", os.urandom(2**21 + 1))}
    assert post(f"{server.url}/gradio_api/upload", files=long).status_code == 413
    assert server.files() <= before


def test_many_jobs_of_one_client_all_come_back(client, predicted, photos):
    files = [gradio_client.handle_file(path) for path in photos]
    submitted = [client.submit(files, api_name="/colorize") for _ in range(30)]
    for job in submitted:
        pictures, problems = job.result(timeout=HANG)
        assert problems == {}
        assert {Path(path).name for path in pictures} == {"gray.png", "photo.jpg"}
        assert all(Path(path).stat().st_size for path in pictures)


def test_a_cancelled_job_ends(client, server, photos, monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    def slow(*_):
        begun.set()
        assert ended.wait(HANG)
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "_colorize", slow)
        job = client.submit([gradio_client.handle_file(photos[0])], api_name="/colorize")
        assert begun.wait(HANG)
        job.cancel()
        ended.set()
    assert set(colorize(client, photos)[0]) == {"gray.png", "photo.jpg"}


def test_a_second_user_does_not_wait_for_the_first(client, server, photos, monkeypatch):
    go_on = threading.Event()
    colour = jobs._colorize

    def slow(wish, path, name, *hints):
        if name == "gray.png":
            assert go_on.wait(HANG)
        return colour(wish, path, name, *hints)

    monkeypatch.setattr(jobs, "_colorize", slow)
    first = client.submit([gradio_client.handle_file(photos[0])], api_name="/colorize")
    with contextlib.closing(gradio_client.Client(server.url, verbose=False)) as second:
        pictures, _ = colorize(second, photos[1:])
    assert list(pictures) == ["photo.jpg"]
    assert not first.done()
    go_on.set()
    assert len(first.result(timeout=HANG)[0]) == 1


def test_files_go_when_the_session_ends(server, client, photos):
    before = server.files()
    heartbeat = f"{server.url}/gradio_api/heartbeat/{client.session_hash}"
    with stream("GET", heartbeat) as events:
        lines = events.iter_lines()
        next(lines)
        colorize(client, photos)
        # Not their number: files of the sessions of earlier tests may be going meanwhile.
        assert server.files() - before
    wait_for(lambda: server.files() <= before)


def test_a_job_stops_quietly_when_its_session_ends(server, client, photos, monkeypatch, capsys):
    before, colour = server.files(), jobs._colorize
    begun, ended = threading.Event(), threading.Event()
    coloured = []

    def slow(wish, path, name, *hints):
        files = colour(wish, path, name, *hints)
        coloured.append(name)
        begun.set()
        assert ended.wait(HANG)
        return files

    monkeypatch.setattr(jobs, "_colorize", slow)
    heartbeat = f"{server.url}/gradio_api/heartbeat/{client.session_hash}"
    with stream("GET", heartbeat) as events:
        lines = events.iter_lines()
        next(lines)
        files = [gradio_client.handle_file(path) for path in photos]
        job = client.submit(files, api_name="/colorize")
        assert begun.wait(HANG)
    wait_for(lambda: server.files() <= before)
    ended.set()
    with pytest.raises(gradio_client.exceptions.AppError, match="session has ended"):
        job.result(timeout=HANG)
    assert coloured == ["gray.png"]
    assert "Traceback" not in capsys.readouterr().err


# What strangers may try


def functions(server):
    config = get(f"{server.url}/config").json()
    return {one["id"]: len(one["inputs"]) for one in config["dependencies"]}


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


def test_behind_a_proxy_it_needs_to_be_told_the_address(server, loaded, photos):
    there = {"Host": "photos.example", "X-Forwarded-Proto": "https"}
    refused = get(server.url, headers=there)
    assert refused.status_code == 403
    assert "--public_url https://photos.example" in refused.text
    public_url = parse_public_url("https://photos.example/colour")
    port = free_port()
    with app.serving(loaded, {}, port=port, public_url=public_url) as url:
        assert url == "https://photos.example/colour"
        here = f"http://127.0.0.1:{port}"
        for headers in ({}, there, {"Host": "upstream", "X-Forwarded-Host": "inner.example"}):
            for folder in ("", "/colour"):
                config = get(f"{here}{folder}/config", headers=headers).json()
                assert config["root"] == url
        for origin, status in ((None, 200), ("https://photos.example", 200), ("http://a.b", 403)):
            headers = {"Origin": origin} if origin else {}
            with open(photos[0], "rb") as file:
                files = {"files": ("gray.png", file)}
                answer = post(f"{here}/gradio_api/upload", files=files, headers=headers)
            assert answer.status_code == status


def test_accounts_are_asked_for(loaded, photos):
    with app.serving(loaded, {}, port=free_port(), accounts=[("ada", "s:cret")]) as url:
        assert get(f"{url}/config").status_code == 401
        with open(photos[0], "rb") as file:
            answer = post(f"{url}/gradio_api/upload", files={"files": file})
        assert answer.status_code == 401
        with pytest.raises(Exception, match=r"[Cc]redentials|login"):
            gradio_client.Client(url, verbose=False, auth=("ada", "guess"))
        client = gradio_client.Client(url, verbose=False, auth=("ada", "s:cret"))
        with contextlib.closing(client):
            assert set(colorize(client, photos[:1])[0]) == {"gray.png"}


# The command


def test_accounts_come_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("COLORIZE_AUTH", raising=False)
    assert app.read_accounts(None) == []
    monkeypatch.setenv("COLORIZE_AUTH", "ada:a:b")
    assert app.read_accounts(None) == [("ada", "a:b")]
    (tmp_path / "accounts").write_text("bob:c\n\neve:d\n")
    assert app.read_accounts(str(tmp_path / "accounts")) == [("bob", "c"), ("eve", "d")]
    for text in ("no colon", ":password", "user:", ""):
        (tmp_path / "accounts").write_text(text)
        with pytest.raises(UserError, match="user:password"):
            app.read_accounts(str(tmp_path / "accounts"))
    with pytest.raises(UserError, match="cannot read --auth_file"):
        app.read_accounts(str(tmp_path / "missing"))


def test_a_port_in_use_is_explained(server, loaded):
    port = int(server.url.rpartition(":")[2])
    with (
        pytest.raises(UserError, match=f"port {port} is in use"),
        app.serving(loaded, {}, port=port),
    ):
        pass


def test_an_address_of_another_machine_is_explained(loaded):
    with (
        pytest.raises(UserError, match="--host"),
        app.serving(loaded, {}, host="192.0.2.1", port=free_port()),
    ):
        pass


def test_the_general_models_are_among_those_to_choose(models, tmp_path, monkeypatch):
    for name in ("color", "color_global"):
        checkpoint.write_weights(str(models / name), tmp_path / name)
        copy_settings(str(models / name), tmp_path / name)
    monkeypatch.setattr(general_model, "_PLACE", tmp_path)
    general = ["pretrained/color", "pretrained/color_global"]
    offered = jobs.Models(str(models / "color"), PRECISION)
    assert offered.default == "color"
    assert offered.names == ["color", "color_global", *general]
    assert offered.with_style == ["color_global", "pretrained/color_global"]
    assert offered.colorizer("pretrained/color_global")
    alone = jobs.Models(str(tmp_path / "color_global"), PRECISION)
    assert alone.default == "pretrained/color_global"
    assert alone.named("color_global") == "pretrained/color_global"
    assert offered.named("color_global") == "color_global"
    assert alone.named(["nonsense"]) == ["nonsense"]
    assert sorted(alone.names) == general


def test_an_untrained_model_is_explained(tmp_path):
    with pytest.raises(UserError, match="no trained model"):
        jobs.Models(str(tmp_path))


def test_a_missing_package_is_explained(monkeypatch):
    for module in ("modes.serve", "server.app", "server.jobs"):
        monkeypatch.delitem(sys.modules, f"colorization.{module}")
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-serve\.txt"):
        import colorization.modes.serve  # noqa: F401


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signals_end_it(models, loaded, monkeypatch, tmp_path, capsys, name):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(serve, "Models", lambda *_: loaded)
    former = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    # As for a program that a shell has started in the background.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    port = free_port()
    arguments = ["--mode", "serve", "--port", str(port)]
    options = parse("color_global", [*arguments, "--model_dir", str(models / "color_global")])
    answers = []

    def stop():
        wait_for(lambda: "Ctrl-C" in capsys.readouterr().out)
        answers.append(get(f"http://127.0.0.1:{port}").status_code)
        signal.raise_signal(getattr(signal, name))

    stopper = threading.Thread(target=stop)
    stopper.start()
    try:
        with pytest.raises(SystemExit) as raised:
            serve.run(None, options)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        stopper.join()
    assert answers == [200]
    assert raised.value.code == 128 + getattr(signal, name)
    assert not list(tmp_path.iterdir())
    with socket.create_server(("127.0.0.1", port)):
        pass


# The page

BROWSER = {name: shutil.which(name) for name in ("chromium", "chromedriver")}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, its downloads going to `browser.downloads`; skips where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver")
    if None in BROWSER.values():
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER["chromium"]
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--window-size=1300,1100",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    downloads = tmp_path_factory.mktemp("downloads")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(options, webdriver.ChromeService(BROWSER["chromedriver"]))
    driver.downloads = downloads
    yield driver
    driver.quit()


DROP = """
const [photos, target] = arguments;
const transfer = new DataTransfer();
for (const [name, data] of photos) {
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  transfer.items.add(new File([bytes], name, {type: "image/" + name.split(".").pop()}));
}
document.querySelector(target).dispatchEvent(
  new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
"""


class Page:
    """What a person does in one tab."""

    def __init__(self, driver, url):
        self.driver = driver
        driver.switch_to.new_window("tab")
        self.tab = driver.current_window_handle
        driver.get(url)
        self.find("#photos button")

    def all(self, selector):
        self.driver.switch_to.window(self.tab)
        found = self.driver.find_elements("css selector", selector)
        return [element for element in found if self._is_shown(element)]

    @staticmethod
    def _is_shown(element):
        from selenium.common.exceptions import StaleElementReferenceException

        try:
            return element.is_displayed()
        except StaleElementReferenceException:  # taken away since it was found
            return False

    def find(self, selector):
        return wait_for(lambda: self.all(selector))[0]

    def drop(self, paths, target="#photos button"):
        self.find(target)
        files = [
            (Path(path).name, base64.b64encode(Path(path).read_bytes()).decode()) for path in paths
        ]
        self.driver.execute_script(DROP, files, target)

    def download(self, selector, name):
        self.find(selector).click()
        path = self.driver.downloads / name
        wait_for(path.exists)
        data = path.read_bytes()
        path.unlink()
        return data

    def close(self):
        """Checks that nothing went wrong behind the scenes."""
        self.driver.switch_to.window(self.tab)
        self.driver.close()
        self.driver.switch_to.window(self.driver.window_handles[0])


@pytest.fixture
def open_page(browser, server):
    """Opens the page in a new tab; at the end looks for errors and for requests elsewhere."""
    pages = []

    def open_tab():
        pages.append(Page(browser, server.url))
        return pages[-1]

    yield open_tab
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    for page in pages:
        page.close()
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert any(url.startswith(server.url) for url in asked)
    allowed = (server.url, "data:", f"blob:{server.url}")
    assert [url for url in asked if not url.startswith(allowed)] == []
    assert errors == []


def test_a_dropped_photo_comes_back_in_colour(open_page, predicted, photos):
    from selenium.webdriver import ActionChains

    page = open_page()
    page.drop(photos[1:])
    handle = page.find("#slider [data-testid=slider]")
    before, after = page.all("#slider img")
    wait_for(lambda: after.get_property("naturalWidth"))
    assert [before.get_property("naturalWidth"), after.get_property("naturalHeight")] == [50, 90]
    clipped = after.get_attribute("style")
    ActionChains(page.driver).drag_and_drop_by_offset(handle, 60, 0).perform()
    wait_for(lambda: after.get_attribute("style") != clipped)
    assert page.download("#download", "photo.jpg") == predicted(photos[1:])["photo.jpg"]


def test_many_photos_come_as_a_zip(open_page, predicted, photos, no_photos):
    page = open_page()
    page.drop([*photos, *no_photos])
    assert "notes.jpg: not a picture" in page.find(".toast-body").text
    page.find("[data-testid=toast-close]").click()
    data = page.download("#download-all", "coloured.zip")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pictures = {name: archive.read(name) for name in archive.namelist()}
    assert pictures == predicted(photos)
    assert page.find("#download").text == "Download gray.png"
    wait_for(lambda: len(page.all("#strip img")) == 2)
    page.all("#strip img")[1].click()
    wait_for(lambda: page.find("#download").text == "Download photo.jpg")
    assert page.download("#download", "photo.jpg") == pictures["photo.jpg"]


def test_what_is_no_photo_is_said(open_page, no_photos):
    page = open_page()
    page.drop(no_photos)
    message = page.find(".toast-body").text
    for path, said in no_photos.items():
        assert f"{os.path.basename(path)}: " in message
        assert said in message
    assert not page.all("#download")


def test_examples_and_saturation(open_page, server, predicted):
    from selenium.webdriver import Keys

    page = open_page()
    page.find("#examples button").click()
    (example,) = map(str, server.folder.glob("*/example.png"))
    picture = page.download("#download", "example.png")
    assert picture == predicted([example])["example.png"]
    first = page.all("#slider img")[1].get_attribute("src")
    number = page.find("#saturation input[type=number]")
    # Not `clear`, which is a change by itself and has the photo coloured once more.
    number.send_keys(Keys.CONTROL, "a", Keys.NULL, "2.5", Keys.TAB)
    wait_for(lambda: page.all("#slider img")[1].get_attribute("src") != first)
    assert page.download("#download", "example.png") != picture


def test_two_people_at_once_get_their_own(open_page, predicted, photos):
    first, second = open_page(), open_page()
    first.drop(photos[:1])
    second.drop(photos[1:])
    expected = predicted(photos)
    assert first.download("#download", "gray.png") == expected["gray.png"]
    assert second.download("#download", "photo.jpg") == expected["photo.jpg"]
    assert first.find("#download").text == "Download gray.png"


def test_a_page_at_another_address_says_which_option_is_missing(browser, loaded, server):
    port = free_port()
    elsewhere = parse_public_url("http://photos.example/colour")
    with app.serving(loaded, {}, port=port, public_url=elsewhere):
        browser.switch_to.new_window("tab")
        browser.get(f"http://127.0.0.1:{port}")
        said = wait_for(lambda: browser.find_elements("id", "elsewhere"))[0].text
        assert "set up for http://photos.example/colour" in said
        assert f"--public_url http://127.0.0.1:{port}" in said
        browser.close()
        browser.switch_to.window(browser.window_handles[0])
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # of what did not work, as it should
