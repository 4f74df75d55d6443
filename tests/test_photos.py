import codecs
import io
import os
import re
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features
from platforms import link, peak_memory, posix

from colorization.data import decode as photos
from colorization.data.decode import open_photo
from colorization.data.photos import (
    find_photos,
    find_places,
    folder_name,
    in_shard,
    places_in_common_folder,
    read_file,
)
from colorization.errors import UnreadablePhoto, UserError


def encoded(picture: Image.Image, kind: str, **settings) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def test_folders_globs_files_and_lists_are_searched(tmp_path):
    jpeg = encoded(Image.new("RGB", (2, 2)), "JPEG")
    for name in (
        "b.jpg",
        "a.png",
        "sub/c.tif",
        "sub/no_extension",
        ".hidden.jpg",
        "notes.txt",
        "film.mp4",
        "Thumbs.db",
        ".git/d.jpg",
    ):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg if name == "sub/no_extension" else b"x")
    folder = str(tmp_path / "photos")

    def names(*sources):
        return [os.path.relpath(path, folder) for path in find_photos(sources)]

    assert names(folder) == ["a.png", "b.jpg", "sub/c.tif", "sub/no_extension"]
    # Content overrides what a name says.
    (tmp_path / "photos" / "film.mp4").write_bytes(jpeg)
    assert names(folder) == ["a.png", "b.jpg", "film.mp4", "sub/c.tif", "sub/no_extension"]
    (tmp_path / "photos" / "film.mp4").unlink()
    assert find_photos([f"file://{folder}"]) == [f"file://{path}" for path in find_photos([folder])]
    assert find_photos([f"file://{folder}/*.jpg"]) == [f"file://{folder}/b.jpg"]
    assert names(f"{folder}/*.jpg") == ["b.jpg"]
    assert names(f"{folder}/**/*.tif") == ["sub/c.tif"]
    assert names(f"{folder}/b.jpg", folder) == ["b.jpg", "a.png", "sub/c.tif", "sub/no_extension"]
    (tmp_path / "photos" / "notes.txt").write_text("sub/c.tif\n\na.png\n")
    assert names(f"{folder}/notes.txt") == ["sub/c.tif", "a.png"]
    (tmp_path / "photos" / "notes.txt").write_text("gs://bucket/photo.jpg\n")
    assert find_photos([f"{folder}/notes.txt"]) == ["gs://bucket/photo.jpg"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_are_read_as_editors_of_every_system_write_them(tmp_path, encoding, end):
    names = ["a.jpg", "sub/Größe 日本.jpg", "c d.png"]
    text = "".join(f"{name}{end}" for name in [*names, "", '"quoted.jpg"'])
    marks = {"utf-16-le-bom": codecs.BOM_UTF16_LE, "utf-16-be-bom": codecs.BOM_UTF16_BE}
    mark = marks.get(encoding, b"")
    data = mark + text.encode(encoding.removesuffix("-bom"))
    (tmp_path / "list.txt").write_bytes(data)
    found = [os.path.relpath(path, tmp_path) for path in find_photos([str(tmp_path / "list.txt")])]
    assert found == [os.path.normpath(name) for name in [*names, "quoted.jpg"]]


# Files that programs leave beside photos: name -> content.
COMPANIONS = {
    "a.jpg.xmp": b"<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>",
    "a.xmp": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
    "a.AAE": b"<?xml version='1.0'?><plist/>",
    "a.jpg.pp3": b"[Version]\n",
    "a.jpg.dop": b"Sidecar = {}\n",
    "a.jpg.on1": b"{}",
    "a.jpg.json": b"{}",
    "a.cos": b"<?xml version='1.0'?>",
    "a.nksc": b"<?xpacket begin=''?>",
    "Thumbs.db": b"\xd0\xcf\x11\xe0",
    "desktop.ini": b"[.ShellClassInfo]",
    ".DS_Store": b"\0\0\0\1Bud1",
    "._a.jpg": b"\0\5\x16\7",
    ".picasa.ini": b"[a.jpg]",
    "Picasa.ini": b"[a.jpg]",
    "ZbThumbnail.info": b"x",
    "album.dat": b"\0\1\2",
    "NC_FLLST.DAT": b"\0\1\2",
    "digikam4.db": b"SQLite format 3",
    "Catalog.lrcat": b"SQLite format 3",
    "checksums.md5": b"d41d8cd98f00b204e9800998ecf8427e  a.jpg",
    "README": b"photos of grandma",
    "Makefile": b"all:",
    "empty": b"",
    "a.wav": b"RIFF\0\0\0\0WAVE",
    "a.pdf": b"%PDF-1.4",
    "a.zip": b"PK\3\4",
    "DSC1.THM": "JPEG",
    "film.LRV": b"\0\0\0\x18ftypmp42",
    "a.jpg_original": "JPEG",
    "a.jpg~": "JPEG",
    "b.jpg.part": "JPEG",
    "b.jpg.crdownload": "JPEG",
    "AlbumArtSmall.jpg": "JPEG",
    "AlbumArt_{B5020207}_Large.jpg": "JPEG",
    "@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg": "JPEG",
    ".thumbnails/1.jpg": "JPEG",
    ".@__thumb/default1.jpg": "JPEG",
    "#recycle/old.jpg": "JPEG",
    "$RECYCLE.BIN/S-1-5/old.jpg": "JPEG",
    "__MACOSX/._a.jpg": "JPEG",
    "Cat Previews.lrdata/0/1.jpg": "JPEG",
    "CaptureOne/Cache/Thumbnails/a.jpg.cot": "JPEG",
    "lost+found/1.jpg": "JPEG",
    "Photos Library.photoslibrary/resources/derivatives/a.jpg": "JPEG",
}


def test_companions_of_photos_are_no_photos(tmp_path):
    jpeg = encoded(Image.new("RGB", (2, 2)), "JPEG")
    photos = ["a.jpg", "Photos Library.photoslibrary/originals/0/1.heic", "scan", "b.jpeg.7"]
    for name, content in {**COMPANIONS, **dict.fromkeys(photos, "JPEG")}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg if content == "JPEG" else content)
    found = {os.path.relpath(path, tmp_path) for path in find_photos([str(tmp_path)])}
    assert found == {os.path.normpath(name) for name in photos}


def test_a_raw_file_beside_its_picture_is_passed_over(tmp_path):
    for name in ("1.NEF", "1.JPG", "2.nef", "3.CR2", "3.heic", "4.dng", "4.xmp", "5.tif", "5.arw"):
        (tmp_path / name).write_bytes(b"x")
    found = [os.path.basename(path) for path in find_photos([str(tmp_path)])]
    assert found == ["1.JPG", "2.nef", "3.heic", "4.dng", "5.tif"]
    # Named by itself, it is taken.
    assert find_photos([str(tmp_path / "1.NEF")]) == [str(tmp_path / "1.NEF")]


def test_files_of_unknown_endings_count_by_their_first_bytes(tmp_path):
    picture = Image.new("RGB", (4, 4))
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "JPEG2000"):
        (tmp_path / f"{kind}.odd").write_bytes(encoded(picture, kind))
        (tmp_path / kind).write_bytes(encoded(picture, kind))
    (tmp_path / "text.odd").write_bytes(b"BM is what it begins with, and it goes on")
    assert len(find_photos([str(tmp_path)])) == 14


def test_linked_folders_are_searched_once_and_loops_end(tmp_path):
    for name in ("photos/b/1.jpg", "elsewhere/c/2.jpg", "elsewhere/.hidden/3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folder = tmp_path / "photos"
    for name, target in {
        "photos/a": "photos/b",  # is searched as b
        "photos/other": "elsewhere",
        "photos/.hidden": "elsewhere/.hidden",
        "photos/b/up": "photos",
        "elsewhere/c/back": "photos/b",
        "elsewhere/c/out": "elsewhere",
        "photos/gone.jpg": "nowhere",
    }.items():
        link(tmp_path / name, tmp_path / target)
    found = [Path(path).relative_to(folder).as_posix() for path in find_photos([str(folder)])]
    assert found == ["gone.jpg", "b/1.jpg", "other/c/2.jpg"]
    assert find_photos([str(folder / "a")])[0] == str(folder / "a" / "1.jpg")


@pytest.mark.parametrize("source", ["foo://bucket/x.jpg", "foo://bucket/*.jpg", "foo://list.txt"])
def test_addresses_that_cannot_be_opened_are_refused(source):
    with pytest.raises(UserError, match=rf"cannot open {re.escape(source)} \(.*'foo'"):
        find_photos([source])


@pytest.mark.parametrize("source", ["missing", "missing/*.jpg", "empty", "only_text"])
def test_sources_without_photos_are_refused(tmp_path, source):
    (tmp_path / "empty").mkdir()
    (tmp_path / "only_text").mkdir()
    (tmp_path / "only_text" / "a.json").write_text("{}")
    with pytest.raises(UserError, match=source.replace("*", r"\*")):
        find_photos([str(tmp_path / source)])


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG", "PPM"])
def test_every_kind_is_opened(colourful, kind):
    picture = Image.fromarray(colourful(40, 30))
    settings = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    opened = open_photo(encoded(picture, kind, **settings.get(kind, {})))
    assert opened.mode == "RGB"
    # JPEG rounds, GIF has 256 colours.
    tolerance = {"JPEG": 4, "GIF": 64}.get(kind, 0)
    difference = np.abs(np.asarray(opened, int) - np.asarray(picture, int))
    assert difference.max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured(colourful, orientation):
    upright = colourful(40, 30)
    # Turns that undo each orientation (Exif 2.3, tag 274).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    np.testing.assert_array_equal(open_photo(data), upright)


def test_transparent_parts_are_over_white():
    picture = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    expected = [[[200, 0, 0], [255, 255, 255]]]
    np.testing.assert_array_equal(open_photo(encoded(picture, "PNG")), expected)
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 0, 0, 1, 2, 3])
    palette.putpixel((1, 0), 1)
    np.testing.assert_array_equal(open_photo(encoded(palette, "PNG", transparency=1)), expected)


def test_16_bit_gray_is_scaled():
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    opened = np.asarray(open_photo(encoded(Image.fromarray(values), "PNG")))
    np.testing.assert_array_equal(opened[0, :, 0], [0, 1, 128, 255])
    transparent = encoded(Image.fromarray(values), "PNG", transparency=128 * 257)
    np.testing.assert_array_equal(np.asarray(open_photo(transparent))[0, :, 0], [0, 1, 255, 255])
    floats = Image.fromarray(np.array([[0, 0.5, 1, np.nan]], np.float32))
    opened = np.asarray(open_photo(encoded(floats, "TIFF")))
    np.testing.assert_array_equal(opened[0, :, 1], [0, 128, 255, 0])


def test_32_bit_gray_is_scaled():
    """White is the end of the type's range, unless the picture would be black all over then."""
    values = np.array([[0, 2**29, 2**30, 2**31 - 1]], np.int32)
    opened = np.asarray(open_photo(encoded(Image.fromarray(values), "TIFF")))
    np.testing.assert_array_equal(opened[0, :, 0], [0, 64, 128, 255])
    values = np.array([[0, 128 * 257, 65535]], np.int32)
    opened = np.asarray(open_photo(encoded(Image.fromarray(values), "TIFF")))
    np.testing.assert_array_equal(opened[0, :, 0], [0, 128, 255])


def test_cmyk_is_converted():
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for kind in ("JPEG", "TIFF"):
        pixel = np.asarray(open_photo(encoded(cmyk, kind)), int)[4, 4]
        assert np.abs(pixel - [255, 0, 0]).max() <= 3


def test_colour_profiles_are_applied(colourful, swapped_profile):
    picture = Image.fromarray(colourful(20, 20))
    opened = open_photo(encoded(picture, "PNG", icc_profile=swapped_profile))
    difference = np.asarray(opened, int) - np.asarray(picture, int)[..., ::-1]
    assert np.abs(difference).max() <= 2
    transparent = picture.copy()
    transparent.putalpha(Image.linear_gradient("L").resize(picture.size))
    opened = open_photo(encoded(transparent, "PNG", icc_profile=swapped_profile))
    unprofiled = open_photo(encoded(transparent, "PNG"))
    difference = np.asarray(opened, int) - np.asarray(unprofiled, int)[..., ::-1]
    assert np.abs(difference).max() <= 2
    nonsense = open_photo(encoded(picture, "PNG", icc_profile=b"nonsense"))
    np.testing.assert_array_equal(nonsense, picture)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_opened(colourful):
    picture = Image.fromarray(colourful(64, 48))
    opened = open_photo(encoded(picture, "AVIF", quality=95))
    assert np.abs(np.asarray(opened, int) - np.asarray(picture, int)).mean() < 4


def png(width: int, height: int, color_type: int, depth: int, data: bytes) -> bytes:
    """A PNG by the book (ISO/IEC 15948); Pillow writes no 16-bit colour."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def test_16_bit_colour_is_scaled():
    """Within one step of 8 bits: Pillow keeps the upper half."""
    values = np.array([[[0, 128 * 257, 65535], [10000, 20000, 30000]]], np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    opened = np.asarray(open_photo(png(2, 1, 2, 16, rows)))
    assert np.abs(opened - values / 257).max() <= 1


@pytest.mark.parametrize(("width", "height"), [(6000, 20), (20, 6000), (5000, 300), (1, 1)])
def test_wide_tall_and_small_photos_keep_their_mean(width, height):
    """Fine stripes, which careless shrinking turns into others."""
    stripes = np.zeros([height, width, 3], np.uint8)
    stripes[::2, :, 0] = 200
    stripes[:, ::2, 1] = 200
    opened = np.asarray(open_photo(encoded(Image.fromarray(stripes), "PNG"), draft_size=256))
    rows, columns, _ = opened.shape
    for before, after in ((height, rows), (width, columns)):
        assert after == before if before < 512 else 256 <= after < 512
    middle = opened[1:-1, 1:-1].reshape(-1, 3)
    if width > 1:
        channel = 1 if columns < width else 0
        assert np.abs(middle[:, channel].astype(int) - 100).max() <= 20


def test_damaged_files_say_why(tmp_path, colourful):
    whole = encoded(Image.fromarray(colourful(64, 64)), "JPEG")
    for data, reason in (
        (b"Dear diary", "not a picture"),
        (whole[: len(whole) // 2], "damaged"),
        (encoded(Image.fromarray(colourful()), "PNG")[:2000], "damaged"),
    ):
        with pytest.raises(UnreadablePhoto, match=reason):
            open_photo(data)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UnreadablePhoto, match="empty"):
        read_file(str(tmp_path / "empty.jpg"))
    with pytest.raises(UnreadablePhoto, match="no such file"):
        read_file(str(tmp_path / "missing.jpg"))


def test_lying_headers_are_refused_before_decoding(monkeypatch, colourful):
    data = bytearray(encoded(Image.fromarray(colourful(16, 16)), "BMP"))
    data[18:26] = (50_000).to_bytes(4, "little") * 2
    with pytest.raises(UnreadablePhoto, match="above the limit"):
        open_photo(bytes(data))
    monkeypatch.setattr(photos, "MAX_PIXELS", 99)
    with pytest.raises(UnreadablePhoto, match="10 x 10"):
        open_photo(encoded(Image.new("RGB", (10, 10)), "PNG"))


def test_lying_headers_cost_no_memory():
    """Up to the limit a header is believed, but the pixels have to come."""
    lies = bytearray(encoded(Image.new("RGB", (8, 8)), "JPEG"))
    size = lies.index(b"\xff\xc0") + 5
    lies[size : size + 4] = b"\xff\xff\xff\xff"
    before = peak_memory()
    for data in (bytes(lies), png(60_000, 60_000, 2, 8, b"\0"), png(2**31 - 1, 1, 2, 8, b"\0")):
        with pytest.raises(UnreadablePhoto, match="above the limit"):
            open_photo(data)
    # The smallest of these claims is ten gigabytes.
    assert peak_memory() - before < 100_000_000


@posix
def test_any_path_that_gfile_opens_is_read(tmp_path):
    (tmp_path / "photo").write_bytes(b"content")
    assert read_file(f"file://{tmp_path}/photo") == b"content"
    with pytest.raises(UnreadablePhoto):
        read_file(f"file://{tmp_path}/missing")
    with pytest.raises(UnreadablePhoto, match="directory"):
        read_file(str(tmp_path))


@posix
def test_pipes_sockets_and_devices_are_passed_over(tmp_path):
    """Whatever their names say; none of them is waited for."""
    for name in ("pipe.jpg", "pipe.mp4", "list.txt"):
        os.mkfifo(tmp_path / name)
    link(tmp_path / "device.jpg", "/dev/zero")
    (tmp_path / "photo.jpg").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
        found = [os.path.basename(path) for path in find_photos([str(tmp_path)])]
        assert found == ["device.jpg", "photo.jpg", "pipe.jpg", "socket.jpg"]
        for name in ("device.jpg", "pipe.jpg", "socket.jpg"):
            with pytest.raises(UnreadablePhoto, match=r"^not a file$"):
                read_file(str(tmp_path / name))
    with pytest.raises(UserError, match=r"list.txt \(not a file\)"):
        find_photos([str(tmp_path / "list.txt")])


@posix
@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may read everything")
def test_forbidden_files_say_so(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"content")
    (tmp_path / "photo.jpg").chmod(0)
    with pytest.raises(UnreadablePhoto, match="permission denied"):
        read_file(str(tmp_path / "photo.jpg"))


def test_draft_keeps_every_side_large_enough():
    data = encoded(Image.new("RGB", (2000, 1200), "teal"), "JPEG")
    width, height = open_photo(data, draft_size=256).size
    assert (width, height) == (500, 300)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.jpg", "a"),
        ("x/c/d e.jpg", "c"),
        ("/c/a/b/c.jpg", "b"),
        ("alone.jpg", ""),
        ("gs://bucket/a/b.jpg", "a"),
        ("a\\b\\c.jpg", "b"),
        ("C:\\photos\\A\\c.jpg", "A"),
        ("C:/photos/A/c.jpg", "A"),
        ("p/\udcff/a.jpg", "\udcff"),
    ],
)
def test_the_folder_that_a_photo_lies_in(path, name):
    assert folder_name(path) == name


def test_places_depend_on_the_source_alone(tmp_path, monkeypatch):
    folder = tmp_path / "p"
    for name in ("a.jpg", "1950/b.jpg", "1950/c/d.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    (tmp_path / "elsewhere.jpg").write_bytes(b"")
    lines = [
        "1950/b.jpg",
        "./a.jpg",
        str(folder / "1950/c/d.jpg"),
        "../elsewhere.jpg",
        "gs://b/x.jpg",
    ]
    (folder / "list.txt").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)

    def places(*sources):
        return list(find_places(map(str, sources)).values())

    everything = ["a.jpg", "1950/b.jpg", "1950/c/d.jpg"]
    for source in ("p", "p/", "./p/../p", folder, f"file://{folder}"):
        assert places(source) == everything
    assert places("p/1950") == ["b.jpg", "c/d.jpg"]
    assert places("p/1950/c/d.jpg") == ["d.jpg"]
    assert places("p/*/*.jpg") == places(f"file://{folder}/*/*.jpg") == ["1950/b.jpg"]
    assert places("p/**/d.jpg") == ["1950/c/d.jpg"]
    outside = str(tmp_path / "elsewhere.jpg").lstrip("/")
    assert places("p/list.txt") == ["1950/b.jpg", "a.jpg", "1950/c/d.jpg", outside, "b/x.jpg"]
    # The first of several sources that names a photo decides.
    assert places("p/1950", "p") == ["b.jpg", "c/d.jpg", "a.jpg"]
    monkeypatch.chdir(folder / "1950")
    assert places(".") == ["b.jpg", "c/d.jpg"]
    assert places("*.jpg", "c") == ["b.jpg", "d.jpg"]


def test_places_in_a_common_folder():
    paths = ["/p/1950/a.jpg", "/p/b.jpg", "file:///p/1950/c.jpg"]
    assert list(places_in_common_folder(paths).values()) == ["1950/a.jpg", "b.jpg", "1950/c.jpg"]
    assert list(places_in_common_folder(paths[:1]).values()) == ["a.jpg"]
    assert list(places_in_common_folder(["gs://b/x/a.jpg", "gs://b/y/a.jpg"]).values()) == [
        "x/a.jpg",
        "y/a.jpg",
    ]


def test_photos_stay_in_their_shard():
    places = [f"{folder}/{number}.jpg" for folder in ("a", "b") for number in range(500)]
    shards = [[place for place in places if in_shard(place, (i, 4))] for i in range(4)]
    assert sorted(place for shard in shards for place in shard) == sorted(places)
    # Binomial, 1000 times a quarter: five standard deviations.
    assert all(180 < len(shard) < 320 for shard in shards)
    # The numbers are part of the contract: another version goes on with the same shards.
    assert [in_shard("1950/beach.jpg", (i, 5)) for i in range(5)].index(True) == 4
