"""Films as they are read: names, clocks that start anew."""

import os
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from colorization.errors import UnreadableFilm, UserError
from colorization.films.colorize_film import colorize_film
from colorization.films.source import open_film, require_pyav
from colorization.films.times import Clock, in_time

av = pytest.importorskip("av")


def ignore(total):
    pass


def test_old_libraries_are_named(monkeypatch):
    monkeypatch.setattr(av, "__version__", "16.1.0")
    with pytest.raises(UserError, match=r"PyAV 17 or later, not 16\.1\.0; pip install -r req"):
        require_pyav()


@pytest.mark.skipif(os.name == "nt", reason="no such names on Windows")
@pytest.mark.parametrize(
    "name", ["10:30.mp4", "pipe:0.mp4", "http://x.mp4", "50%d.mp4", "a b#?.mp4"]
)
def test_names_are_names_of_files(make_film, painter, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    source = make_film(name, 2)
    target = source.relative_to(tmp_path).with_name(f"out:{source.name}")
    assert colorize_film(painter, str(source.relative_to(tmp_path)), target, ignore).frames == 2
    assert target.stat().st_size


def test_tapes_begin_at_zero(make_film, painter, tmp_path):
    source = make_film("film.ts", 10, pictures="mpeg2video", times=tuple(range(100, 110)))
    with av.open(str(source)) as film:
        assert film.start_time > 10**6
    target = tmp_path / "results" / "film.ts.mp4"
    colorize_film(painter, str(source), target, ignore)
    with av.open(str(target)) as film:
        times = [frame.time for frame in film.decode(video=0)]
    assert times[0] < 0.1
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-3)


def times_of(path):
    """Times of the pictures and of the sound, in seconds."""
    with av.open(str(path)) as film:
        pictures = [frame.time for frame in film.decode(video=0)]
    with av.open(str(path)) as film:
        return pictures, [frame.time for frame in film.decode(audio=0)]


@pytest.mark.parametrize("begin", [0.06, 30, 36000])
@pytest.mark.parametrize("name", ["film.mkv", "film.nut", "film.ts", "film.flv"])
def test_pictures_that_are_decoded_in_another_order_may_begin_late(
    make_film, painter, tmp_path, name, begin
):
    """Some containers have no times of decoding, so that FFmpeg knows the first ones not."""
    source = make_film(
        name,
        25,
        sounds=[("aac", 44100)],
        options={"bf": "2", "g": "25"},
        muxing={"output_ts_offset": str(begin)},
    )
    target = tmp_path / "results" / "film.mp4"
    assert colorize_film(painter, str(source), target, ignore).frames == 25
    pictures, sound = times_of(target)
    np.testing.assert_allclose(np.diff(pictures), 0.04, atol=2e-3)
    own_pictures, own_sound = times_of(source)
    assert sound[0] - pictures[0] == pytest.approx(own_sound[0] - own_pictures[0], abs=0.03)


@pytest.mark.parametrize(
    ("name", "pictures", "sound"),
    [("film.ts", "libx264", "aac"), ("film.vob", "mpeg2video", "mp2")],
)
def test_clocks_that_wrap_go_on(make_film, painter, tmp_path, name, pictures, sound):
    """The clock of MPEG streams begins anew after 2 ** 33 / 90000 = 95443.7 seconds."""
    source = make_film(
        name,
        50,
        pictures=pictures,
        sounds=[(sound, 48000)],
        container="vob" if name.endswith("vob") else None,
        muxing={"output_ts_offset": "95442.2"},
    )
    with av.open(str(source)) as film:
        assert film.start_time < 0
    target = tmp_path / "results" / "film.mp4"
    colorize_film(painter, str(source), target, ignore)
    with av.open(str(target)) as film:
        assert film.duration / av.time_base == pytest.approx(2, abs=0.15)
    times, heard = times_of(target)
    assert len(times) == 50
    assert times[0] >= 0
    np.testing.assert_allclose(np.diff(times), 0.04, atol=2e-3)
    own_times, own_heard = times_of(source)
    assert heard[0] - times[0] == pytest.approx(own_heard[0] - own_times[0], abs=0.03)


@pytest.mark.parametrize("sound", ["ac3", "mp2"])
def test_clocks_that_start_anew_go_on(make_film, painter, tmp_path, sound):
    """Two recordings of a disc one after the other, each with a clock of its own."""
    first, second = (
        make_film(f"{number}.ts", 10, pictures="mpeg2video", sounds=[(sound, 48000)])
        for number in (1, 2)
    )
    moved = tmp_path / "moved.ts"
    with av.open(str(second)) as film, av.open(str(moved), "w", "mpegts") as result:
        tracks = [result.add_stream_from_template(track) for track in film.streams]
        for packet in film.demux():
            if packet.dts is not None:
                packet.pts += 90000 * 1000
                packet.dts += 90000 * 1000
                packet.stream = tracks[packet.stream.index]
                result.mux(packet)
    both = tmp_path / "both.ts"
    long = make_film("long.ts", 25, pictures="mpeg2video", sounds=[(sound, 48000)]).read_bytes()
    both.write_bytes(moved.read_bytes() + long + first.read_bytes() + moved.read_bytes())
    target = tmp_path / "results" / "both.ts.mp4"
    colorize_film(painter, str(both), target, ignore)
    with av.open(str(target)) as film:
        times = [frame.time for frame in film.decode(video=0)]
    assert len(times) == 55
    assert 2 < times[-1] < 3
    assert min(np.diff(times)) > 0.02
    with av.open(str(target)) as film:
        heard = [frame.time for frame in film.decode(audio=0)]
    assert heard[-1] == pytest.approx(times[-1], abs=0.3)
    assert min(np.diff(heard)) > 0


def test_pictures_without_times_follow_each_other():
    frames = [av.VideoFrame(16, 16, "gray") for _ in range(4)]
    for frame, pts in zip(frames, (None, None, 7, None), strict=True):
        frame.pts, frame.time_base = pts, Fraction(1, 100)

    def times():
        return [frame.pts for frame in in_time(frames, Fraction(1, 25), Fraction(1, 100))]

    assert times() == [0, 4, 7, 11]
    # In telecined films, some are shown for longer.
    for frame, duration in zip(frames, (3, 2, 3, 2), strict=True):
        frame.pts, frame.duration = None, duration
    assert times() == [0, 3, 5, 8]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((0, 4, 999, 12, 16), [0, 4, 8, 12, 16]),
        ((0, 4, 1, 12, 16), [0, 4, 5, 12, 16]),
        ((0, 4, 8, 999), [0, 4, 8, 999]),
        ((9, 13, 17, 2, 3, 4), [9, 13, 17, 18, 19, 20]),
    ],
    ids=["late", "early", "last", "back"],
)
def test_a_wrong_time_does_not_move_the_others(times, expected):
    frames = [av.VideoFrame(16, 16, "gray") for _ in times]
    for frame, time in zip(frames, times, strict=True):
        frame.pts, frame.time_base = time, Fraction(1, 100)
    assert [frame.pts for frame in in_time(frames, Fraction(1, 25), Fraction(1, 100))] == expected


def shown(path):
    """Times of all pictures, and the end of the last one, in seconds."""
    with av.open(str(path)) as film:
        packets = [packet for packet in film.demux(video=0) if packet.size]
    ends = [(packet.pts + (packet.duration or 0)) * packet.time_base for packet in packets]
    return sorted(float(packet.pts * packet.time_base) for packet in packets), float(max(ends))


@pytest.mark.parametrize(
    ("name", "pictures", "rate"),
    [
        ("film.mkv", "libx264", 1800),
        ("film.mkv", "libx264", 5000),
        ("film.webm", "libvpx-vp9", 2500),
    ],
)
def test_pictures_may_share_a_unit_of_time(make_film, painter, tmp_path, name, pictures, rate):
    """Matroska's is a millisecond, and cameras for slow motion take more pictures."""
    source = make_film(name, 90, pictures=pictures, rate=rate)
    target = tmp_path / "results" / name
    assert colorize_film(painter, str(source), target, ignore).frames == 90
    (times, end), (own_times, _) = shown(target), shown(source)
    np.testing.assert_allclose(times, own_times, atol=1.1e-3)
    assert end == pytest.approx(90 / rate, abs=2e-3)


def test_pauses_may_be_long_however_fine_the_unit_of_time(make_film, painter, tmp_path):
    """In MP4, a picture is shown for less than 2 ** 31 units, which would be 2.1 s here."""
    seconds = (0, 0.04, 0.0804, 7.3, 7.34, 16.000001)
    times = tuple(round(time * 10**9) for time in seconds)
    source = make_film("film.nut", 6, pictures="ffv1", rate=10**9, times=times)
    target = tmp_path / "results" / "film.nut.mp4"
    assert colorize_film(painter, str(source), target, ignore).frames == 6
    np.testing.assert_allclose(shown(target)[0], seconds, atol=0.51 / 90_000)


@pytest.mark.parametrize("size", [(4, 16400), (17002, 4)])
def test_pictures_larger_than_their_codec_takes_are_refused(make_film, painter, tmp_path, size):
    height, width = size
    source = make_film("film.mkv", 2, pictures="ffv1", size=size)
    with pytest.raises(UnreadableFilm, match=f"{width} x {height} pixels, .* 16,384 a side"):
        colorize_film(painter, str(source), tmp_path / "results" / "film.mkv", ignore)
    assert not (tmp_path / "results").exists()


def times_by_clock(packets):
    """Times that a clock gives packets of MPEG-TS, which are kinds and times in seconds."""
    container = SimpleNamespace(name="mpegts", flags=0x200)
    clock = Clock(SimpleNamespace(format=container, start_time=0, streams=[]), [])
    streams = {"video": SimpleNamespace(type="video", index=0)}
    streams["audio"] = SimpleNamespace(type="audio", index=1)
    for kind, time in packets:
        packet = SimpleNamespace(
            stream=streams[kind], dts=time, pts=time, duration=1, time_base=Fraction(1)
        )
        clock.shift(packet)
        yield packet.pts


@pytest.mark.parametrize("paused", ["video", "audio"])
def test_a_track_that_pauses_goes_on_in_time(paused):
    """Stills of 20 seconds with music, and music that pauses."""
    other = {"video": "audio", "audio": "video"}[paused]
    packets = [(other, time) for time in range(60)] + [(paused, time) for time in (0, 20, 40)]
    packets.sort(key=lambda packet: packet[1])
    assert list(times_by_clock(packets)) == [time for _, time in packets]


def test_clocks_that_jump_ahead_together_go_on():
    packets = [(kind, time) for time in (0, 1, 2, 100, 101) for kind in ("video", "audio")]
    assert list(times_by_clock(packets)) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_packet_may_come_late_when_the_clock_has_started_anew():
    """FFmpeg holds a packet of MPEG-TS back until the next one of its track begins."""
    packets = [("video", 0), ("audio", 0), ("video", 1), ("audio", 1), ("video", 2)]
    packets += [("video", 0), ("audio", 2), ("audio", 0), ("video", 1), ("audio", 1)]
    assert list(times_by_clock(packets)) == [0, 0, 1, 1, 2, 3, 2, 3, 4, 4]


def test_sound_stays_with_its_pictures_where_it_is_longer_than_those_before():
    packets = [("video", 0), ("audio", 0), ("video", 1), ("audio", 1), ("audio", 2)]
    packets += [("video", 0), ("audio", 0), ("video", 1), ("audio", 1)]
    assert list(times_by_clock(packets)) == [0, 0, 1, 1, 2, 2, 3, 4, 4]


def test_the_clock_begins_where_the_film_does(make_film):
    with open_film(str(make_film("film.ts", 10, pictures="mpeg2video"))) as film:
        clock = Clock(film, list(film.streams))
        packet = next(film.demux(video=0))
        clock.shift(packet)
        assert 0 <= packet.pts * packet.time_base < 0.1


def test_what_decoders_say_of_damage_is_about_the_film_and_not_about_a_file(
    make_film, painter, tmp_path
):
    """FFmpeg's decoder of H.263 says that an operation is not permitted."""
    source = make_film(
        "film.3gp", 50, pictures="h263", size=(144, 176), muxing={"movflags": "faststart"}
    )
    data = bytearray(source.read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = bytes(third)
    source.write_bytes(data)
    done = colorize_film(painter, str(source), tmp_path / "results" / "film.mp4", ignore)
    assert 0 < done.frames < 50
    assert any("times damaged" in change for change in done.changes)
