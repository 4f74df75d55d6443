"""What films have besides pictures: sound, languages, dates, chapters, covers."""

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from colorization.films.colorize_film import colorize_film
from colorization.films.source import disposition

av = pytest.importorskip("av")

# FFmpeg's flags for what a track is for.
HEARING_IMPAIRED, ATTACHED_PICTURE = 0x80, 0x400


def ignore(total):
    pass


def sound_of(path):
    """Times of the first and last sample in seconds, and loudness from the second 0.2 to 0.8."""
    samples, times = [], []
    with av.open(str(path)) as film:
        track = film.streams.audio[0]
        for frame in film.decode(track):
            values = frame.to_ndarray().astype(np.float64)
            values = values / (np.iinfo(frame.to_ndarray().dtype).max if values.max() > 2 else 1)
            samples.append(values.reshape(-1))
            # Some frames of WMA have none.
            start = frame.time if frame.time is not None else times[-1][1] if times else 0
            times.append((start, start + frame.samples / frame.sample_rate))
    loud = np.concatenate(samples)
    middle = loud[int(0.2 * len(loud)) : int(0.8 * len(loud))]
    return times[0][0], times[-1][1], float(np.sqrt(np.mean(np.square(middle))))


def packets_of(path):
    with av.open(str(path)) as film:
        return [bytes(packet) for packet in film.demux(audio=0) if packet.size]


@pytest.mark.parametrize(
    ("source", "pictures", "codec", "rate", "copied"),
    [
        ("ac3.avi", "mpeg4", "ac3", 48000, True),
        ("mp3.avi", "mpeg4", "libmp3lame", 44100, True),
        ("pcm.avi", "mpeg4", "pcm_s16le", 44100, False),
        ("adpcm.avi", "mpeg4", "adpcm_ms", 44100, False),
        ("ac3.vob", "mpeg2video", "ac3", 48000, True),
        ("mp2.mpg", "mpeg1video", "mp2", 44100, False),
        ("wma.wmv", "wmv2", "wmav2", 44100, False),
        ("eac3.mts", "libx264", "eac3", 48000, True),
        ("mp3.flv", "flv", "libmp3lame", 44100, True),
        ("low.flv", "flv", "libmp3lame", 11025, False),
        ("low.avi", "mpeg4", "libmp3lame", 12000, False),
        ("aac.flv", "libx264", "aac", 44100, True),
        ("pcm.mov", "libx264", "pcm_s24le", 48000, True),
        ("alac.mov", "libx264", "alac", 44100, True),
        ("opus.mp4", "libx264", "libopus", 48000, True),
        ("flac.mkv", "libx264", "flac", 44100, True),
        ("pcm.mkv", "libx264", "pcm_s16le", 44100, True),
        ("mp2.mkv", "libx264", "mp2", 44100, True),
        ("opus.webm", "libvpx-vp9", "libopus", 48000, True),
        ("pcm.mxf", "mpeg2video", "pcm_s16le", 48000, False),
        ("aac.3gp", "libx264", "aac", 16000, True),
    ],
)
def test_sound_is_heard_when_it_was(
    make_film, painter, tmp_path, source, pictures, codec, rate, copied
):
    container = "vob" if source.endswith(".vob") else None
    film = make_film(source, 50, pictures=pictures, sounds=[(codec, rate)], container=container)
    keeps = source.endswith((".mp4", ".mov", ".mkv", ".webm"))
    target = tmp_path / "results" / (source if keeps else f"{source}.mp4")
    done = colorize_film(painter, str(film), target, ignore)
    assert any(change.startswith("sound ") for change in done.changes) != copied
    assert (packets_of(film) == packets_of(target)) == copied
    with av.open(str(film)) as original:
        begun = (original.start_time or 0) / av.time_base
    start, end, loudness = sound_of(film)
    new_start, new_end, new_loudness = sound_of(target)
    assert new_start == pytest.approx(start - begun, abs=0.06)
    assert new_end == pytest.approx(end - begun, abs=0.06)
    assert new_loudness == pytest.approx(loudness, rel=0.1)


@pytest.mark.parametrize(
    ("name", "codec", "samples"),
    [
        # As many as TrueHD has, whose packets are shorter than Matroska's unit of time.
        ("film.mkv", "pcm_s16le", 40),
        ("film.mov", "pcm_s16le", 40),
        ("film.mp4", "libopus", 120),
        ("film.webm", "libopus", 120),
    ],
)
def test_short_packets_stay_in_time(make_film, painter, tmp_path, name, codec, samples):
    def set_up(film, video, tracks):
        options = {"frame_duration": "2.5"} if codec == "libopus" else {}
        track = film.add_stream(codec, rate=48000, layout="mono", options=options)

        def write():
            for start in range(0, 96000, samples):
                wave = 0.5 * np.sin(np.arange(start, start + samples) * 0.06)
                heard = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
                heard.sample_rate, heard.pts = 48000, start
                heard.time_base = Fraction(1, 48000)
                film.mux(track.encode(heard))
            film.mux(track.encode(None))

        return write

    pictures = "libvpx-vp9" if name.endswith("webm") else "libx264"
    source = make_film(name, 50, pictures=pictures, set_up=set_up)
    target = tmp_path / "results" / name
    colorize_film(painter, str(source), target, ignore)
    assert packets_of(target) == packets_of(source)
    assert sound_of(target)[:2] == pytest.approx(sound_of(source)[:2], abs=0.01)


def test_a_track_that_holds_nothing_is_passed_over(make_film, painter, tmp_path):
    """FFmpeg finds such a one beside TrueHD in MPEG-TS."""

    def set_up(film, video, tracks):
        film.add_stream("ac3", rate=48000, layout="mono")

    source = make_film("film.ts", 10, set_up=set_up)
    with av.open(str(source)) as film:
        assert [track.rate for track in film.streams.audio] == [0]
    target = tmp_path / "results" / "film.ts.mp4"
    assert colorize_film(painter, str(source), target, ignore).frames == 10


@pytest.mark.parametrize("name", ["film.mp4", "film.mov", "film.mkv"])
def test_title_date_and_languages_stay(make_film, painter, tmp_path, name):
    facts = {
        "title": "Grandma",
        "creation_time": "1999-12-31T23:59:59.000000Z",
        "com.example.camera": "Agfa",
    }

    def set_up(film, video, tracks):
        film.metadata.update(facts)
        for track, language in zip(tracks, ("eng", "ger"), strict=True):
            track.metadata["language"] = language

    muxing = {} if name.endswith("mkv") else {"movflags": "use_metadata_tags"}
    source = make_film(name, 10, sounds=2 * [("aac", 48000)], set_up=set_up, muxing=muxing)
    target = tmp_path / "results" / name
    done = colorize_film(painter, str(source), target, ignore)
    with av.open(str(target)) as film:
        found = {name.lower(): text for name, text in film.metadata.items()}
        assert {name: found[name] for name in facts} == facts
        assert [track.language for track in film.streams.audio] == ["eng", "ger"]
    assert done.changes == []


def add_subtitle(film, codec, text):
    """Adds a track and gives what writes its one line, shown for half a second."""
    track = film.add_mux_stream(codec)
    track.time_base = Fraction(1, 1000)
    track.metadata["language"] = "ger"

    def write():
        packet = av.Packet(text)
        packet.stream, packet.time_base = track, track.time_base
        packet.pts = packet.dts = 0
        packet.duration = 500
        film.mux(packet)

    return write


@pytest.mark.parametrize(
    ("name", "codec", "text"),
    [("film.mp4", "mov_text", b"\0\5Hello"), ("film.mkv", "subrip", b"Hello")],
)
def test_chapters_subtitles_and_purposes_stay(make_film, painter, tmp_path, name, codec, text):
    chapters = [
        {
            "id": number,
            "start": 100 * number,
            "end": 100 * number + 100,
            "time_base": Fraction(1, 1000),
            "metadata": {"title": title},
        }
        for number, title in ((1, "One"), (2, "Two"))
    ]

    def set_up(film, video, tracks):
        film.set_chapters(chapters)
        tracks[1].disposition = HEARING_IMPAIRED
        return add_subtitle(film, codec, text)

    sounds = 2 * [("aac", 48000)]
    source = make_film(name, 10, sounds=sounds, set_up=set_up)
    target = tmp_path / "results" / name
    assert colorize_film(painter, str(source), target, ignore).changes == []
    with av.open(str(target)) as film:
        titles = [chapter["metadata"]["title"] for chapter in film.chapters()]
        ends = [chapter["end"] * chapter["time_base"] for chapter in film.chapters()]
        assert (titles, ends) == (["One", "Two"], [Fraction(2, 10), Fraction(3, 10)])
        purposes = [disposition(track) for track in film.streams.audio]
        assert purposes[1] & HEARING_IMPAIRED
        assert [track.language for track in film.streams.subtitles] == ["ger"]
        texts = [bytes(packet) for packet in film.demux(subtitles=0) if packet.size]
    assert text in texts


@pytest.mark.parametrize("name", ["film.mp4", "film.mov"])
def test_the_time_code_stays_and_no_line_says_otherwise(make_film, painter, tmp_path, name):
    def set_up(film, video, tracks):
        video.metadata.update(timecode="10:11:12:05", handler_name="VideoHandler")

    source = make_film(name, 10, set_up=set_up)
    # Cameras name the track of the time code, which comes last, otherwise.
    before, mark, after = source.read_bytes().rpartition(b"VideoHandler")
    source.write_bytes(before + b"TimeCodeHand"[: len(mark)] + after)
    target = tmp_path / "results" / name
    assert colorize_film(painter, str(source), target, ignore).changes == []
    for path in (source, target):
        with av.open(str(path)) as film:
            assert [track.metadata["timecode"] for track in film.streams.data] == ["10:11:12:05"]


@pytest.mark.parametrize("name", ["film.mkv", "film.mov"])
def test_chapters_move_with_a_film_that_begins_late(make_film, painter, tmp_path, name):
    """Parts that programs have cut out may keep the clock of the whole."""

    def written(chapters):
        def set_up(film, video, tracks):
            film.set_chapters(
                [
                    {"id": number, "start": start, "end": end, "time_base": Fraction(1, 100)}
                    | {"metadata": {"title": title}}
                    for number, (title, start, end) in enumerate(chapters, 1)
                ]
            )

        # The film lasts from 3 to 4.2 seconds.
        times = tuple(range(75, 105))
        source = make_film(name, 30, times=times, set_up=set_up)
        target = tmp_path / "results" / name
        assert colorize_film(painter, str(source), target, ignore).changes == []
        with av.open(str(target)) as film:
            assert film.start_time == 0
            return [
                (
                    chapter["metadata"]["title"],
                    float(chapter["start"] * chapter["time_base"]),
                    float(chapter["end"] * chapter["time_base"]),
                )
                for chapter in film.chapters()
            ]

    told = [("Zoo", 0, 260), ("Sea", 260, 330), ("Home", 330, 420)]
    assert written(told) == [
        ("Sea", 0, pytest.approx(0.3)),
        ("Home", *map(pytest.approx, (0.3, 1.2))),
    ]
    # Others count them from zero, whatever the clock says.
    assert written([("Sea", 0, 50), ("Home", 50, 120)]) == [("Sea", 0, 0.5), ("Home", 0.5, 1.2)]


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_chapters_may_be_mere_marks(make_film, painter, tmp_path, name):
    def set_up(film, video, tracks):
        marks = ((0, 0), (20, 40))
        film.set_chapters(
            [
                {"id": number, "start": start, "end": end, "time_base": Fraction(1, 100)}
                | {"metadata": {"title": f"Part {number}"}}
                for number, (start, end) in enumerate(marks, 1)
            ]
        )

    source = make_film("source.mkv", 10, set_up=set_up)
    target = tmp_path / "results" / name
    assert colorize_film(painter, str(source), target, ignore).changes == []
    with av.open(str(target)) as film:
        starts = [float(chapter["start"] * chapter["time_base"]) for chapter in film.chapters()]
    assert starts == pytest.approx([0, 0.2], abs=1e-3)


def test_what_the_container_cannot_hold_is_named(make_film, painter, tmp_path):
    def set_up(film, video, tracks):
        film.add_attachment("font.ttf", "application/x-truetype-font", b"no font")
        return add_subtitle(film, "subrip", b"Hello")

    source = make_film("film.mkv", 10, set_up=set_up)
    for name, changes in (
        ("film.mkv", []),
        ("film.mp4", ["no subtitles (subrip, ger)", "no attachment font.ttf"]),
    ):
        target = tmp_path / "results" / name
        assert sorted(colorize_film(painter, str(source), target, ignore).changes) == sorted(
            changes
        )
    # A kind of subtitles that FFmpeg does not know.
    source.write_bytes(source.read_bytes().replace(b"S_TEXT/UTF8", b"S_TEXT/USF8"))
    done = colorize_film(painter, str(source), tmp_path / "results" / "film.mkv", ignore)
    assert done.changes == ["no subtitles (unknown, ger)"]


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_covers_stay(make_film, painter, tmp_path, colourful, name):
    with io.BytesIO() as file:
        Image.fromarray(colourful(32, 32)).save(file, "JPEG")
        cover = file.getvalue()

    def set_up(film, video, tracks):
        if name.endswith("mkv"):
            film.add_attachment("cover.jpg", "image/jpeg", cover)
            return None
        track = film.add_mux_stream("mjpeg", width=32, height=32)
        track.disposition = ATTACHED_PICTURE

        def write():
            packet = av.Packet(cover)
            packet.stream, packet.time_base = track, Fraction(1, 1000)
            packet.pts = packet.dts = 0
            film.mux(packet)

        return write

    source = make_film(name, 5, set_up=set_up)
    target = tmp_path / "results" / name
    done = colorize_film(painter, str(source), target, ignore)
    assert (done.frames, done.changes) == (5, [])
    with av.open(str(target)) as film:
        covers = [track for track in film.streams.video if disposition(track) & ATTACHED_PICTURE]
        (packet,) = [packet for packet in film.demux(covers) if packet.size]
        assert bytes(packet) == cover


def test_what_ogg_says_in_its_tracks_is_said_of_the_film(make_film, painter, tmp_path):
    facts = {"title": "Grandma", "date": "1961", "artist": "Grandpa", "TAPE": "Hi8 3"}

    def set_up(film, video, tracks):
        film.metadata.update(facts)
        tracks[0].metadata["language"] = "ger"

    source = make_film(
        "film.ogv",
        10,
        pictures="libvpx",
        sounds=[("flac", 44100)],
        container="ogg",
        set_up=set_up,
    )
    with av.open(str(source)) as film:
        assert not set(facts) & set(film.metadata)
    target = tmp_path / "results" / "film.ogv.mp4"
    done = colorize_film(painter, str(source), target, ignore)
    with av.open(str(target)) as film:
        assert {name: film.metadata.get(name) for name in facts} == facts
        assert film.streams.audio[0].language == "ger"
    assert not [change for change in done.changes if change.startswith("no ")]


@pytest.mark.parametrize(("source", "target"), [("a.avi", "a.avi.mp4"), ("a.mkv", "a.mkv")])
def test_titles_of_tracks_stay(make_film, painter, tmp_path, source, target):
    def set_up(film, video, tracks):
        tracks[1].metadata["title"] = "Comment"

    film = make_film(source, 10, pictures="mpeg4", sounds=2 * [("ac3", 48000)], set_up=set_up)
    target = tmp_path / "results" / target
    done = colorize_film(painter, str(film), target, ignore)
    with av.open(str(target)) as result:
        told = result.streams.audio[1].metadata
        assert told.get("title") == "Comment" or told["handler_name"] == "Comment"
    assert not [change for change in done.changes if "title" in change]


@pytest.mark.parametrize(
    ("look_ahead", "kinds", "changes"),
    [(2**28, ["video", "audio"], []), (2**15, ["video"], ["no track that begins late"])],
    ids=["within reach", "beyond"],
)
def test_tracks_may_begin_late(
    make_film, painter, tmp_path, monkeypatch, look_ahead, kinds, changes
):
    """FFmpeg by itself finds no track that begins after some seconds and has ended long before."""
    options = {"g": "1", "b": "8000000", "qmin": "1"}
    silent = make_film("1.mpg", 190, pictures="mpeg2video", options=options).read_bytes()
    heard = make_film("2.mpg", 9, pictures="mpeg2video", sounds=[("ac3", 48000)]).read_bytes()
    source, target = tmp_path / "film.mpg", tmp_path / "results" / "film.mpg.mp4"
    source.write_bytes(silent + heard + 2 * silent)
    monkeypatch.setattr("colorization.films.source.LOOK_AHEAD", look_ahead)
    done = colorize_film(painter, str(source), target, ignore)
    assert (done.frames, done.changes) == (579, changes)
    with av.open(str(target)) as film:
        assert [track.type for track in film.streams] == kinds


def atom(name, content):
    """An atom of MP4 and MOV."""
    return (len(content) + 8).to_bytes(4, "big") + name + content


def test_a_tag_of_matroska_may_have_the_name_of_xmp(make_film, painter, tmp_path):
    def set_up(film, video, tracks):
        film.metadata["XMP"] = "text"

    source, target = make_film("film.mkv", 3, set_up=set_up), tmp_path / "results" / "film.mkv"
    assert colorize_film(painter, str(source), target, ignore).changes == []
    with av.open(str(target)) as film:
        assert film.metadata["XMP"] == "text"


def test_xmp_and_the_mark_of_panoramas_are_named(make_film, painter, colourful, tmp_path):
    """FFmpeg writes neither of them. PyAV does not know the EXIF data of pictures in JPEG."""
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    by_camera = atom(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + xmp)
    by_hand = atom(b"udta", atom(b"XMP_", xmp))
    sphere = b"".join(
        b"<GSpherical:%s>%s</GSpherical:%s>" % (name, value, name)
        for name, value in (
            (b"Spherical", b"true"),
            (b"Stitched", b"true"),
            (b"StitchingSoftware", b"none"),
            (b"ProjectionType", b"equirectangular"),
        )
    )
    panorama = atom(b"uuid", bytes.fromhex("ffcc8263f8554a938814587a02521fdd") + sphere)

    def with_exif(film, video, _):
        photo, exif = io.BytesIO(), Image.Exif()
        exif[0x010F] = "Camera"
        Image.fromarray(colourful(48, 64)).save(photo, "JPEG", exif=exif)

        def add():
            for time in range(3):
                packet = av.Packet(photo.getvalue())
                packet.stream, packet.time_base = video, Fraction(1, 25)
                packet.pts = packet.dts = time
                film.mux(packet)

        return add

    def changes(parent, further, frames=3, **settings):
        """What is said of a film with an atom at the end of another one."""
        data = make_film("film.mov", frames, **settings).read_bytes()
        moov = data.index(b"moov") - 4
        start = data.index(parent, moov) - 4
        end = start + int.from_bytes(data[start : start + 4], "big")
        content = data[start + 8 : end] + further
        changed = data[moov + 8 : start] + atom(parent, content) + data[end:]
        if parent == b"moov":
            changed = content
        source = tmp_path / "changed.mov"
        source.write_bytes(data[:moov] + atom(b"moov", changed))
        return colorize_film(painter, str(source), tmp_path / "results" / "a.mov", ignore).changes

    assert changes(b"moov", by_hand) == ["no XMP data"]
    assert changes(b"moov", by_camera) == ["no XMP data"]
    assert changes(b"trak", panorama) == ["no 360-degree tag"]
    in_jpeg = {"pictures": "mjpeg", "layout": "yuvj420p", "set_up": with_exif}
    assert "no 360-degree tag" in changes(b"trak", panorama, 0, **in_jpeg)
    assert changes(b"moov", b"") == []


def test_a_second_view_that_is_left_out_is_said(make_film, painter, tmp_path):
    """Spatial films of phones hold the other eye's pictures in a layer of HEVC."""
    data = bytearray(make_film("film.mov", 3).read_bytes())
    eyes = atom(b"vexu", atom(b"eyes", atom(b"stri", bytes(4) + b"\3")))
    starts = [data.index(b"moov") - 4]
    for name in (b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        starts.append(data.index(name, starts[-1]) - 4)
    ends = [start + int.from_bytes(data[start : start + 4], "big") for start in starts]
    data[ends[-1] : ends[-1]] = eyes
    for start, end in zip(starts, ends, strict=True):
        data[start : start + 4] = (end - start + len(eyes)).to_bytes(4, "big")
    (tmp_path / "spatial.mov").write_bytes(data)
    target = tmp_path / "results" / "a.mov"
    coloured = colorize_film(painter, str(tmp_path / "spatial.mov"), target, ignore)
    assert coloured.changes == ["no second view"]


def test_films_in_3d_keep_their_proportions(make_film, painter, tmp_path):
    """As mkvmerge marks films with a view on each half of a picture."""

    def mark(film, pictures, _):
        pictures.metadata["stereo_mode"] = "left_right"

    source = make_film("film.mkv", 3, size=(64, 64), set_up=mark)
    # The width of each view, for which FFmpeg has 32, is that of the whole picture.
    data = source.read_bytes()
    of_half, of_whole = b"\x54\xb0\x81\x20", b"\x54\xb0\x81\x40"
    assert data.count(of_half) == 1
    source.write_bytes(data.replace(of_half, of_whole))
    target = tmp_path / "results" / "film.mkv"
    assert colorize_film(painter, str(source), target, ignore).changes == ["no 3D tag"]
    with av.open(str(source)) as film, av.open(str(target)) as coloured:
        (before,), (after,) = film.streams.video, coloured.streams.video
        assert before.sample_aspect_ratio == after.sample_aspect_ratio == 2
