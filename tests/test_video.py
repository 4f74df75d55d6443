import os
from fractions import Fraction

import numpy as np
import pytest

from colorization.colorize import Colorizer
from colorization.errors import UserError
from colorization.video import Smoother, colour_film, flicker, is_film


@pytest.fixture
def film(tmp_path, colourful):
    av = pytest.importorskip("av")

    def make(frames=11):
        path = tmp_path / "film.mp4"
        picture = colourful(48, 64)
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=Fraction(24000, 1001))
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            audio = container.add_stream("aac", rate=44100, layout="mono")
            for number in range(frames):
                shifted = np.roll(picture, number, axis=1)
                container.mux(video.encode(av.VideoFrame.from_ndarray(shifted, "rgb24")))
            container.mux(video.encode(None))
            for number in range(20):
                wave = np.sin(np.arange(1024) * 0.06)[None].astype(np.float32)
                sound = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
                sound.sample_rate, sound.pts = 44100, 1024 * number
                container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
        return path

    return make


def contents(path):
    import av

    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
        rate = container.streams.video[0].average_rate
    with av.open(str(path)) as container:
        sound = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    return times, rate, sound


def test_film_keeps_its_timing_and_sound(film, model_folder, tmp_path):
    source = film()
    target = tmp_path / "results" / "film.mp4"
    done = []
    colorizer = Colorizer(model_folder(), precision="float32")
    assert colour_film(colorizer, str(source), target, lambda: done.append(1)) == 11
    assert len(done) == 11
    (times, rate, sound), (own_times, own_rate, own_sound) = contents(target), contents(source)
    np.testing.assert_allclose(times, own_times, atol=1e-3)
    assert float(rate) == pytest.approx(float(own_rate), rel=1e-3)
    assert sound == own_sound
    assert [path.name for path in target.parent.iterdir()] == ["film.mp4"]


def test_what_a_killed_process_left_behind_is_removed(film, model_folder, tmp_path):
    source, target = film(), tmp_path / "results" / "film.mp4"
    colorizer = Colorizer(model_folder(), precision="float32")

    def leave_behind():
        for begun in list(target.parent.iterdir()):
            # A number above those that processes get.
            begun.with_name(begun.name.replace(str(os.getpid()), str(2**30))).touch()

    colour_film(colorizer, str(source), target, leave_behind)
    assert len(list(target.parent.iterdir())) == 2
    colour_film(colorizer, str(source), target, lambda: None)
    assert list(target.parent.iterdir()) == [target]


def test_a_broken_film_is_refused(model_folder, tmp_path):
    pytest.importorskip("av")
    (tmp_path / "film.mp4").write_bytes(b"no film")
    colorizer = Colorizer(model_folder(), precision="float32")
    with pytest.raises(UserError, match=r"film\.mp4"):
        colour_film(colorizer, str(tmp_path / "film.mp4"), tmp_path / "out.mp4", lambda: None)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


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
