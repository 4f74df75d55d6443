import errno
import os
import struct
from fractions import Fraction

import numpy as np
import pytest

import color_global
from colorization.data.photos import is_film
from colorization.errors import UserError
from colorization.modes import predict as predict_mode
from colorization.options import parse
from colorization.prediction.colorize import Colorizer
from colorization.prediction.video import Smoother, UnreadableFilm, colorize_film, flicker

# Matrix of an MP4's track header, for a picture that is shown as it is stored.
AS_STORED = struct.pack(">9i", 2**16, 0, 0, 0, 2**16, 0, 0, 0, 2**30)


@pytest.fixture
def film(tmp_path, colourful):
    av = pytest.importorskip("av")

    def make(name="film.mp4", frames=11, sound=True, aspect=1, matrix=None):
        path = tmp_path / name
        vp9 = path.suffix == ".webm"
        picture = colourful(48, 64)
        with av.open(str(path), "w") as container:
            rate = Fraction(24000, 1001)
            video = container.add_stream("libvpx-vp9" if vp9 else "libx264", rate=rate)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            video.codec_context.sample_aspect_ratio = aspect
            if sound:
                rate = 48000 if vp9 else 44100
                codec = "libopus" if vp9 else "aac"
                audio = container.add_stream(codec, rate=rate, layout="mono")
            for number in range(frames):
                shifted = np.roll(picture, number, axis=1)
                container.mux(video.encode(av.VideoFrame.from_ndarray(shifted, "rgb24")))
            container.mux(video.encode(None))
            for number in range(20 if sound else 0):
                wave = np.sin(np.arange(960) * 0.06)[None].astype(np.float32)
                heard = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
                heard.sample_rate, heard.pts = rate, 960 * number
                container.mux(audio.encode(heard))
            if sound:
                container.mux(audio.encode(None))
        if matrix:
            data = path.read_bytes()
            start = data.index(AS_STORED, data.index(b"tkhd"))
            numbers = [2**16 * number for number in matrix]
            stored = struct.pack(">9i", *numbers[:2], 0, *numbers[2:], 0, 0, 0, 2**30)
            path.write_bytes(data[:start] + stored + data[start + len(stored) :])
        return path

    return make


def grays(path):
    """Of all frames as they are stored, `[frames, height, width]`."""
    import av

    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return np.stack(frames)


def pixel_aspect(path):
    import av

    with av.open(str(path)) as container:
        return container.streams.video[0].sample_aspect_ratio


def contents(path):
    import av

    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
        rate = container.streams.video[0].average_rate
    with av.open(str(path)) as container:
        sound = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    return times, rate, sound


@pytest.fixture
def colorizer(model_folder):
    return Colorizer(model_folder(), precision="float32")


@pytest.mark.parametrize("name", ["film.mp4", "film.webm"])
def test_film_keeps_its_timing_and_sound(film, colorizer, tmp_path, name):
    source = film(name)
    target = tmp_path / "results" / name
    done = []
    assert colorize_film(colorizer, str(source), target, lambda: done.append(1)) == 11
    assert len(done) == 11
    (times, rate, sound), (own_times, own_rate, own_sound) = contents(target), contents(source)
    np.testing.assert_allclose(times, own_times, atol=1e-3)
    assert float(rate) == pytest.approx(float(own_rate), rel=1e-3)
    assert sound == own_sound
    assert [path.name for path in target.parent.iterdir()] == [name]


@pytest.mark.parametrize(
    ("matrix", "upright"),
    [
        ((0, 1, -1, 0), lambda frames: np.rot90(frames, -1, (1, 2))),
        ((0, -1, 1, 0), lambda frames: np.rot90(frames, 1, (1, 2))),
        ((-1, 0, 0, -1), lambda frames: frames[:, ::-1, ::-1]),
        ((-1, 0, 0, 1), lambda frames: frames[:, :, ::-1]),
        ((0, 1, 1, 0), lambda frames: frames.swapaxes(1, 2)),
    ],
    ids=["clockwise", "anticlockwise", "upside down", "mirrored", "transposed"],
)
def test_a_film_comes_out_upright(film, colorizer, tmp_path, matrix, upright):
    source = film(frames=2, sound=False, matrix=matrix)
    target = tmp_path / "results" / "film.mp4"
    assert colorize_film(colorizer, str(source), target, lambda: None) == 2
    expected = upright(grays(source))
    assert grays(target).shape == expected.shape
    assert np.corrcoef(grays(target).ravel(), expected.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("matrix", "expected"), [(None, Fraction(4, 3)), ((0, 1, -1, 0), Fraction(3, 4))]
)
def test_the_shape_of_pixels_stays(film, colorizer, tmp_path, matrix, expected):
    source = film(frames=1, sound=False, aspect=Fraction(4, 3), matrix=matrix)
    target = tmp_path / "results" / "film.mp4"
    colorize_film(colorizer, str(source), target, lambda: None)
    assert pixel_aspect(target) == expected


def test_webm_gets_square_pixels(film, colorizer, tmp_path):
    source = film(frames=1, sound=False, aspect=Fraction(5, 4))
    target = tmp_path / "results" / "film.webm"
    colorize_film(colorizer, str(source), target, lambda: None)
    assert grays(target).shape == (1, 48, 80)
    assert pixel_aspect(target) == 1


def test_sound_that_the_container_does_not_take_is_refused(film, colorizer, tmp_path):
    target = tmp_path / "results" / "film.webm"
    with pytest.raises(UnreadableFilm, match=r"webm.*aac"):
        colorize_film(colorizer, str(film(frames=1)), target, lambda: None)
    assert list(target.parent.iterdir()) == []


def test_what_a_killed_process_left_behind_is_removed(film, colorizer, tmp_path):
    source, target = film(), tmp_path / "results" / "film.mp4"

    def leave_behind():
        for begun in list(target.parent.iterdir()):
            # A number above those that processes get.
            begun.with_name(begun.name.replace(str(os.getpid()), str(2**30))).touch()

    colorize_film(colorizer, str(source), target, leave_behind)
    assert len(list(target.parent.iterdir())) == 2
    colorize_film(colorizer, str(source), target, lambda: None)
    assert list(target.parent.iterdir()) == [target]


def test_a_broken_film_is_refused(colorizer, tmp_path):
    pytest.importorskip("av")
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with pytest.raises(UnreadableFilm, match="invalid data"):
        colorize_film(colorizer, str(tmp_path / "film.mp4"), tmp_path / "out.mp4", lambda: None)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def predict(model_folder, output, *inputs):
    options = ["--mode", "predict", "--model_dir", model_folder(), "--output", output, "--input"]
    options = parse("color_global", [*map(str, options), *map(str, inputs)])
    predict_mode.run("color_global", color_global.network, options)


def test_a_broken_film_does_not_stop_the_others(film, model_folder, tmp_path, photo_folder, caplog):
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    inputs = (tmp_path / "bad.mp4", film(frames=2, sound=False), photo_folder(1))
    with pytest.raises(SystemExit) as caught:
        predict(model_folder, tmp_path / "out", *inputs)
    assert caught.value.code == 1
    assert f"{tmp_path / 'bad.mp4'}: invalid data" in caplog.text
    written = {path.name for path in (tmp_path / "out" / "predicted").rglob("*.*")}
    assert written == {"film.mp4", "colour0.png"}


def test_finished_films_are_skipped_but_not_others_of_the_same_name(
    film, model_folder, tmp_path, capsys
):
    first = film(frames=2)
    (tmp_path / "other").mkdir()
    second = film("other/film.mp4", frames=3)
    for source, said in ((first, "Coloured 2"), (second, "Coloured 3"), (first, "Skipping 1")):
        predict(model_folder, tmp_path / "out", source)
        assert said in capsys.readouterr().out
    folder = tmp_path / "out" / "predicted"
    frames = {path.name: len(contents(path)[0]) for path in folder.iterdir()}
    assert frames == {"film.mp4": 2, "film (2).mp4": 3}


def test_without_any_good_film_nothing_is_written(model_folder, tmp_path):
    pytest.importorskip("av")
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    with pytest.raises(UserError, match=r"no usable photo: bad\.mp4 \(invalid data"):
        predict(model_folder, tmp_path / "out", tmp_path / "bad.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.mp4"]


def test_trouble_with_the_target_is_not_the_films(film, colorizer, tmp_path):
    av = pytest.importorskip("av")
    target = tmp_path / "results" / "film.mp4"

    def fill_the_disk():
        raise av.error.OSError(errno.ENOSPC, "No space left on device", str(target))

    with pytest.raises(OSError, match="No space"):
        colorize_film(colorizer, str(film()), target, fill_the_disk)
    assert list(target.parent.iterdir()) == []


def test_smoothing_takes_flicker_out_and_lets_cuts_in():
    random = np.random.default_rng(0)
    lightness = np.full([30, 16, 16, 1], 50, np.float32)
    lightness[20:] = 90
    chroma = np.where(np.arange(30) < 20, 10, -20)[:, None, None, None]
    chroma = (chroma + random.normal(0, 3, [30, 8, 8, 2])).astype(np.float32)
    smooth = Smoother()
    steady = np.stack([smooth(*frame) for frame in zip(lightness, chroma, strict=True)])
    still = lightness[:, ::2, ::2, 0]
    assert flicker(still, steady) < flicker(still, chroma) / 4
    assert abs(steady[19].mean() - 10) < 1
    np.testing.assert_array_equal(steady[20], chroma[20])


def test_chroma_of_what_moves_is_not_smeared():
    smooth = Smoother()
    smooth(np.full([4, 4, 1], 50, np.float32), np.zeros([2, 2, 2], np.float32))
    moved = smooth(np.full([4, 4, 1], 64, np.float32), np.ones([2, 2, 2], np.float32))
    np.testing.assert_allclose(moved, 1, atol=0.01)


def test_flicker_counts_where_lightness_stays():
    lightness = np.zeros([3, 1, 2])
    lightness[:, 0, 1] = [0, 50, 0]
    chroma = np.zeros([3, 1, 2, 2])
    chroma[1, 0, 0] = [4, 2]
    chroma[1, 0, 1] = 100
    assert flicker(lightness, chroma) == 3
    assert np.isnan(flicker(lightness[:, :, 1:], chroma[:, :, 1:]))


def test_names_of_films():
    assert is_film("a/b.MP4")
    assert not is_film("a.jpg")


def test_hints_are_not_for_films(film, tmp_path, model_folder):
    always = ["--mode", "predict", "--model_dir", model_folder(), "--output", str(tmp_path / "out")]
    (tmp_path / "hints").mkdir()
    (tmp_path / "hints" / "film.png").touch()
    for hints, words in (
        (["--hint", "1,1,red"], "film.mp4 is a film"),
        (["--hints", str(tmp_path / "hints")], "no photo has the name of .*film.png"),
    ):
        options = parse("color_global", [*always, "--input", str(film()), *hints])
        with pytest.raises(UserError, match=words):
            predict_mode.run("color_global", color_global.network, options)
    assert not list(tmp_path.glob("out/predicted/*"))
