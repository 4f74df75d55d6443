"""Films that hold pictures, but none that can be read right, are refused or named."""

import pytest

from colorization.errors import UnreadableFilm
from colorization.films.colorize_film import colorize_film

av = pytest.importorskip("av")

TRANSPORT_PACKET, SECTOR = 188, 2048


def ignore(total):
    pass


def scramble(path, first, last):
    """Marks the picture packets from one share of a transport stream to another, and fills them."""
    data, scrambled, count = bytearray(path.read_bytes()), 0, 0
    for start in range(0, len(data), TRANSPORT_PACKET):
        number = int.from_bytes(data[start + 1 : start + 3], "big") & 0x1FFF
        if number == 0x100:
            count += 1
            if first <= start / len(data) < last:
                scrambled += 1
                data[start + 3] |= 0x80
                data[start + 20 : start + TRANSPORT_PACKET] = bytes(range(168))
    path.write_bytes(data)
    return scrambled / count


@pytest.mark.parametrize("part", [(0.5, 1), (0, 0.5)])
def test_scrambled_parts_of_recordings_are_named(make_film, painter, tmp_path, part):
    source = make_film("film.ts", 30, pictures="mpeg2video", options={"g": "5"})
    share = scramble(source, *part)
    assert 0.3 < share < 0.7
    film = colorize_film(painter, str(source), tmp_path / "result.mp4", ignore)
    assert film.frames < 30
    assert f"{share:.1%} of its pictures missing (scrambled)" in film.changes


def test_recordings_that_are_scrambled_as_a_whole_are_refused(make_film, painter, tmp_path):
    source = make_film("film.ts", 10, pictures="mpeg2video")
    assert scramble(source, 0, 1) == 1
    with pytest.raises(UnreadableFilm, match="scrambled"):
        colorize_film(painter, str(source), tmp_path / "result.mp4", ignore)
    assert not (tmp_path / "result.mp4").exists()


def test_copies_of_protected_dvds_are_refused(make_film, painter, tmp_path):
    settings = {"pictures": "mpeg2video", "container": "dvd", "options": {"b": "2000000"}}
    source = make_film("film.vob", 20, size=(144, 176), **settings)
    assert colorize_film(painter, str(source), tmp_path / "sound.mp4", ignore).frames == 20
    data, protected = bytearray(source.read_bytes()), 0
    for sector in range(0, len(data), SECTOR):
        if data[sector + 14 : sector + 18] == b"\0\0\1\xe0" and sector // SECTOR % 3 == 0:
            protected += 1
            data[sector + 20] |= 0x10
            data[sector + 128 : sector + SECTOR] = bytes(range(256)) * 7 + bytes(128)
    assert protected
    source.write_bytes(data)
    with pytest.raises(UnreadableFilm, match="copy-protected"):
        colorize_film(painter, str(source), tmp_path / "result.mp4", ignore)


def test_unknown_and_protected_codecs_are_named(make_film, painter, tmp_path):
    source = make_film(frames=2)
    source.write_bytes(source.read_bytes().replace(b"avc1", b"drmi"))
    with pytest.raises(UnreadableFilm, match=r"of a codec \(drmi\) that FFmpeg cannot dec"):
        colorize_film(painter, str(source), tmp_path / "result.mp4", ignore)


@pytest.mark.parametrize(
    ("profile", "base_layer", "tag"),
    [(5, 0, b"hev1"), (None, None, b"dvh1"), (8, 1, b"hev1"), (10, 0, b"hev1"), (10, 1, b"hev1")],
)
def test_dolby_vision_with_colours_of_its_own_is_refused(
    make_film, painter, tmp_path, profile, base_layer, tag
):
    # With other pictures to wait for, libx265 gives so few of them random times of decoding.
    options = {"x265-params": "log-level=none:bframes=0"}
    source = make_film(frames=2, pictures="libx265", options=options)
    data = bytearray(source.read_bytes().replace(b"hev1", tag))
    if profile:
        # The index comes after the pictures, so that no offset changes.
        name = b"dvcC" if profile == 5 else b"dvvC"
        facts = bytes([1, 0, profile << 1, 0x1D, base_layer << 4])
        record = (32).to_bytes(4, "big") + name + facts + bytes(19)
        place = data.index(b"stts") - 4
        for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", tag):
            size = slice(data.index(box) - 4, data.index(box))
            data[size] = (int.from_bytes(data[size], "big") + len(record)).to_bytes(4, "big")
        data[place:place] = record
    source.write_bytes(data)
    if base_layer:
        assert colorize_film(painter, str(source), tmp_path / "result.mp4", ignore).frames == 2
        return
    with pytest.raises(UnreadableFilm, match=r"HDR \(Dolby Vision\)"):
        colorize_film(painter, str(source), tmp_path / "result.mp4", ignore)
