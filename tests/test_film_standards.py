"""Colour standards and interlacing of coloured films are those of their sources."""

import struct
from fractions import Fraction

import numpy as np
import pytest

from colorization.errors import UnreadableFilm
from colorization.films import survey
from colorization.films.colorize_film import colorize_film
from colorization.films.fields import field_order

av = pytest.importorskip("av")


def ignore(total):
    pass


def tags(path):
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        next(container.decode(video=0))
        names = ("color_primaries", "color_trc", "colorspace", "color_range")
        return tuple(int(getattr(context, name)) for name in names)


@pytest.mark.parametrize("name", ["film.mp4", "film.mov", "film.mkv", "film.webm"])
@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ((1, 1, 1, 1), (1, 1, 1, 1)),
        ((1, 13, 1, 2), (1, 13, 1, 2)),
        ((9, 14, 9, 1), (9, 14, 9, 1)),
        ((5, 6, 5, 1), (5, 6, 5, 1)),
        ((2, 2, 2, 0), (1, 1, 6, 1)),
    ],
    ids=["BT.709", "full range", "BT.2020", "BT.601", "untagged"],
)
def test_films_are_tagged_as_their_sources(make_film, painter, tmp_path, name, stored, expected):
    def set_up(film, video, tracks):
        context = video.codec_context
        context.color_primaries, context.color_trc, context.colorspace = stored[:3]
        context.color_range = stored[3]

    pictures = "libvpx-vp9" if name.endswith("webm") else "libx264"
    source = make_film(name, 2, pictures=pictures, set_up=set_up)
    target = tmp_path / "results" / name
    colorize_film(painter, str(source), target, ignore)
    assert tags(target) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [("bt709:bt709:bt709", (1, 1, 1, 1)), ("bt2020:bt2020-10:bt2020nc", (9, 14, 9, 1))],
)
def test_colours_are_those_that_the_stream_itself_states(
    make_film, painter, tmp_path, said, expected
):
    source = contradictory(make_film, said)
    target = tmp_path / "results" / "film.mkv"
    colorize_film(painter, str(source), target, ignore)
    assert tags(target) == expected


@pytest.mark.parametrize(
    ("transfer", "named"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG"), ("linear", "linear")]
)
def test_hdr_that_only_the_stream_states_is_refused(make_film, painter, tmp_path, transfer, named):
    source = contradictory(make_film, f"bt2020:{transfer}:bt2020nc")
    with pytest.raises(UnreadableFilm, match=named):
        colorize_film(painter, str(source), tmp_path / "film.mkv", ignore)


def contradictory(make_film, said):
    """A film of which Matroska states the matrix of BT.601, and the stream something else."""

    def set_up(film, video, tracks):
        video.codec_context.colorspace = 5

    names = ("colorprim", "transfer", "colormatrix")
    params = (f"{name}={code}" for name, code in zip(names, said.split(":"), strict=True))
    options = {"x264-params": ":".join(params)}
    return make_film("source.mkv", 2, options=options, set_up=set_up)


@pytest.mark.parametrize(
    ("stated", "fields"), [("tt", "tff"), ("bb", "bff"), ("tb", "tff"), ("bt", "bff")]
)
@pytest.mark.parametrize(
    ("source", "pictures", "layout"),
    [("film.mkv", "mjpeg", "yuvj420p"), ("film.mov", "mjpeg", "yuvj422p"),
     ("film.mov", "png", "rgb24")],
)  # fmt: skip
def test_interlacing_that_only_the_container_states_stays(
    make_film, painter, tmp_path, source, pictures, layout, stated, fields
):
    """FFmpeg's program states "tb" for all whose top field is first but Motion JPEG."""
    if not hasattr(av.VideoCodecContext, "field_order"):
        pytest.skip("an old PyAV")
    order = {"field_order": stated}
    path = make_film(source, 3, pictures=pictures, layout=layout, options=order)
    target = tmp_path / "results" / source
    colorize_film(painter, str(path), target, ignore)
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        found = [field_order(frame) for frame in container.decode(stream)]
    assert found == 3 * [fields]


@pytest.mark.parametrize("fields", ["tff", "bff"])
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_interlaced_films_stay_interlaced(make_film, painter, tmp_path, name, fields):
    interlaced = {"flags": "+ilme+ildct"}
    source = make_film(f"{name}.mpg", 12, pictures="mpeg2video", options=interlaced, fields=fields)
    target = tmp_path / "results" / name
    colorize_film(painter, str(source), target, ignore)
    with av.open(str(target)) as container:
        pictures = container.streams.video[0]
        found = [field_order(frame) for frame in container.decode(pictures)]
        if hasattr(pictures.codec_context, "field_order"):
            assert int(pictures.codec_context.field_order) == {"tff": 2, "bff": 3}[fields]
    assert found == 12 * [fields]


def test_two_lines_of_each_field_share_colours(make_film, painter, tmp_path):
    """As in captures of NTSC tapes, whose 486 lines are no multiple of four."""
    source = make_film("film.mkv", 3, pictures="ffv1", size=(54, 64), fields="bff")
    target = tmp_path / "results" / "film.mkv"
    done = colorize_film(painter, str(source), target, ignore)
    assert "64 x 52 pixels for 64 x 54" in done.changes
    with av.open(str(source)) as container:
        lines = [frame.to_ndarray()[:52] for frame in container.decode(video=0)]
    with av.open(str(target)) as container:
        for frame, expected in zip(container.decode(video=0), lines, strict=True):
            assert field_order(frame) == "bff"
            # Colours change luma, but from line to line alike.
            difference = np.abs(frame.to_ndarray()[:52].astype(int) - expected).mean(1)
            assert difference.max() < 30
            assert np.abs(np.diff(difference)).max() < 5


@pytest.mark.parametrize(
    ("name", "pictures", "may_have_fields"),
    [
        ("film.webm", "libvpx-vp9", False),
        ("film.mkv", "libvpx", False),
        ("film.flv", "flv", False),
        ("film.avi", "ffv1", False),
        ("film.mkv", "ffv1", True),
        ("film.mov", "mjpeg", True),
    ],
)
def test_interlacing_is_doubted_only_where_there_may_be_some(
    make_film, painter, tmp_path, name, pictures, may_have_fields
):
    layout = "yuvj420p" if pictures == "mjpeg" else "yuv420p"
    source = make_film(name, 2, pictures=pictures, layout=layout)
    keeps = name.endswith((".mkv", ".mov", ".webm"))
    target = tmp_path / "results" / (name if keeps else f"{name}.mp4")
    done = colorize_film(painter, str(source), target, ignore)
    is_unknown = may_have_fields and not hasattr(av.VideoCodecContext, "field_order")
    assert any("interlacing" in change for change in done.changes) == is_unknown


def test_interlacing_that_webm_does_not_hold_is_named(make_film, painter, tmp_path):
    interlaced = {"flags": "+ilme+ildct"}
    source = make_film("film.mpg", 3, pictures="mpeg2video", options=interlaced, fields="tff")
    for name, named in (("film.webm", True), ("film.mp4", False)):
        done = colorize_film(painter, str(source), tmp_path / "results" / name, ignore)
        assert ("no interlacing" in done.changes) == named


def parts(make_film, *films):
    """Films of MPEG-2 one after the other, as television is recorded."""
    made = [
        make_film(f"{number}.ts", pictures="mpeg2video", **settings)
        for number, settings in enumerate(films)
    ]
    made[0].write_bytes(b"".join(part.read_bytes() for part in made))
    return made[0]


def test_films_that_begin_progressive_stay_interlaced(make_film, painter, tmp_path):
    interlaced = {"options": {"flags": "+ilme+ildct"}, "fields": "tff"}
    source = parts(make_film, {"frames": 15}, {"frames": 30, **interlaced})
    target = tmp_path / "results" / "film.mp4"
    done = colorize_film(painter, str(source), target, ignore)
    with av.open(str(target)) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))
    assert "no interlacing" not in done.changes


def test_a_few_interlaced_pictures_are_named(make_film, painter, tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "_PLACES", 1)
    interlaced = {"options": {"flags": "+ilme+ildct"}, "fields": "tff"}
    source = parts(make_film, {"frames": 15}, {"frames": 3, **interlaced})
    done = colorize_film(painter, str(source), tmp_path / "results" / "film.mp4", ignore)
    assert "no interlacing" in done.changes


def test_the_shape_is_that_of_most_pictures(make_film, painter, tmp_path):
    """Of pixels, that is; in what is left, the pictures are not stretched."""

    def wide(film, video, tracks):
        video.codec_context.sample_aspect_ratio = Fraction(4, 3)

    def narrow(film, video, tracks):
        video.codec_context.sample_aspect_ratio = Fraction(1)

    source = parts(make_film, {"frames": 15, "set_up": narrow}, {"frames": 45, "set_up": wide})
    target = tmp_path / "results" / "film.mp4"
    done = colorize_film(painter, str(source), target, ignore)
    assert any("black bars" in change for change in done.changes)
    with av.open(str(target)) as container:
        pictures = container.streams.video[0]
        assert pictures.sample_aspect_ratio == Fraction(4, 3)
        shown = [frame.to_ndarray(format="gray") for frame in container.decode(pictures)]
    barred = [bool(picture[:, :6].mean() < 24) for picture in shown]
    # The decoder may keep the picture at the joint back.
    assert barred in (15 * [True] + 45 * [False], 14 * [True] + 45 * [False])


@pytest.mark.parametrize("hidden", [2, 8])
def test_columns_that_the_stream_hides_stay_hidden(make_film, painter, tmp_path, hidden):
    film, cropped = make_film(size=(48, 80)), tmp_path / "cropped.mp4"
    with av.open(str(film)) as source, av.open(str(cropped), "w") as copy:
        pictures = source.streams.video[0]
        track = copy.add_stream_from_template(pictures)
        crop = av.bitstream.BitStreamFilterContext(
            f"h264_metadata=crop_left={hidden}:crop_right=2:crop_top=4", pictures, track
        )
        for packet in source.demux(pictures):
            for filtered in crop.filter(packet if packet.size else None):
                filtered.stream = track
                copy.mux(filtered)
    shown = []
    for path in (film, cropped):
        target = tmp_path / "results" / path.name
        assert not colorize_film(painter, str(path), target, ignore).changes
        with av.open(str(target)) as result:
            shown.append(next(result.decode(video=0)).to_ndarray(format="gray").astype(int))
    wanted = shown[0][4:, hidden:-2]
    assert shown[1].shape == wanted.shape
    assert abs(shown[1] - wanted).mean() < 4


@pytest.mark.parametrize("begin", [3, 15])
def test_a_beginning_of_another_shape_is_told_from_the_film(make_film, begin):
    """Whatever FFmpeg says of the shape before anything is decoded."""

    def of_aspect(aspect):
        def set_up(film, video, tracks):
            video.codec_context.sample_aspect_ratio = aspect

        return set_up

    for aspects in ((1, Fraction(4, 3)), (Fraction(4, 3), 1)):
        first, most = ({"set_up": of_aspect(Fraction(aspect))} for aspect in aspects)
        source = parts(make_film, {"frames": begin, **first}, {"frames": 60, **most})
        assert survey.survey(str(source)).shape.aspect == aspects[1]


def test_films_of_unknown_length_are_read_through(make_film):
    """Browsers record with a connection that is slow in the beginning."""
    films = [
        make_film(f"{number}.h264", frames, size=size, options={"g": "30"}).read_bytes()
        for number, (frames, size) in enumerate([(20, (48, 64)), (90, (96, 128))])
    ]
    whole = make_film("whole.h264", 1)
    whole.write_bytes(b"".join(films))
    with av.open(str(whole)) as film:
        assert not film.duration
    assert survey.survey(str(whole)).shape[:2] == (128, 96)
    whole.write_bytes(films[1] + films[0])
    assert survey.survey(str(whole)).shape[:2] == (128, 96)


@pytest.mark.parametrize(
    ("name", "pictures", "step", "end", "header"),
    [("film.flv", "libx264", "10", 150, 13), ("film.ivf", "libvpx", "99", 70, 32)],
)
def test_films_in_which_no_other_place_can_be_decoded_are_read_through(
    make_film, name, pictures, step, end, header
):
    """They state a length, but their readers go past what a decoder needs."""
    films = []
    for size, times in (((48, 64), range(25)), ((96, 128), range(27, end))):
        settings = {"pictures": pictures, "options": {"g": step}, "times": tuple(times)}
        source = make_film(name, len(times), size=size, **settings)
        films.append(source.read_bytes())
    # Of the second one, all but the header of the file.
    source.write_bytes(films[0] + films[1][header:])
    with av.open(str(source)) as film:
        assert film.duration
    assert survey.survey(str(source)).shape[:2] == (128, 96)


def test_pictures_that_are_made_smaller_are_named(make_film, painter, tmp_path):
    source = parts(make_film, {"frames": 30}, {"frames": 5, "size": (96, 128)})
    done = colorize_film(painter, str(source), tmp_path / "results" / "film.mp4", ignore)
    assert "64 x 48 pixels where its pictures are larger" in done.changes


def test_a_container_may_state_another_shape_than_its_pictures(make_film, painter, tmp_path):
    """Here a MOV file does, in its box `pasp`."""

    def wide(film, video, tracks):
        video.codec_context.sample_aspect_ratio = Fraction(4, 3)

    source = make_film("film.mov", 11, set_up=wide)
    data = source.read_bytes()
    box = data.index(b"pasp") + 4
    assert struct.unpack_from(">II", data, box) == (4, 3)
    source.write_bytes(data[:box] + struct.pack(">II", 3, 2) + data[box + 8 :])
    target = tmp_path / "results" / "film.mov"
    done = colorize_film(painter, str(source), target, ignore)
    assert done.changes == []
    with av.open(str(target)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(3, 2)
