"""Films that break off are refused, and whole ones are not."""

import itertools
import os
import re
import struct
from fractions import Fraction

import numpy as np
import pytest

from colorization.errors import UnreadableFilm
from colorization.films.colorize_film import colorize_film
from colorization.films.file_end import has_zeros_inside, indexed_pictures
from colorization.films.wholeness import require_whole

av = pytest.importorskip("av")

KINDS = {
    "film.mp4": {"muxing": {"movflags": "faststart"}, "sounds": [("aac", 48000)]},
    "film.mov": {"muxing": {"movflags": "faststart"}, "sounds": [("pcm_s16le", 48000)]},
    "film.mkv": {"sounds": [("aac", 48000)]},
    "film.webm": {"pictures": "libvpx-vp9"},
    "film.avi": {"pictures": "mpeg4", "sounds": [("ac3", 48000)]},
    "film.wmv": {"pictures": "wmv2", "sounds": [("wmav2", 44100)]},
    "film.flv": {"sounds": [("aac", 44100)]},
    "film.ogv": {"pictures": "libvpx", "container": "ogg"},
    "live.mkv": {"muxing": {"live": "1", "cluster_time_limit": "200"}},
    "live.webm": {"pictures": "libvpx-vp9", "muxing": {"live": "1"}},
    "film.ts": {"pictures": "mpeg2video", "sounds": [("mp2", 48000)]},
    "film.m2ts": {"muxing": {"mpegts_m2ts_mode": "1"}, "sounds": [("ac3", 48000)]},
    "film.mpg": {"pictures": "mpeg1video", "sounds": [("mp2", 48000)]},
    "film.vob": {"pictures": "mpeg2video", "sounds": [("ac3", 48000)]},
    "film.dv": {"pictures": "dvvideo", "size": (576, 720)},
    "live.flv": {"sounds": [("aac", 44100)], "muxing": {"flvflags": "no_duration_filesize"}},
    "film.y4m": {"pictures": "wrapped_avframe", "container": "yuv4mpegpipe"},
    "film.mjpeg": {"pictures": "mjpeg", "layout": "yuvj420p"},
    "film.ivf": {"pictures": "libvpx"},
}


def ignore(total):
    pass


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"live.flv"}))
def test_films_that_break_off_are_refused_and_whole_ones_are_not(
    make_film, painter, tmp_path, name
):
    source = make_film(name, 50, **KINDS[name])
    assert require_whole(str(source)).pictures == 50
    data = source.read_bytes()
    for share in (0.67, 0.5):
        # An odd number of bytes ends between no two packets.
        source.write_bytes(data[: int(share * len(data)) | 1])
        target = tmp_path / "results" / "film.mp4"
        with pytest.raises(UnreadableFilm, match="breaks off"):
            colorize_film(painter, str(source), target, ignore)
        assert not target.parent.exists() or list(target.parent.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["film.mp4", "film.mov", "film.mkv", "film.webm", "film.flv", "film.wmv", "film.ts"]
)
def test_whole_films_may_begin_late(make_film, name):
    """Times that begin at 100 seconds, as those of parts of a recording do."""
    muxing = {**KINDS[name].get("muxing", {}), "output_ts_offset": "100"}
    source = make_film(name, 50, **{**KINDS[name], "muxing": muxing})
    with av.open(str(source)) as film:
        assert film.start_time > 90 * av.time_base
    assert require_whole(str(source)).pictures == 50
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2 | 1])
    with pytest.raises(UnreadableFilm, match="breaks off"):
        require_whole(str(source))


def test_a_tape_may_hold_recordings_of_both_systems(make_film, tmp_path):
    european = make_film("a.dv", 4, **KINDS["film.dv"]).read_bytes()
    system = {"size": (480, 720), "rate": Fraction(30000, 1001), "layout": "yuv411p"}
    american = make_film("b.dv", 3, pictures="dvvideo", **system).read_bytes()
    for data in (european + american, american + european):
        tape = tmp_path / "tape.dv"
        tape.write_bytes(data)
        assert require_whole(str(tape)).pictures == 7
        # Further bytes, even zeros, would be shown as a picture.
        for other in (data[:-1000], data + bytes(100), data + data[:1]):
            tape.write_bytes(other)
            with pytest.raises(UnreadableFilm, match="breaks off"):
                require_whole(str(tape))


def test_films_in_dv_of_high_definition_that_break_off(make_film, tmp_path):
    """Its pictures have four parts, which do not all begin alike."""
    source = make_film("a.dv", 3, pictures="dvvideo", size=(1080, 1280),
                       rate=Fraction(30000, 1001), layout="yuv422p")  # fmt: skip
    assert require_whole(str(source)).pictures == 3
    data = source.read_bytes()
    for cut in (50, 48_000, 160_000, 300_000, 479_999):
        source.write_bytes(data[:-cut])
        with pytest.raises(UnreadableFilm, match="breaks off"):
            require_whole(str(source))


def lasting(data, name):
    """A film whose header states that it lasts 8 seconds."""
    if name == "film.flv":
        before, mark, after = data.partition(b"\0\x08duration\0")
        return before + mark + struct.pack(">d", 8) + after[8:]
    before, mark, after = data.partition(b"\x44\x89\x88")
    return before + mark + struct.pack(">d", 8000) + after[8:]


def without_stated_size(data, name):
    """As live recordings are."""
    if name == "film.flv":
        before, mark, after = data.partition(b"\0\x08filesize\0")
        return before + mark + bytes(8) + after[8:]
    before, mark, after = data.partition(b"\x18\x53\x80\x67")
    return before + mark + b"\x01" + b"\xff" * 7 + after[8:]


@pytest.mark.parametrize("name", ["film.mkv", "film.webm", "film.flv"])
def test_the_last_picture_of_a_whole_film_may_stay_long(make_film, painter, tmp_path, name):
    muxing = {} if name == "film.flv" else {"cluster_time_limit": "200"}
    source = make_film(name, 50, **KINDS[name], muxing=muxing)
    data = lasting(source.read_bytes(), name)
    source.write_bytes(data)
    target = tmp_path / "results" / ("film.flv.mp4" if name == "film.flv" else name)
    assert colorize_film(painter, str(source), target, ignore).frames == 50
    with av.open(str(target)) as film:
        assert film.duration / av.time_base == pytest.approx(8, abs=0.05)
    # Cut between clusters and within, or filled up by zeros, erased flash or something else.
    places = [match.start() for match in re.finditer(b"\x1f\x43\xb6\x75", data)][2:]
    random = np.random.default_rng(0)
    places += random.integers(len(data) // 3, len(data) * 9 // 10, 6).tolist()
    for place in places:
        size = len(data) - place
        other = random.integers(0, 256, size, np.uint8).tobytes()
        # The last one begins as an element of Matroska whose size cannot be one.
        for rest in (b"", bytes(size), b"\xff" * size, other, b"\xec" + bytes(size - 1)):
            source.write_bytes(data[:place] + rest)
            with pytest.raises(UnreadableFilm, match="breaks off"):
                require_whole(str(source))
    source.write_bytes(without_stated_size(data, name))
    with pytest.raises(UnreadableFilm, match=r"breaks off at [12]\.\d s of 8\.\d s"):
        require_whole(str(source))


@pytest.mark.parametrize("name", ["film.mp4", "film.mov", "film.mkv", "film.avi"])
def test_tracks_that_hold_nothing_say_nothing_of_the_end(make_film, painter, tmp_path, name):
    """As those of cameras without a microphone, whose films are in fragments."""

    def add_track(film, video, tracks):
        codec = "ac3" if name == "film.avi" else "aac"
        track = film.add_stream(codec, rate=48000, layout="mono")
        track.metadata.update(language="fra", title="Kitchen")
        track.codec_context.open(False)

    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    muxing = flags if name in ("film.mp4", "film.mov") else {}
    source = make_film(name, 50, pictures="mpeg4", muxing=muxing, set_up=add_track)
    with av.open(str(source)) as film:
        assert len(film.streams.audio) == 1
    done = colorize_film(painter, str(source), tmp_path / "results" / "film.mp4", ignore)
    assert (done.frames, done.changes) == (50, [])


def test_tables_of_a_track_may_be_empty(make_film, painter, tmp_path):
    source = make_film("film.mp4", 50, sounds=[("aac", 48000)])
    data = bytearray(source.read_bytes())
    # Those of the sound come last; each begins with a count (ISO/IEC 14496-12, 8.6.1 and 8.7).
    for name, count in ((b"stts", 8), (b"stsc", 8), (b"stsz", 12), (b"stco", 8)):
        start = data.rindex(name) + count
        data[start : start + 4] = bytes(4)
    source.write_bytes(data)
    done = colorize_film(painter, str(source), tmp_path / "results" / "film.mp4", ignore)
    assert (done.frames, done.changes) == (50, [])


@pytest.mark.parametrize("name", ["live.mkv", "film.mkv"])
def test_a_damaged_spot_is_no_end(make_film, name):
    """Whatever is written over a spot in the middle, clusters behind it are there."""
    muxing = {"cluster_time_limit": "200", **KINDS[name].get("muxing", {})}
    source = make_film(name, 50, **{**KINDS[name], "muxing": muxing})
    data = source.read_bytes()
    random = np.random.default_rng(0)
    for place in random.integers(len(data) // 4, len(data) * 3 // 4, 20):
        spot = random.integers(1, 256, 60, np.uint8).tobytes()
        source.write_bytes(data[:place] + spot + data[place + len(spot) :])
        assert require_whole(str(source)).pictures > 30
    source.write_bytes(data + b"\r\n")
    assert require_whole(str(source)).pictures == 50


def test_films_without_a_stated_length_may_begin_late(make_film):
    source = make_film("film.nut", 50, muxing={"output_ts_offset": "100"})
    assert require_whole(str(source)).pictures == 50


@pytest.mark.parametrize(
    ("name", "filling"),
    [
        *((name, b"\0") for name in sorted(set(KINDS) - {"film.y4m"})),
        *((name, b"\xff") for name in sorted(set(KINDS) - {"film.y4m", "live.mkv", "live.webm"})),
    ],
)
def test_zeros_in_place_of_the_rest_are_no_film(make_film, name, filling):
    """Files that were given their full size before they were copied are so; FF is erased flash."""
    source = make_film(name, 50, **KINDS[name])
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2 | 1].ljust(len(data), filling))
    with pytest.raises(UnreadableFilm, match="breaks off"):
        require_whole(str(source))


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.avi"])
def test_black_pictures_that_are_stored_raw_are_no_missing_ones(make_film, name, monkeypatch):
    monkeypatch.setattr(np, "roll", lambda picture, number, axis: np.zeros_like(picture))
    pictures = {"film.mp4": "png", "film.mkv": "ffv1", "film.avi": "rawvideo"}[name]
    layout = "yuv420p" if name == "film.mkv" else "rgb24" if name == "film.mp4" else "bgr24"
    source = make_film(name, 10, pictures=pictures, layout=layout)
    assert require_whole(str(source)).pictures == 10


@pytest.mark.parametrize("name", ["film.ts", "film.vob", "film.ogv", "film.flv", "film.mkv"])
def test_a_few_zeros_that_fill_a_sector_are_no_missing_film(make_film, name):
    source = make_film(name, 50, **KINDS[name])
    with source.open("ab") as file:
        file.write(bytes(source.stat().st_size // 20))
    assert require_whole(str(source)).pictures == 50


@pytest.mark.parametrize("muxer", ["vob", "svcd", "dvd"])
def test_a_last_pack_may_be_filled_up(make_film, muxer):
    """Programme streams do so with FF, which may be much of a small film."""
    source = make_film("film.vob", 10, pictures="mpeg2video", container=muxer)
    assert source.read_bytes().endswith(b"\xff" * 100)
    assert require_whole(str(source)).pictures == 10


def test_avi_films_may_end_in_repeated_pictures(make_film):
    """The header counts them, but FFmpeg has no packets for them."""
    source = make_film("film.avi", 50, **KINDS["film.avi"])
    data = bytearray(source.read_bytes())
    # The length in the header of the first stream (AVI RIFF File Reference).
    length = data.index(b"strh") + 40
    assert data[length] == 50
    data[length] = 55
    source.write_bytes(data)
    assert require_whole(str(source)).pictures == 50
    # The index of an unfinished copy, whose end may come first, counts what is missing.
    hole = slice(len(data) // 2, data.rindex(b"idx1"))
    data[hole] = bytes(hole.stop - hole.start)
    source.write_bytes(data)
    with pytest.raises(UnreadableFilm, match="breaks off"):
        require_whole(str(source))


def test_zeros_between_the_chunks_of_an_avi_film_are_passed_over(make_film):
    source = make_film("film.avi", 50, **KINDS["film.avi"])
    data = source.read_bytes()
    index = data.rindex(b"idx1")
    source.write_bytes(data[:index] + bytes(2**17 + 2) + data[index:])
    assert indexed_pictures(str(source), 0) == 50
    source.write_bytes(data[:index])
    os.truncate(source, 2**24)
    assert indexed_pictures(str(source), 0) == 0


@pytest.mark.parametrize("missing", [1, 8, 20, 300])
def test_avi_films_may_end_within_their_index(make_film, missing):
    """The index comes last, so that no picture is missing."""
    source = make_film("film.avi", 50, **KINDS["film.avi"])
    source.write_bytes(source.read_bytes()[:-missing])
    assert require_whole(str(source)).pictures == 50


@pytest.mark.parametrize("rate", [1, 3])
def test_flv_of_few_pictures_is_whole(make_film, rate):
    source = make_film("film.flv", 10, rate=rate, sounds=[("aac", 44100)])
    assert require_whole(str(source)).pictures == 10


@pytest.mark.parametrize("name", ["film.mp4", "film.mov"])
def test_subtitles_may_outlast_a_film(make_film, name):
    """As in a part that was cut out, of which FFmpeg gives other ends than it states."""
    times = (0, 1000, 1300, 2000, 2300, 4000)

    def set_up(film, video, tracks):
        subtitles = film.add_mux_stream("mov_text")
        subtitles.time_base = Fraction(1, 1000)

        def write():
            for time, end in itertools.pairwise(times):
                packet = av.Packet(b"\0\5Hello")
                packet.stream, packet.time_base = subtitles, subtitles.time_base
                packet.pts, packet.dts, packet.duration = time, time, end - time
                film.mux(packet)

        return write

    source = make_film(name, 50, set_up=set_up)
    data = bytearray(source.read_bytes())
    # The length of the track's edit, and what it leaves out before (ISO/IEC 14496-12, 8.6.6).
    struct.pack_into(">2I", data, data.rindex(b"elst") + 12, 2700, 1300)
    source.write_bytes(data)
    with av.open(str(source)) as film:
        assert film.duration == 2_700_000
    assert require_whole(str(source)).pictures == 50


def test_avi_films_that_were_written_into_a_pipe_state_no_length(make_film):
    source = make_film("film.avi", 50, **KINDS["film.avi"])
    data = bytearray(source.read_bytes())
    for stream in (data.index(b"strh"), data.rindex(b"strh")):
        struct.pack_into("<I", data, stream + 40, 2**30)
    del data[data.rindex(b"idx1") :]
    source.write_bytes(data)
    assert require_whole(str(source)).pictures == 50


def flipped(pages):
    page = bytearray(pages[6])
    page[-1] ^= 1
    return [*pages[:6], bytes(page), *pages[7:]]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda pages: pages, []),
        (lambda pages: [*pages[:6], *pages[7:]], ["1 of its pages are missing or damaged"]),
        (flipped, ["1 of its pages are missing or damaged"]),
        (lambda pages: pages[:-1], ["its end may be missing"]),
    ],
    ids=["whole", "lost", "flipped", "without end"],
)
def test_pages_that_are_missing_from_ogg_are_told(make_film, painter, tmp_path, harm, told):
    """FFmpeg, whose checksums these are, passes over them without a word."""
    options = {"page_duration": "100000"}
    source = make_film("film.ogv", 50, pictures="libvpx", container="ogg", muxing=options)
    pages = [b"OggS" + page for page in source.read_bytes().split(b"OggS")[1:]]
    assert len(pages) > 10
    source.write_bytes(b"".join(harm(pages)))
    done = colorize_film(painter, str(source), tmp_path / "results/film.mp4", ignore)
    # An old PyAV is told as well.
    assert [change for change in done.changes if "install" not in change] == told


def test_what_is_behind_a_film_is_none_of_it(make_film):
    source = make_film("film.mkv", 50)
    with source.open("ab") as file:
        file.write(b"\x1c\x53\x7fjunk" * 100)
    assert require_whole(str(source)).pictures == 50


@pytest.mark.parametrize("begin", [2, 12])
def test_films_sent_live_may_begin_late(make_film, begin):
    """FFmpeg takes the time of the last tag for the length of FLV that states none."""
    live = {"flvflags": "no_duration_filesize", "output_ts_offset": str(begin)}
    source = make_film("film.flv", 50, sounds=[("aac", 44100)], muxing=live)
    with av.open(str(source)) as film:
        assert film.duration > (begin + 1) * av.time_base
    assert require_whole(str(source)).pictures == 50


def test_the_length_that_wmv_states_counts(make_film):
    source = make_film("film.wmv", 100, pictures="wmv2", sounds=[("wmav2", 44100)])
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2].ljust(len(data), b"\0"))
    with pytest.raises(UnreadableFilm, match=r"breaks off at [12]\.\d s of 4\.\d s"):
        require_whole(str(source))


@pytest.mark.parametrize("name", ["live.mkv", "film.wmv", "live.flv", "film.ts", "film.vob"])
def test_zeros_in_the_middle_are_told(make_film, painter, tmp_path, name):
    source = make_film(name, 50, **KINDS[name], size=(144, 176))
    target = tmp_path / "results" / "film.mp4"
    told = "part of the file is zeros"
    assert told not in colorize_film(painter, str(source), target, ignore).changes
    data = bytearray(source.read_bytes())
    begin, end = int(0.45 * len(data)), int(0.65 * len(data))
    data[begin:end] = bytes(end - begin)
    source.write_bytes(data)
    assert told in colorize_film(painter, str(source), target, ignore).changes


def test_packets_of_asf_are_filled_up(make_film):
    """A short film consists of few packets, of which most may be nearly empty."""
    for count in range(2, 16):
        source = make_film("film.wmv", count, rate=1, pictures="wmv2", size=(120, 160))
        require_whole(str(source))
        assert not has_zeros_inside(str(source), "asf")
    # Zeros at the beginning of a packet are none that fill it up.
    size = {"muxing": {"packet_size": "8000"}, "size": (120, 160)}
    source = make_film("film.wmv", 80, pictures="wmv2", options={"b": "200k"}, **size)
    data = source.read_bytes()
    third = len(data) // 3
    source.write_bytes(data[:third] + bytes(8000) + data[third + 8000 :])
    assert has_zeros_inside(str(source), "asf")
    end = len(data.rstrip(b"\0")) - 12_000
    for filling in (b"\0", b"\xff"):
        source.write_bytes(data[:end].ljust(len(data), filling))
        with pytest.raises(UnreadableFilm, match="breaks off"):
            require_whole(str(source))


def test_matroska_that_is_cut_within_the_header_of_an_element_is_refused(make_film):
    # Of pictures so small that their headers are a large part of the file.
    source = make_film("film.mkv", 60, size=(16, 16), options={"g": "10"})
    data = source.read_bytes()
    for end in range(len(data) // 2, len(data) // 2 + 150):
        source.write_bytes(data[:end])
        with pytest.raises(UnreadableFilm, match="breaks off"):
            require_whole(str(source))


@pytest.mark.parametrize("missing", [1, 3, 10])
def test_flv_sent_live_that_is_cut_within_a_tag_is_refused(make_film, missing):
    source = make_film("live.flv", 50, **KINDS["live.flv"])
    data = source.read_bytes()
    assert int.from_bytes(data[-4:], "big") > 10
    source.write_bytes(data[:-missing])
    with pytest.raises(UnreadableFilm, match=f"breaks off at .* of {len(data):,} bytes"):
        require_whole(str(source))


def test_packets_of_silence_are_no_hole(tmp_path):
    """Sectors of a disc, each with a header before its zeros."""
    path = tmp_path / "film.vob"
    # The first bytes put the middles of sectors at even places.
    path.write_bytes(b"\1" * 600 + (b"\0\0\1\xba" + bytes(range(28)) + bytes(2016)) * 500)
    assert not has_zeros_inside(str(path), "mpeg")
    path.write_bytes(path.read_bytes() + bytes(2**17) + b"\1" * 4096)
    assert has_zeros_inside(str(path), "mpeg")


def test_edits_may_begin_with_a_pause_and_leave_the_end_out(make_film):
    late = {"output_ts_offset": "1", "movflags": "faststart"}
    source = make_film("film.mp4", 50, options={"g": "5"}, muxing=late)
    data = source.read_bytes()
    assert require_whole(str(source)).pictures == 50
    # Of two edits, the second one is to be shorter: a count, and durations in milliseconds.
    begin = data.index(b"elst") + 8
    assert struct.unpack_from(">III", data, begin)[:2] == (2, 1000)
    shorter = bytearray(data)
    struct.pack_into(">I", shorter, begin + 16, 1000)
    source.write_bytes(shorter)
    assert 20 < require_whole(str(source)).pictures < 35
    source.write_bytes(shorter[: len(data) * 2 // 3])
    with pytest.raises(UnreadableFilm, match="breaks off"):
        require_whole(str(source))
