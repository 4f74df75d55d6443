"""Sound: channels that are encoded anew stay where they were, and programmes keep their own."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from colorization.films.colorize_film import colorize_film
from colorization.films.sound import new_layout
from colorization.films.source import disposition

av = pytest.importorskip("av")

RATE = 48000
# FFmpeg's flag for the tracks that players choose.
DEFAULT = 0x1


def ignore(total):
    pass


def film_with_channels(make_film, name, layout, codec="pcm_s16le"):
    """A film of a second whose channels have tones of 500, 1000, 1500 ... Hz."""

    def set_up(film, video, tracks):
        track = film.add_stream(codec, rate=RATE, layout=layout)
        pitches = 500 * np.arange(1, track.layout.nb_channels + 1)

        def write():
            for start in range(0, RATE, 960):
                times = np.arange(start, start + 960) / RATE
                waves = 0.3 * np.sin(2 * np.pi * pitches[:, None] * times)
                packed = np.ascontiguousarray(waves.T, np.float32).reshape(1, -1)
                heard = av.AudioFrame.from_ndarray(packed, "flt", layout)
                heard.sample_rate, heard.pts, heard.time_base = RATE, start, Fraction(1, RATE)
                film.mux(track.encode(heard))
            film.mux(track.encode(None))

        return write

    return make_film(name, 25, pictures="mpeg4", set_up=set_up)


def pitches_of(path):
    """Channel -> the frequency of its loudest tone, in Hz; None for silence."""
    with av.open(str(path)) as film:
        layout = film.streams.audio[0].layout
        # PyAV takes eight planes of sound for more.
        packed = av.AudioResampler("flt")
        frames = [part for frame in film.decode(audio=0) for part in packed.resample(frame)]
    values = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    waves = values.reshape(-1, layout.nb_channels).T[:, 9600:38400]
    spectra = np.abs(np.fft.rfft(waves)) / waves.shape[1]
    loudest = spectra.argmax(1) * RATE / waves.shape[1]
    return {
        channel.name: round(pitch) if spectrum.max() > 0.02 else None
        for channel, pitch, spectrum in zip(layout.channels, loudest, spectra, strict=True)
    }


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("3.0", {"FL": 500, "FR": 1000, "FC": 1500}),
        ("4.0", {"FL": 500, "FR": 1000, "FC": 1500, "BC": 2000}),
        ("quad", {"FL": 500, "FR": 1000, "FC": None, "BL": 1500, "BR": 2000}),
        ("5.0", {"FL": 500, "FR": 1000, "FC": 1500, "BL": 2000, "BR": 2500}),
        ("5.1", {"FL": 500, "FR": 1000, "FC": 1500, "LFE": None, "BL": 2500, "BR": 3000}),
        (
            "7.1",
            {"FL": 500, "FR": 1000, "FC": 1500, "BL": 2500, "BR": 3000, "SL": 3500, "SR": 4000},
        ),
    ],
)
def test_channels_stay_where_they_were(make_film, painter, tmp_path, layout, expected):
    source = film_with_channels(make_film, "film.avi", layout)
    target = tmp_path / "results" / "film.mp4"
    done = colorize_film(painter, str(source), target, ignore)
    assert "sound pcm_s16le as aac" in done.changes
    found = pitches_of(target)
    # The encoder takes all but the lowest tones out of the channel for these.
    assert {name: found[name] for name in expected if name != "LFE"} == {
        name: pitch for name, pitch in expected.items() if name != "LFE"
    }
    assert set(found) - {"LFE"} == set(expected) - {"LFE"}


@pytest.mark.parametrize(
    ("layout", "expected"), [("6.1", "7.1"), ("octagonal", "7.1"), ("hexagonal", "5.1")]
)
def test_channels_that_aac_does_not_hold_are_mixed_and_that_is_said(
    make_film, painter, tmp_path, layout, expected
):
    source = film_with_channels(make_film, "film.avi", layout)
    target = tmp_path / "results" / "film.mp4"
    done = colorize_film(painter, str(source), target, ignore)
    assert f"sound pcm_s16le as aac, {layout} mixed to {expected}" in done.changes
    with av.open(str(target)) as film:
        assert film.streams.audio[0].layout.name == expected


def test_channels_of_which_no_place_is_known_stay_in_order(make_film, painter, tmp_path):
    source = film_with_channels(make_film, "film.avi", "16 channels")
    target = tmp_path / "results" / "film.mp4"
    done = colorize_film(painter, str(source), target, ignore)
    assert "sound pcm_s16le as aac, the first 8 of 16 channels" in done.changes
    found = list(pitches_of(target).values())
    assert [pitch for number, pitch in enumerate(found) if number != 3] == [
        500, 1000, 1500, 2500, 3000, 3500, 4000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("layout", "expected"),
    [("quad", "quad"), ("6.1", "6.1"), ("4.0", "6.1"), ("5.1(side)", "5.1"), ("2.1", "5.1")],
)
def test_opus_holds_other_layouts(layout, expected):
    held = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
    assert new_layout(av.AudioLayout(layout), held) == (expected, "")


@pytest.mark.parametrize(("share", "said"), [(1, "no sound ac3"), (0.5, "times damaged")])
def test_sound_that_cannot_be_decoded_is_named(make_film, painter, tmp_path, share, said):
    source = make_film("film.mkv", 25, sounds=[("ac3", RATE)])
    with av.open(str(source)) as film:
        packets = [bytes(packet) for packet in film.demux(audio=0) if packet.size]
    data = source.read_bytes()
    for packet in packets[: round(share * len(packets))]:
        data = data.replace(packet, b"\xff" * len(packet))
    source.write_bytes(data)
    target = tmp_path / "results" / "film.webm"
    done = colorize_film(painter, str(source), target, ignore)
    assert any(said in change for change in done.changes)


def sound_packets(path):
    """Number of a track of sound -> its packets."""
    with av.open(str(path)) as film:
        packets = {track.index: [] for track in film.streams.audio}
        for packet in film.demux():
            if packet.size and packet.stream.index in packets:
                packets[packet.stream.index].append(bytes(packet))
    return packets


@pytest.mark.parametrize("tracks", [1, 2])
@pytest.mark.parametrize(
    ("name", "codec", "marks", "said"),
    [
        # The spatial sound of iPhones.
        ("film.mp4", "aac", {b"mp4a": b"apac", b"esds": b"dapa"}, "apac"),
        # Sound that FFmpeg knows, but has no decoder for.
        ("film.mp4", "aac", {b"mp4a": b"ac-4", b"esds": b"dac4"}, "ac4"),
        ("film.mkv", "aac", {b"A_AAC": b"A_XYZ"}, "of an unknown codec"),
        ("film.avi", "ac3", {b"\x00\x20\x01\x00": b"\x01\x12\x01\x00"}, "0x1201"),
    ],
)
def test_sound_without_a_decoder_is_left_out_by_name(
    make_film, painter, tmp_path, name, codec, marks, said, tracks
):
    pictures = "mpeg4" if name == "film.avi" else "libx264"
    source = make_film(name, 10, pictures=pictures, sounds=tracks * [(codec, RATE)])
    kept = list(sound_packets(source).values())[:-1]
    data = source.read_bytes()
    for mark, unknown in marks.items():
        # Those of the last track.
        before, _, after = data.rpartition(mark)
        data = before + unknown + after
    source.write_bytes(data)
    target = tmp_path / "results" / ("film.avi.mp4" if name == "film.avi" else name)
    done = colorize_film(painter, str(source), target, ignore)
    assert done.frames == 10
    assert done.changes == [f"no sound {said} (FFmpeg cannot decode it)"]
    assert list(sound_packets(target).values()) == kept


def test_sound_in_files_beside_a_film_is_named(make_film, painter, tmp_path):
    """As on P2 cards."""
    source = make_film("CONTENTS/VIDEO/0001AB.MXF", 3, pictures="mpeg2video", container="mxf")
    target, beside = tmp_path / "results" / "film.mp4", tmp_path / "CONTENTS" / "AUDIO"
    beside.mkdir()
    for name, said in (
        ("0002AB00.MXF", []),
        ("0001AB00.MXF", ["no sound of the card's folder AUDIO"]),
    ):
        (beside / name).write_bytes(b"sound")
        changes = colorize_film(painter, str(source), target, ignore).changes
        assert [change for change in changes if "sound" in change] == said


def seconds_of_sound(path):
    with av.open(str(path)) as film:
        return sum(frame.samples / frame.sample_rate for frame in film.decode(audio=0))


@pytest.mark.parametrize("codec", ["eac3", "g726", "adpcm_ima_wav", "mp3"])
def test_sound_in_avi_is_as_long_as_the_pictures(make_film, painter, tmp_path, codec):
    """FFmpeg counts bytes there, of which some codecs have other numbers in a second."""
    rate = 8000 if codec == "g726" else 44100
    source = make_film("film.avi", 50, pictures="mpeg4", sounds=[(codec, rate)])
    target = tmp_path / "results" / "film.avi.mp4"
    colorize_film(painter, str(source), target, ignore)
    assert seconds_of_sound(target) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("layout", ["stereo", "mono", "5.1"])
def test_aac_that_changes_its_channels_is_heard_to_the_end(make_film, painter, tmp_path, layout):
    parts = [
        film_with_channels(make_film, f"{name}.ts", name, "aac").read_bytes()
        for name in ("stereo", layout)
    ]
    source, target = tmp_path / "film.ts", tmp_path / "results" / "film.ts.mp4"
    source.write_bytes(b"".join(parts))
    done = colorize_film(painter, str(source), target, ignore)
    changes = {
        "mono": ["sound aac encoded anew"],
        "5.1": ["sound aac encoded anew, 5.1 mixed to stereo"],
    }
    assert [change for change in done.changes if "sound" in change] == changes.get(layout, [])
    assert seconds_of_sound(target) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize(
    ("codec", "byte", "change"),
    [("aac", 2, "sound aac encoded anew"), ("eac3", 4, "sound eac3 as aac")],
)
def test_a_damaged_header_of_sound_does_not_end_the_film(
    make_film, painter, tmp_path, codec, byte, change
):
    source = film_with_channels(make_film, "film.ts", "stereo", codec)
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as film:
        packets = [bytes(packet) for packet in film.demux(audio=0) if packet.size]
    header = data.index(packets[3][:20])
    data[header + byte] ^= 0x3C
    source.write_bytes(data)
    target = tmp_path / "results" / "film.ts.mp4"
    done = colorize_film(painter, str(source), target, ignore)
    assert done.frames == 25
    assert change in "; ".join(done.changes)
    assert seconds_of_sound(target) == pytest.approx(1, abs=0.15)


def section(table, number, content):
    """A section of a transport stream's table, with its CRC (ISO/IEC 13818-1, annex A)."""
    body = bytes((table,)) + (0xB000 | len(content) + 9).to_bytes(2, "big")
    body += number.to_bytes(2, "big") + bytes((0xC1, 0, 0)) + content
    crc = 0xFFFFFFFF
    for byte in body:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 * (crc >> 31)) & 0xFFFFFFFF
    return body + crc.to_bytes(4, "big")


def packet_of_table(number, rest, beginning=b""):
    """A packet with the rest of one section and the beginning of another, behind a filler."""
    payload = bytes((len(rest),)) + rest + beginning
    filler = 182 - len(payload)
    head = bytes((0x47, 0x40 | number >> 8, number & 255, 0x30))
    return head + bytes((filler + 1, 0)) + filler * b"\xff" + payload


def with_programmes(stream, programmes, lead):
    """A transport stream with other tables: number of a programme -> {number of a track: language}.

    `lead` bytes, such as the times of Blu-ray discs and cameras, precede each packet. Without them,
    the tables of all programmes stand back to back.
    """
    numbers = {programme: 0x1F00 + (lead and programme) for programme in programmes}
    entries = b"".join(
        programme.to_bytes(2, "big") + (0xE000 | number).to_bytes(2, "big")
        for programme, number in numbers.items()
    )
    sections = [(0, section(0, 7, entries))]
    for programme, tracks in programmes.items():
        described = b"".join(
            bytes((0x1B if track == 0x100 else 3,))
            + (0xE000 | track).to_bytes(2, "big")
            + b"\xf0\x06\x0a\x04"
            + language
            + b"\0"
            for track, language in tracks.items()
        )
        content = section(2, programme, b"\xff\xff\xf0\0" + described)
        sections.append((numbers[programme], content))
    tables = [packet_of_table(number, b"", content) for number, content in sections]
    if not lead:
        contents = [b"", *(content for _, content in sections[1:]), b""]
        tables[1:] = [
            packet_of_table(0x1F00, one[10:], other[:10])
            for one, other in itertools.pairwise(contents)
        ]
    packets = [stream[start : start + 188] for start in range(0, len(stream), 188)]
    changed = []
    for packet in packets:
        number = int.from_bytes(packet[1:3], "big") & 0x1FFF
        if number == 0:
            for table in tables:
                # A counter for each number.
                sent = sum(other[:3] == table[:3] for other in changed)
                changed.append(table[:3] + bytes((0x30 | sent & 15,)) + table[4:])
        elif number >= 0x100 and number != 0x1000:
            changed.append(packet)
    return b"".join(bytes(lead) + packet for packet in changed)


@pytest.mark.parametrize("lead", [0, 4])
def test_a_film_gets_the_sound_of_its_own_programme(make_film, painter, tmp_path, lead):
    stream = make_film("one.ts", 30, sounds=4 * [("mp2", 48000)]).read_bytes()
    source, target = tmp_path / "film.ts", tmp_path / "results" / "film.ts.mp4"
    radio, film = {0x101: b"fra"}, {0x103: b"ita", 0x100: b"und", 0x102: b"spa"}
    for programmes, languages, named in (
        ({5: radio, 9: film, 11: {0x104: b"nor"}}, ["ita", "spa"], True),
        # Sound that programmes share belongs to the film as well, and so does what no table names.
        ({5: radio, 9: film | radio, 11: radio}, ["fra", "ita", "spa", "und"], False),
    ):
        source.write_bytes(with_programmes(stream, programmes, lead))
        done = colorize_film(painter, str(source), target, ignore)
        assert done.frames == 30
        assert [change for change in done.changes if change.startswith("no ")] == (
            ["no sound of other programmes"] * named
        )
        with av.open(str(target)) as result:
            assert sorted(track.language for track in result.streams.audio) == languages
            assert disposition(result.streams.audio[0]) & DEFAULT
