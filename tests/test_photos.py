"""Which photos folders, globs, lists and names stand for, and in which places."""

import codecs
import errno
import glob
import os
import re
import shutil
import socket
import struct
import unicodedata
from pathlib import Path

import pytest
from encoding import encoded
from PIL import Image
from platforms import link, no_root, posix

from colorization.data.photo_files import Version, films_among, is_film, read_file
from colorization.data.photos import find_photos, find_places
from colorization.data.places import folder_name, in_shard, places_in_common_folder
from colorization.errors import UnreadablePhoto, UserError
from colorization.prediction.picture_names import picture_names, thumbnail_name
from colorization.prediction.results import add_finished


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
    # However a photo is named, it is taken once.
    twice = (folder, os.path.join(folder, "sub", ".."), os.path.relpath(folder), f"file://{folder}")
    assert names(*twice) == names(folder)
    assert names(f"{folder}/**/*.tif") == ["sub/c.tif"]
    # Shells that expand globs name folders as well, which are searched.
    assert names(f"{folder}/*") == ["a.png", "b.jpg", "sub/c.tif", "sub/no_extension"]
    assert names(f"{folder}/s*") == ["sub/c.tif", "sub/no_extension"]
    assert names(f"{folder}/b.jpg", folder) == ["b.jpg", "a.png", "sub/c.tif", "sub/no_extension"]
    (tmp_path / "photos" / "notes.txt").write_text("sub/c.tif\n\na.png\n")
    assert names(f"{folder}/notes.txt") == ["sub/c.tif", "a.png"]
    (tmp_path / "photos" / "notes.txt").write_text("gs://bucket/photo.jpg\n")
    assert find_photos([f"{folder}/notes.txt"]) == ["gs://bucket/photo.jpg"]


def test_addresses_that_file_managers_copy_are_understood(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("my photo.jpg", "Süd.jpg", "100%25.jpg", "a#b.jpg")]
    for path in paths:
        path.touch()
    listed = [path.as_uri() for path in paths[:2]] + [f"file://{path}" for path in paths[2:]]
    (tmp_path / "list.txt").write_text(" \n".join(listed))
    assert find_photos([str(tmp_path / "list.txt")]) == [f"file://{path}" for path in paths]
    assert find_photos(listed) == [f"file://{path}" for path in paths]
    hosts = [address.replace("file://", "file://localhost") for address in listed]
    assert find_photos(hosts) == [f"file://{path}" for path in paths]
    folder = tmp_path / "my photos"
    folder.mkdir()
    paths[0].rename(folder / "a.jpg")
    assert find_photos([folder.as_uri()]) == [f"file://{folder}/a.jpg"]
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    (tmp_path / "list.txt").write_text(f"{folder.as_uri()}\nfile://photos")
    found = find_photos([str(tmp_path / "list.txt")])
    assert found == [f"file://{folder}/a.jpg", "file://photos"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom", "utf-32"]
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


def test_a_list_with_a_byte_too_many_or_of_another_code_page_is_read(tmp_path, monkeypatch):
    listed = tmp_path / "list.txt"
    listed.write_bytes("a.jpg\r\nb.jpg\r\n".encode("utf-16") + b"\n")
    assert [os.path.basename(path) for path in find_photos([str(listed)])] == ["a.jpg", "b.jpg"]
    listed.write_bytes("größe.jpg\n".encode("cp1252"))
    # As on Windows, where names are no bytes.
    monkeypatch.setattr(
        "os.fsdecode", lambda line: os.fspath(line) if isinstance(line, str) else line.decode()
    )
    monkeypatch.setattr("locale.getpreferredencoding", lambda _: "cp1252")
    assert [os.path.basename(path) for path in find_photos([str(listed)])] == ["größe.jpg"]


@pytest.mark.parametrize(
    "data",
    [
        # As `cmd /u` and `find -print0` write lists, and as `copy` and `cat` put them together.
        "a b.jpg\r\nGröße.jpg\r\n".encode("utf-16-le"),
        "a b.jpg\nGröße.jpg\n".encode("utf-16-be"),
        "a b.jpg\0Größe.jpg\0".encode(),
        b"a b.jpg\r\n" + "Größe.jpg\r\n\x1a".encode(),
        "a b.jpg\n".encode("utf-8-sig") + "Größe.jpg\n".encode("utf-8-sig"),
        # In the code pages of Windows and DOS, and as Macs write ö.
        "a b.jpg\r\nGröße.jpg\r\n".encode("cp1252"),
        "a b.jpg\r\nGröße.jpg\r\n".encode("cp850"),
        "a b.jpg\nGro\u0308ße.jpg\n".encode(),
    ],
    ids=["utf-16", "utf-16-be", "zeros", "copy", "marks", "cp1252", "cp850", "mac"],
)
def test_lists_are_read_as_command_lines_write_them(tmp_path, data):
    for name in ("a b.jpg", "Größe.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "list.txt").write_bytes(data)
    found = [os.path.basename(path) for path in find_photos([str(tmp_path / "list.txt")])]
    # The disks of Macs take both ways to write ö for the same.
    assert [unicodedata.normalize("NFC", name) for name in found] == ["a b.jpg", "Größe.jpg"]
    assert all((tmp_path / name).exists() for name in found)


@pytest.mark.parametrize("kind", ["PNG", "PPM", "SGI", "PCX", "DDS", "QOI"])
def test_pictures_without_an_ending_are_found(tmp_path, kind):
    Image.new("RGB", (3, 2), "teal").save(tmp_path / "page", kind)
    (tmp_path / "notes").write_text("P is for pictures.")
    for source in (tmp_path, f"{tmp_path}/*"):
        assert find_photos([str(source)]) == [str(tmp_path / "page")]


def test_spaces_around_a_path_count_only_if_a_file_has_them(tmp_path):
    (tmp_path / "list.txt").write_text('a.jpg \n b.jpg\t\n \nsub folder/c.jpg\n"d.jpg" \n""')
    names = [os.path.relpath(path, tmp_path) for path in find_photos([str(tmp_path / "list.txt")])]
    expected = ("a.jpg", "b.jpg", "sub folder/c.jpg", "d.jpg")
    assert names == [os.path.normpath(name) for name in expected]
    if os.name != "nt":
        (tmp_path / "a.jpg ").write_bytes(encoded(Image.new("RGB", (2, 2)), "JPEG"))
        assert find_photos([str(tmp_path / "list.txt")])[0].endswith("a.jpg ")


@pytest.mark.parametrize(
    ("listed", "meant"),
    [
        ("sub folder\\a.jpg", "sub folder/a.jpg"),
        (".\\sub folder\\a.jpg", "sub folder/a.jpg"),
        ("'sub folder/a.jpg'", "sub folder/a.jpg"),
        ("\u202asub folder/a.jpg\xa0", "sub folder/a.jpg"),
        ("# my photos\n#EXTM3U\nsub folder/a.jpg\n#\n", "sub folder/a.jpg"),
        ("# 1.jpg", "# 1.jpg"),
        ('"\'89 beach.jpg" ', "'89 beach.jpg"),
        ("#missing.jpg", "#missing.jpg"),
        ("'missing.jpg'", "missing.jpg"),
    ],
)
def test_lists_of_other_systems_and_people_are_understood(tmp_path, listed, meant):
    (tmp_path / "sub folder").mkdir()
    for name in ("sub folder/a.jpg", "# 1.jpg", "'89 beach.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text(f"{listed}\n", "utf-8")
    found = [os.path.relpath(path, tmp_path) for path in find_photos([str(tmp_path / "list.txt")])]
    assert found == [os.path.normpath(meant)]


@pytest.mark.parametrize("name", ["l.csv", "l.m3u", "l"])
def test_a_list_of_another_ending_is_told_from_a_photo(tmp_path, name):
    (tmp_path / "a.jpg").write_bytes(encoded(Image.new("RGB", (4, 4)), "JPEG"))
    (tmp_path / name).write_text("#EXTM3U\nmissing.jpg\na.jpg\n" + "x.jpg\n" * 1000)
    with pytest.raises(UserError, match=rf"{name} is no photo but a list of files; .* in \.txt"):
        find_photos([str(tmp_path / name)])
    streamed = tmp_path / "l.m3u8"
    streamed.write_bytes((tmp_path / name).read_bytes())
    with pytest.raises(UserError, match=r"a list of files; make a film .* -c copy film\.mp4"):
        find_photos([str(streamed)])
    # Among several names it is passed over as all texts are, and texts of other kinds are no lists.
    assert len(find_photos([str(tmp_path / name), str(tmp_path / "a.jpg")])) == 1
    (tmp_path / name).write_text("Dear diary\nmissing.jpg\n")
    assert find_photos([str(tmp_path / name)]) == [str(tmp_path / name)]


def test_files_of_unknown_endings_count_by_their_first_bytes(tmp_path):
    picture = Image.new("RGB", (4, 4))
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "JPEG2000"):
        (tmp_path / f"{kind}.odd").write_bytes(encoded(picture, kind))
        (tmp_path / kind).write_bytes(encoded(picture, kind))
    (tmp_path / "text.odd").write_bytes(b"BM is what it begins with, and it goes on")
    assert len(find_photos([str(tmp_path)])) == 14


def test_endings_of_pictures_that_other_files_have_too(tmp_path):
    others = {
        "activity.fit": b"\x0e\x10\xd9\x07\0\0\0\0.FIT",
        "cloud.pcd": b"# .PCD v.7 - Point Cloud Data",
        "update.msp": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "template.vst": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "sound.raw": bytes(range(100)),
        "movie.dcr": b"XFIR\0\0\0\0",
        "colors.rgb": b"10 20 30\n",
        "notes.im": b"Dear diary",
        "readme.bw": b"",
        "font.pfm": b"\0\1\0\0",
        "car.srf": b"GARMIN BITMAP 01",
        "survey.gpr": b"\7\0",
        "r.iim": b"abc",
        "list.mef": b"# names",
        "sequence.orf": b">seq1",
    }
    for name, content in others.items():
        (tmp_path / name).write_bytes(content + bytes(3000 if content else 0))
    picture = Image.new("RGB", (4, 4))
    sound = {
        "a.fit": b"SIMPLE  =                    T",
        "b.rgb": encoded(picture, "SGI"),
        "c.vst": encoded(picture, "TGA"),
        "d.im": encoded(picture, "IM"),
        "e.msp": encoded(picture.convert("1"), "MSP"),
        "f.raw": b"IIU\0" + bytes(99),
        "g.dcr": encoded(picture, "TIFF"),
        "h.pcd": bytes(2048) + b"PCD_IPI",
        "i.pfm": b"Pf\n1 1\n-1.0\n\0\0\0\0",
        "j.gpr": encoded(picture, "TIFF"),
        "k.orf": b"IIRO" + bytes(99),
        "l.iim": b"\x1c\3\x3c",
    }
    for name, content in sound.items():
        (tmp_path / name).write_bytes(content)
    found = [os.path.basename(path) for path in find_photos([str(tmp_path)])]
    assert found == list(sound)
    # Named by itself, each is taken.
    path = str(tmp_path / "activity.fit")
    assert find_photos([path]) == [path]


@pytest.mark.parametrize("brands", ["MA1Bavifmif1miaf", "miafmif1heic", "mif2heicmiafMiHE"])
def test_heif_of_any_profile_is_no_film(tmp_path, brands):
    """Films of MP4 begin like it."""
    path = tmp_path / "photo.avif"
    names = f"{brands[:4]}\0\0\0\0{brands}".encode()
    path.write_bytes(struct.pack(">I", 8 + len(names)) + b"ftyp" + names + bytes(300))
    assert not is_film(str(path))
    film = path.read_bytes().replace(brands[:4].encode(), b"isom", 1)
    path.with_suffix(".gif").write_bytes(film)
    assert is_film(str(path.with_suffix(".gif")))


def test_pictures_with_endings_of_films_are_photos(tmp_path):
    jpeg = encoded(Image.new("RGB", (4, 4)), "JPEG")
    kinds = {"a.mov": False, "b.MP4": False, "c.mkv": False, "d.mjpg": True, "e.mp4": True}
    for name in kinds:
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypmp42" if name == "e.mp4" else jpeg)
    places = find_places([str(tmp_path)], films=True)
    assert {place: is_film(path) for path, place in places.items()} == kinds
    names = {
        places[path]: name
        for path, name in picture_names(places, films=films_among(places)).items()
    }
    assert names["a.mov"] == "a.mov.png"
    assert names["e.mp4"] == "e.mp4"


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
    # Nor do globs, or several names, give what links lead to more than once.
    (folder / "b" / "z.jpg").touch()
    (folder / "album.jpg").symlink_to(folder / "b" / "1.jpg")
    for sources in (["**/*.jpg"], ["", "b", "a", "*/*.jpg"]):
        found = find_places([os.path.join(folder, source) for source in sources])
        places = ["album.jpg", "b/1.jpg", "b/z.jpg", "gone.jpg", "other/c/2.jpg"]
        assert sorted(found.values()) == places


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
@no_root
def test_forbidden_files_say_so(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"content")
    (tmp_path / "photo.jpg").chmod(0)
    with pytest.raises(UnreadablePhoto, match="permission denied"):
        read_file(str(tmp_path / "photo.jpg"))


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
    assert places("p/19*") == ["1950/b.jpg", "1950/c/d.jpg"]
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


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    """As a photo is that cannot be read; otherwise what is in it would be lost without a word."""
    (tmp_path / "locked").mkdir()
    photo = Image.new("RGB", (2, 2))
    for place in ("a.png", "locked/b.png"):
        photo.save(tmp_path / place)

    def refusing(function):
        def call(path="."):
            if os.path.basename(os.fspath(path)) == "locked":
                raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
            return function(path)

        return call

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    places = find_places([str(tmp_path)])
    assert list(places.values()) == ["a.png", "locked"]
    with pytest.raises(UnreadablePhoto, match="permission denied"):
        read_file(str(tmp_path / "locked"))


def test_texts_and_music_with_endings_of_films_are_no_films(tmp_path):
    music = b"A song".ljust(1080, b"\0") + b"M.K." + bytes(100)
    packets = b"".join(b"\x47".ljust(188, bytes([number])) for number in range(8))
    for name, data in {
        "main.ts": "export const größe = 1;\n".encode(),
        "go.mod": b"module example.org/walk\n\ngo 1.22\n",
        "de.ts": "<?xml version='1.0'?>".encode("utf-16"),
        "song.mod": music,
        "film.ts": packets,
        "camera.mod": b"\0\0\1\xba" + bytes(2000),
        "broken.ts": bytes(300),
        "film.mp4": b"<html>404",
        "picture.ts": encoded(Image.new("RGB", (2, 2)), "PNG"),
    }.items():
        (tmp_path / name).write_bytes(data)
    found = [os.path.basename(path) for path in find_places([str(tmp_path)], films=True)]
    assert found == ["broken.ts", "camera.mod", "film.mp4", "film.ts", "picture.ts"]
    assert [os.path.basename(path) for path in find_photos([str(tmp_path)])] == ["picture.ts"]


@pytest.fixture
def results(tmp_path, photo_folder):
    """Photos among which lies a results folder, with strangers' files in it."""
    photos = photo_folder(2)
    out = photos / "year" / "coloured"
    for name in ("gray/year/colour0.png", "truth/colour1.png", "predicted/colour1.png"):
        (out / name).parent.mkdir(parents=True)
        shutil.copy(photos / "colour0.png", out / name)
        add_finished(out, name.partition("/")[2], "photo.png", Version(1, 2, "c0de"), {})
    small = out / "thumbnails" / "truth" / f"{thumbnail_name('colour1.png')}.png"
    small.parent.mkdir(parents=True)
    shutil.copy(photos / "colour0.png", small)
    for name in ("gray/mine.png", "thumbnails/mine.png"):
        shutil.copy(photos / "colour1.png", out / name)
    return out


def test_pictures_that_predict_has_made_are_no_photos(results, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    own = "photos/year/coloured"
    photos = ["photos/colour0.png", "photos/colour1.png"]
    strangers = [f"{own}/gray/mine.png", f"{own}/thumbnails/mine.png"]
    for source in ("photos", "photos/**/*.png"):
        caplog.clear()
        assert sorted(find_photos([source])) == sorted([*photos, *strangers])
        assert caplog.messages == ["left out: 4 pictures that --mode predict has made"]
    caplog.clear()
    assert sorted(find_photos(glob.glob("photos/**/*.png", recursive=True))) == sorted(
        [*photos, *strangers]
    )
    assert "passed over" in caplog.messages[0]


def test_pictures_that_predict_has_made_are_left_out_of_lists_anywhere(results, tmp_path):
    photos = results.parent.parent
    for number, folder in enumerate((tmp_path, photos, tmp_path / ("long" * 30))):
        folder.mkdir(exist_ok=True)
        listed = folder / f"{number}.txt"
        listed.write_text(os.path.relpath(photos, folder))
        assert len(find_photos([str(listed)])) == 4


def test_pictures_that_predict_has_made_are_taken_where_they_are_meant(results):
    predicted = str(results / "predicted" / "colour1.png")
    assert find_photos([predicted]) == [predicted]
    assert find_photos([str(results / "predicted")]) == [predicted]
    (results / "gray" / "mine.png").unlink()
    (results / "thumbnails" / "mine.png").unlink()
    with pytest.raises(UserError, match="but what --mode predict has made"):
        find_photos([str(results)])
    # Without a record, they are somebody's.
    (results / "finished.jsonl").unlink()
    assert len(find_photos([str(results)])) == 4
