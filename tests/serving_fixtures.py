"""Fixtures: a server of small models, one for each test file, and files to send to it."""

import contextlib
import dataclasses
import os
import struct
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import absl.logging
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from serving import PRECISION, free_port, gradio_client

import color
import color_global
from colorization.data.places import places_in_common_folder
from colorization.data.report import Report
from colorization.model.layers import Layers
from colorization.options import parse
from colorization.prediction.colorize import Colorizer
from colorization.prediction.colorize_folder import colorize_photos
from colorization.prediction.picture_names import picture_names
from colorization.server import app, jobs, sessions
from colorization.training.settings import store_settings

# The first server closes the stream of this handler, which may be one of pytest's.
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__

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
def client(server, tmp_path, monkeypatch):
    """A client that does not stay in touch by itself: it would notice late that it should stop."""
    monkeypatch.setattr(gradio_client.Client, "_stream_heartbeat", lambda *_: None)
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
