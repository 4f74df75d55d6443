"""Pictures and files that several tests need."""

import dataclasses
import os
import signal
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import predicting
import pytest
from PIL import Image, ImageCms

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Scripts of shells have programs in the background ignore Ctrl-C, and so would what tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _colourful(height: int = 256, width: int = 256, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, [4, 4, 3], np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture
def colourful():
    """Makes smooth, colourful uint8 RGB pictures that differ from seed to seed."""
    return _colourful


@pytest.fixture
def colors() -> np.ndarray:
    """Noise, uint8 RGB `[5, 7, 3]`."""
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


@pytest.fixture
def grays(colors) -> np.ndarray:
    """Noise, uint8 `[5, 7]`."""
    return np.ascontiguousarray(colors[..., 0])


@pytest.fixture(scope="session")
def swapped_profile() -> bytes:
    """An ICC profile of sRGB, but that red and blue primaries have changed places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


@pytest.fixture
def photo_folder(tmp_path: Path, colourful):
    """Makes a folder of `count` colourful PNGs, `gray` gray ones and `damaged` broken ones."""

    def make(count: int, gray: int = 0, damaged: int = 0, name: str = "photos") -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(colourful(60, 80, number)).save(folder / f"colour{number}.png")
        for number in range(gray):
            Image.fromarray(colourful(60, 80, number)).convert("L").save(
                folder / f"gray{number}.png"
            )
        for number in range(damaged):
            (folder / f"damaged{number}.jpg").write_bytes(b"\xff\xd8 no picture")
        return folder

    return make


@pytest.fixture
def prepared(photo_folder, tmp_path):
    """Six colourful photos of nine, in shards of three listed photos: photos, shards, report."""
    from colorization.data.photos import find_photos
    from colorization.data.prepare import prepare

    folder = photo_folder(6, gray=2, damaged=1)
    report = prepare(find_photos([str(folder)]), str(tmp_path / "out"), photos_per_shard=3)
    return folder, tmp_path / "out", report


@pytest.fixture
def make_film(tmp_path: Path, colourful):
    """Makes films of moving, colourful pictures and of a tone that all tracks of sound have."""
    av = pytest.importorskip("av")

    def make(
        name: str = "film.mp4",
        frames: int = 11,
        *,
        pictures: str = "libx264",
        sounds: tuple = (),
        size: tuple = (48, 64),
        rate: object = 25,
        layout: str = "yuv420p",
        container: str | None = None,
        options: dict | None = None,
        muxing: dict | None = None,
        fields: str = "prog",
        times: tuple = (),
        set_up: object = None,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = colourful(*size)
        # An absolute path, for FFmpeg takes a colon in others for the end of a protocol.
        with av.open(str(path.absolute()), "w", container, options=muxing or {}) as film:
            video = film.add_stream(pictures, rate=rate, options=options or {})
            video.height, video.width, video.pix_fmt = *size, layout
            tracks = [film.add_stream(*sound[:1], rate=sound[1], layout="mono") for sound in sounds]
            for track in tracks:
                track.bit_rate = 64000
            further = set_up(film, video, tracks) if set_up else None
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=size[1], height=size[0], format="rgb24", time_base=1 / Fraction(rate)
            )
            nodes = graph.add("format", layout), graph.add("setfield", fields)
            graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(np.roll(picture, number, axis=1), "rgb24")
                frame.pts = times[number] if times else number
                frame.time_base = 1 / Fraction(rate)
                graph.push(frame)
                film.mux(video.encode(graph.pull()))
            film.mux(video.encode(None))
            for track in tracks:
                _add_tone(film, track, seconds=frames / Fraction(rate))
            if further:
                further()
        return path

    return make


def _add_tone(film, track, seconds: object) -> None:
    import av

    size = 960
    for number in range(int(seconds * track.rate) // size):
        wave = np.sin(np.arange(size * number, size * (number + 1)) * 0.06) * 0.5
        heard = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
        heard.sample_rate, heard.pts = track.rate, size * number
        heard.time_base = Fraction(1, track.rate)
        film.mux(track.encode(heard))
    film.mux(track.encode(None))


class Painter:
    """A colorizer that gives every picture the same colours, and keeps lightness."""

    def small_lightness(self, pixels: np.ndarray) -> np.ndarray:
        from colorization.lab import merge_numpy

        return merge_numpy.small_lightness(pixels, (16, 16))

    def whole_lightness(self, small: np.ndarray) -> np.ndarray:
        return small

    def predict(self, small: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.full([8, 8, 2], 20, np.float32)

    def merge(self, pixels: np.ndarray, small: np.ndarray, chroma: np.ndarray) -> np.ndarray:
        from colorization.lab import merge_numpy

        return merge_numpy.merge(pixels, small, chroma)


@pytest.fixture
def painter() -> Painter:
    return Painter()


def _write_model(folder: str, model: str, network: Callable) -> None:
    """A model folder as training leaves it, with random weights and visible colours."""
    import tensorflow as tf

    from colorization.model.layers import Layers
    from colorization.options import parse
    from colorization.training.settings import store_settings

    changes = {"model_dir": folder, "global_channels": 2, "chroma_scale": 8.0}
    options = dataclasses.replace(parse(model, []), **changes)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.set_random_seed(1)
        tf.compat.v1.train.get_or_create_global_step()
        lightness = tf.zeros([1, 224, 224, 1])
        params = {**dataclasses.asdict(options), "precision": "float32"}
        network(Layers(False, params), lightness, params)
        session.run(tf.compat.v1.global_variables_initializer())
        kernel = next(
            variable
            for variable in tf.compat.v1.global_variables()
            if variable.op.name.endswith("output/kernel")
        )
        session.run(kernel.assign(20 * kernel))
        tf.compat.v1.train.Saver().save(session, f"{folder}/model.ckpt", global_step=0)
    store_settings(options)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """Makes folders of models of the scripts, see `_write_model`."""
    import color
    import color_global

    made = {}

    def make(model: str = "color_global") -> str:
        if model not in made:
            made[model] = str(tmp_path_factory.mktemp(model))
            network = {"color": color, "color_global": color_global}[model].network
            _write_model(made[model], model, network)
        return made[model]

    return make


@pytest.fixture(scope="session")
def full_colorizer(model_folder):
    """The network of color_global.py, loaded."""
    from colorization.prediction.colorize import Colorizer

    return Colorizer(model_folder(), precision="float32")


@pytest.fixture(scope="session")
def small_model(tmp_path_factory) -> str:
    """The folder of a model of `predicting.network`."""
    folder = str(tmp_path_factory.mktemp("small"))
    _write_model(folder, "color_global", predicting.network)
    return folder


@pytest.fixture(scope="session")
def colorizer(small_model):
    """The same, loaded."""
    from colorization.prediction.colorize import Colorizer

    return Colorizer(small_model, network=predicting.network, precision="float32")


@pytest.fixture
def run_predict(small_model, tmp_path):
    """Colours photos into `tmp_path / "out"` with options of the command line."""
    from colorization.modes import predict
    from colorization.options import parse

    always = ["--model_dir", small_model, "--output", str(tmp_path / "out")]

    def colorize(*arguments):
        words = ["--mode", "predict", *always, *map(str, arguments)]
        predict.run(predicting.network, parse("color_global", words))

    return colorize


@pytest.fixture
def small_bundled(tmp_path_factory, monkeypatch):
    """Two small photos each in place of those bundled with scikit-image, which take a while."""
    folder = tmp_path_factory.mktemp("bundled")
    for number, part in enumerate(("train", "train", "test", "test")):
        (folder / part).mkdir(exist_ok=True)
        Image.fromarray(_colourful(60, 80, 100 + number)).save(folder / part / f"{number}.png")
    monkeypatch.setattr("colorization.data.split.bundled_photos", lambda _: folder)
