"""Films through `colorize_film` and `--mode predict`: pictures, sizes, times and refusals."""

import errno
import os
import signal
import struct
import sys
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from predicting import network

from benchmarks.flicker import flicker
from colorization import files
from colorization.data.photo_files import films_among, is_film
from colorization.data.photos import find_places
from colorization.errors import UnreadableFilm, UserError
from colorization.films.colorize_film import colorize_film
from colorization.films.smoother import Smoother
from colorization.modes import predict as predict_mode
from colorization.prediction.colorize import Colorizer
from colorization.prediction.picture_names import picture_names
from colorization.prediction.results import claimed
from colorization.program import exit_code

# Matrix of an MP4's track header, for a picture that is shown as it is stored.
AS_STORED = struct.pack(">9i", 2**16, 0, 0, 0, 2**16, 0, 0, 0, 2**30)


@pytest.fixture
def film(make_film):
    def make(name="film.mp4", frames=11, sound=True, aspect=1, matrix=None):
        vp9 = name.endswith(".webm")

        def set_up(film, video, tracks):
            video.codec_context.sample_aspect_ratio = aspect

        path = make_film(
            name,
            frames,
            pictures="libvpx-vp9" if vp9 else "libx264",
            sounds=[("libopus", 48000) if vp9 else ("aac", 44100)] if sound else (),
            rate=Fraction(24000, 1001),
            set_up=set_up,
        )
        if matrix:
            data = path.read_bytes()
            start = data.index(AS_STORED, data.index(b"tkhd"))
            numbers = [2**16 * number for number in matrix]
            stored = struct.pack(">9i", *numbers[:2], 0, *numbers[2:], 0, 0, 0, 2**30)
            path.write_bytes(data[:start] + stored + data[start + len(stored) :])
        return path

    return make


def grays(path):
    """Gray values of all frames as they are stored, `[frames, height, width]`."""
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


def length(path):
    import av

    with av.open(str(path)) as container:
        return container.duration / 10**6


def ignore(total):
    pass


@pytest.fixture
def colorizer(small_model):
    return Colorizer(small_model, precision="float32", network=network)


@pytest.mark.parametrize("name", ["film.mp4", "film.mov", "film.mkv", "film.webm"])
@pytest.mark.parametrize(("rate", "frames"), [(25, 11), (Fraction(1, 5), 3)])
def test_the_last_picture_is_shown_as_long(make_film, colorizer, tmp_path, name, rate, frames):
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    source = make_film(name, frames, pictures=codec, rate=rate)
    target = tmp_path / "results" / name
    colorize_film(colorizer, str(source), target, ignore)
    assert length(target) == pytest.approx(length(source), abs=2e-3)
    assert length(target) == pytest.approx(float(frames / Fraction(rate)), rel=0.02)


def test_sides_that_no_film_has_are_said(make_film, colorizer, tmp_path):
    target = tmp_path / "results" / "film.mkv"
    odd = make_film("odd.mkv", 2, pictures="ffv1", layout="yuv444p", size=(49, 65))
    changes = colorize_film(colorizer, str(odd), target, ignore).changes
    assert "64 x 48 pixels for 65 x 49" in changes
    tiny = make_film("tiny.mkv", 2, pictures="ffv1", layout="yuv444p", size=(1, 1))
    with pytest.raises(UnreadableFilm, match="1 x 1 pixels, too small"):
        colorize_film(colorizer, str(tiny), target, ignore)


@pytest.mark.parametrize("name", ["film.mp4", "film.webm"])
def test_film_keeps_its_timing_and_sound(film, colorizer, tmp_path, name):
    source = film(name)
    target = tmp_path / "results" / name
    done = []
    assert colorize_film(colorizer, str(source), target, done.append).frames == 11
    assert done == 11 * [11]
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
def test_a_film_comes_out_upright(film, painter, tmp_path, matrix, upright):
    source = film(frames=2, sound=False, matrix=matrix)
    target = tmp_path / "results" / "film.mp4"
    assert colorize_film(painter, str(source), target, ignore).frames == 2
    expected = upright(grays(source))
    assert grays(target).shape == expected.shape
    assert np.corrcoef(grays(target).ravel(), expected.ravel())[0, 1] > 0.9


def test_a_film_that_is_shown_askew_is_told(film, painter, tmp_path):
    source = film(frames=1, sound=False, matrix=(1, 1, -1, 1))
    done = colorize_film(painter, str(source), tmp_path / "results" / "film.mp4", ignore)
    assert "not turned by 45 degrees" in done.changes


@pytest.mark.parametrize(
    ("matrix", "expected"), [(None, Fraction(4, 3)), ((0, 1, -1, 0), Fraction(3, 4))]
)
def test_the_shape_of_pixels_stays(film, painter, tmp_path, matrix, expected):
    source = film(frames=1, sound=False, aspect=Fraction(4, 3), matrix=matrix)
    target = tmp_path / "results" / "film.mp4"
    colorize_film(painter, str(source), target, ignore)
    assert pixel_aspect(target) == expected


def test_webm_gets_square_pixels(film, painter, tmp_path):
    source = film(frames=1, sound=False, aspect=Fraction(5, 4))
    target = tmp_path / "results" / "film.webm"
    colorize_film(painter, str(source), target, ignore)
    assert grays(target).shape == (1, 48, 80)
    assert pixel_aspect(target) == 1


def test_what_a_killed_process_left_behind_is_removed(film, painter, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_NAMESPACE", str(tmp_path / "none"))
    source, target = film(), tmp_path / "results" / "film.mp4"

    def leave_behind(total):
        for begun in list(target.parent.iterdir()):
            # A number above those that processes get.
            begun.with_name(begun.name.replace(f"-{os.getpid()}-", f"-{2**30}-")).touch()

    colorize_film(painter, str(source), target, leave_behind)
    assert len(list(target.parent.iterdir())) == 2
    with claimed(tmp_path):
        assert list(target.parent.iterdir()) == [target]


def test_a_broken_film_is_refused(painter, tmp_path):
    pytest.importorskip("av")
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with pytest.raises(UnreadableFilm, match="invalid data"):
        colorize_film(painter, str(tmp_path / "film.mp4"), tmp_path / "out.mp4", ignore)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_the_output_is_searched_for_what_was_left_behind_once(
    film, run_predict, tmp_path, photo_folder, monkeypatch
):
    """It may hold ten thousand pictures, on a network share."""
    searched, rglob = [], Path.rglob

    def noted(folder, pattern):
        searched.extend([folder] if ".tmp" in pattern else [])
        return rglob(folder, pattern)

    monkeypatch.setattr(Path, "rglob", noted)
    inputs = [film(f"{number}.mp4", frames=1, sound=False) for number in range(2)]
    run_predict("--input", *inputs, photo_folder(1))
    assert searched == [tmp_path / "out"]


def test_a_broken_film_does_not_stop_the_others(film, run_predict, tmp_path, photo_folder, caplog):
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    inputs = (tmp_path / "bad.mp4", film(frames=2, sound=False), photo_folder(1))
    with pytest.raises(SystemExit) as caught:
        run_predict("--input", *inputs)
    assert caught.value.code == 1
    assert f"{tmp_path / 'bad.mp4'}: invalid data" in caplog.text
    written = {path.name for path in (tmp_path / "out" / "predicted").rglob("*.*")}
    assert written == {"film.mp4", "colour0.png"}


def test_finished_films_are_skipped_but_not_others_of_the_same_name(
    film, run_predict, tmp_path, capsys
):
    first = film(frames=2)
    (tmp_path / "other").mkdir()
    second = film("other/film.mp4", frames=3)
    for source, said in ((first, "Coloured 2"), (second, "Coloured 3"), (first, "Skipping 1")):
        run_predict("--input", source)
        assert said in capsys.readouterr().out
    folder = tmp_path / "out" / "predicted"
    frames = {path.name: len(contents(path)[0]) for path in folder.iterdir()}
    assert frames == {"film.mp4": 2, "film (2).mp4": 3}


def test_without_any_good_film_nothing_is_written(run_predict, tmp_path):
    pytest.importorskip("av")
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    with pytest.raises(UserError, match=r"no usable photo: bad\.mp4 \(invalid data"):
        run_predict("--input", tmp_path / "bad.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.mp4"]


def test_trouble_with_the_target_is_not_the_films(film, painter, tmp_path):
    av = pytest.importorskip("av")
    target = tmp_path / "results" / "film.mp4"

    def fill_the_disk(total):
        raise av.error.OSError(errno.ENOSPC, "No space left on device", str(target))

    with pytest.raises(OSError, match="No space"):
        colorize_film(painter, str(film()), target, fill_the_disk)
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


def test_times_that_are_not_even_stay(make_film, painter, tmp_path):
    times = (0, 1, 5, 6, 30, 31)
    source = make_film(frames=6, times=times, rate=50)
    target = tmp_path / "results" / "film.mp4"
    colorize_film(painter, str(source), target, ignore)
    import av

    with av.open(str(target)) as container, av.open(str(source)) as original:
        found = [round(float(frame.time) * 50) for frame in container.decode(video=0)]
        assert container.streams.video[0].time_base == original.streams.video[0].time_base
    assert found == list(times)


@pytest.mark.parametrize("name", ["film.mp4", "film.mov", "film.mkv"])
def test_slideshows_last_as_long_as_they_did(make_film, painter, tmp_path, name):
    """Pictures that are stored in another order than they are shown in, for different times."""
    source = make_film(name, 5, times=(0, 100, 200, 300, 325), options={"bf": "3"})
    target = tmp_path / "results" / name
    colorize_film(painter, str(source), target, ignore)
    import av

    with av.open(str(target)) as container, av.open(str(source)) as original:
        assert container.duration == pytest.approx(original.duration, abs=10_000)
        assert container.duration == pytest.approx(326 * 40_000, abs=50_000)


def test_films_of_ten_bits_come_out_in_eight(make_film, painter, tmp_path):
    source = make_film("film.mkv", 2, pictures="ffv1", layout="yuv422p10le")
    target = tmp_path / "results" / "film.mkv"
    done = colorize_film(painter, str(source), target, ignore)
    assert "8 bits a channel for 10" in done.changes


def test_an_interrupted_film_leaves_nothing_behind(make_film, painter, tmp_path):
    def interrupt(total):
        raise KeyboardInterrupt

    target = tmp_path / "results" / "film.mp4"
    with pytest.raises(KeyboardInterrupt):
        colorize_film(painter, str(make_film()), target, interrupt)
    assert list(target.parent.iterdir()) == []


def test_sigterm_leaves_nothing_half_written(make_film, run_predict, tmp_path, monkeypatch):
    def terminate(colorizer, source, target, progress):
        def stop(total):
            signal.raise_signal(signal.SIGTERM)
            progress(total)

        return colorize_film(colorizer, source, target, stop)

    monkeypatch.setattr(predict_mode, "colorize_film", terminate)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        exit_code(partial(run_predict, "--input", make_film()))
    assert caught.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == handler
    assert list((tmp_path / "out" / "predicted").iterdir()) == []


def test_films_and_photos_of_a_folder_are_coloured(
    make_film, run_predict, photo_folder, tmp_path, capsys
):
    folder = photo_folder(1)
    for name, pictures in (("a.mp4", "libx264"), ("sub/b.vob", "mpeg2video"), ("c.avi", "mpeg4")):
        container = "vob" if name.endswith("vob") else None
        make_film(f"{folder.name}/{name}", 2, pictures=pictures, container=container)
    run_predict("--input", folder)
    output = tmp_path / "out" / "predicted"
    written = {path.relative_to(output).as_posix() for path in output.rglob("*.*")}
    assert written == {"colour0.png", "a.mp4", "sub/b.vob.mp4", "c.avi.mp4"}
    page = (tmp_path / "out" / "index.html").read_text()
    assert all(name in page for name in written)
    run_predict("--input", folder)
    assert "Skipping 3 finished films" in capsys.readouterr().out


def test_without_pyav_the_photos_are_coloured(
    run_predict, photo_folder, tmp_path, monkeypatch, capsys
):
    folder = photo_folder(1)
    (folder / "film.mp4").write_bytes(b"film")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(SystemExit) as caught:
        run_predict("--input", folder)
    assert caught.value.code == 1
    assert "pip install -r requirements-video.txt" in capsys.readouterr().err
    assert (tmp_path / "out" / "predicted" / "colour0.png").exists()
    with pytest.raises(UserError, match="pip install"):
        run_predict("--input", folder / "film.mp4")


def test_names_of_films():
    assert is_film("a/b.MP4")
    assert is_film("a/00001.MTS")
    assert not is_film("a.jpg")


@pytest.mark.parametrize("name", ["film.dat", "film.rec", "film.vid", "film", "film.360", "a.tp"])
@pytest.mark.parametrize(
    ("container", "pictures"),
    [("mp4", "libx264"), ("matroska", "libx264"), ("mpegts", "libx264"), ("vob", "mpeg2video"),
     ("avi", "mpeg4"), ("asf", "wmv2"), ("flv", "flv")],
)  # fmt: skip
def test_films_under_other_names_are_known_by_their_first_bytes(
    make_film, tmp_path, name, container, pictures
):
    path = make_film(f"films/{name}", 5, pictures=pictures, container=container)
    assert is_film(str(path))
    assert find_places([str(path.parent)], films=True) == {str(path): name}
    with pytest.raises(UserError, match="no photos"):
        find_places([str(path.parent)])
    films = films_among([str(path)])
    assert picture_names({str(path): name}, films=films) == {str(path): f"{name}.mp4"}


@pytest.mark.parametrize(
    ("name", "container", "pictures"),
    [("funny.gif", "mp4", "libx264"), ("IMG_1.HEIC", "mov", "libx264"),
     ("IMG_2.jpg", "matroska", "libx264"), ("a.webp", "avi", "mpeg4")],
)  # fmt: skip
def test_films_with_the_endings_of_photos_are_coloured(
    make_film, run_predict, photo_folder, tmp_path, name, container, pictures
):
    folder = photo_folder(1)
    path = make_film(f"{folder.name}/{name}", 3, pictures=pictures, container=container)
    assert path.parent == folder
    predicted = tmp_path / "out" / "predicted"
    run_predict("--input", path)
    assert [file.name for file in predicted.iterdir()] == [f"{name}.mp4"]
    run_predict("--input", folder)
    assert sorted(file.name for file in predicted.iterdir()) == sorted(
        ["colour0.png", f"{name}.mp4"]
    )
    # No film of other machines can be coloured, so that none is read from there.
    assert not is_film(f"file://{path}")


def test_other_files_are_no_films(tmp_path):
    others = {
        "song.m4a": b"\0\0\0\x18ftypM4A \0\0\0\0",
        "song.mka": b"\x1a\x45\xdf\xa3" + bytes(99),
        "voice.3ga": bytes(4) + b"ftyp3gp4" + bytes(99),
        "titles.sub": b"\0\0\1\xba" + bytes(99),
        "story": b"The wide river, and what was beyond it.",
        "DJI_0001.LRF": b"\0\0\0\x18ftypmp42",
        "song.wav": b"RIFF\0\0\0\0WAVEfmt ",
        "data.dat": bytes(range(256)) * 9,
        "users.rec": b"GGGGGGG " * 300,
        "game.vid": b"VID\0" + bytes(999),
        "notes": b"Dear diary",
        "empty": b"",
    }
    for name, start in others.items():
        (tmp_path / name).write_bytes(start)
        assert not is_film(str(tmp_path / name))
    with pytest.raises(UserError, match="no photos"):
        find_places([str(tmp_path)], films=True)


def test_a_film_without_an_ending_is_coloured(make_film, run_predict, tmp_path, capsys):
    source = make_film("AVSEQ01", 10, pictures="mpeg1video", container="mpeg")
    run_predict("--input", source, "--format", "webp")
    written = [path.name for path in (tmp_path / "out" / "predicted").iterdir()]
    assert written == ["AVSEQ01.mp4"]
    assert "--format is for photos" in capsys.readouterr().out


def test_hints_are_not_for_films(film, tmp_path, run_predict):
    (tmp_path / "hints").mkdir()
    (tmp_path / "hints" / "film.png").touch()
    for hints, words in (
        (["--hint", "1,1,red"], "film.mp4 is a film"),
        (["--hints", str(tmp_path / "hints")], "no photo has the name of .*film.png"),
    ):
        with pytest.raises(UserError, match=words):
            run_predict("--input", film(), *hints)
    assert not list(tmp_path.glob("out/predicted/*"))
