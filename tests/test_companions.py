"""Sidecars, thumbnails, backups and other files beside photos, which are no photos."""

import glob
import io
import logging
import os
from pathlib import Path

import pytest
from PIL import Image

from colorization.data.photos import find_photos, find_places
from colorization.errors import UserError

_buffer = io.BytesIO()
Image.new("RGB", (2, 2)).save(_buffer, "JPEG")
JPEG = _buffer.getvalue()

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
    "c.jpg_exiftool_tmp": "JPEG",
    "c.jpg.download": "JPEG",
    "c.jpg.filepart": "JPEG",
    "c.jpg.bak": "JPEG",
    "PRIVATE/M4ROOT/THMBNL/C0001T01.JPG": "JPEG",
    "iPhoto Library.photolibrary/Thumbnails/2020/a.jpg": "JPEG",
    "Aperture Library.aplibrary/Previews/2020/a.jpg": "JPEG",
    "AlbumArtSmall.jpg": "JPEG",
    "AlbumArt_{B5020207}_Large.jpg": "JPEG",
    "@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg": "JPEG",
    "@eaDir/a.jpg/SYNO_a.jpg": "JPEG",
    ".thumbnails/1.jpg": "JPEG",
    ".@__thumb/default1.jpg": "JPEG",
    "#recycle/old.jpg": "JPEG",
    "$RECYCLE.BIN/S-1-5/old.jpg": "JPEG",
    "__MACOSX/._a.jpg": "JPEG",
    "Cat Previews.lrdata/0/1.jpg": "JPEG",
    "CaptureOne/Cache/Thumbnails/a.jpg.cot": "JPEG",
    "lost+found/1.jpg": "JPEG",
    "Photos Library.photoslibrary/resources/derivatives/a.jpg": "JPEG",
    "DCIM/MISC/THM/100/DJI_0001.SCR": "JPEG",
    "MISC/THM/100/DJI_0002.jpg": "JPEG",
    "film.tbn": "JPEG",
    "film.trickplay/320 - 10x10/0.jpg": "JPEG",
    "folder.ico": "JPEG",
    "Family.ico": "JPEG",
    "arrow.cur": "JPEG",
    "~snapshot/daily.2020-01-01/a.jpg": "JPEG",
    "2021-05-06_overlay~zip-0B2E4A64.png": "JPEG",
    "2021-05-06_thumbnail~zip-0B2E4A64.jpg": "JPEG",
    "film.temp.mp4": "JPEG",
    "encoded-video/3f/film.mp4": "JPEG",
    "a.jpg.bak2": "JPEG",
    "hpothb07.tif": "JPEG",
    "_PAlbTN/104x78/a.jpg_104x78": "JPEG",
    "PhotoData/Thumbnails/V2/DCIM/100APPLE/IMG_0001.JPG/5005.JPG": "JPEG",
    "Android/data/org.example.camera/cache/1.jpg": "JPEG",
    ".trashed-1700000000-a.jpg": "JPEG",
    "CONTENTS/ICON/0001AB.BMP": "JPEG",
    "Lightroom Library.lrlibrary/0123/cache/previews/a/1.jpg": "JPEG",
    "iPhoto Library/Data/2010/a.jpg": "JPEG",
    "iPhoto Library.migratedphotolibrary/Thumbnails/a.jpg": "JPEG",
    "Catalog.cocatalog/Cache/Thumbnails/a.jpg": "JPEG",
    "files_trashbin/files/old.jpg.d1600000000": "JPEG",
    "files_versions/a.jpg.v1600000001": "JPEG",
    "appdata_oc1a2b3c4d5e/preview/1/256-256-crop.jpg": "JPEG",
    "thumbs/3f/0b2e4a64-5c1d-4a7e-9f3b-1a2b3c4d5e6f-preview.jpeg": "JPEG",
    "cache/0123456789abcdef0123456789abcdef01234567_500x500_center.jpg": "JPEG",
    "_gsdata_/_saved_/a.jpg": "JPEG",
    "trashbox/a.jpg": "JPEG",
    "SYNOPHOTO_THUMB_M.jpg": "JPEG",
    "a.jpg.!qB": "JPEG",
    "a.jpg.bc!": "JPEG",
    "a.jpg.xltd": "JPEG",
    "a.jpg.fdmdownload": "JPEG",
    "a.jpg.td": "JPEG",
    "a.jpg.sb-1a2b3c4d-AbCdEf": "JPEG",
    "d.jpg.download/d.jpg": "JPEG",
    "a.jpg.orig": "JPEG",
    "photo_1@01-01-2020_10-00-00_thumb.jpg": "JPEG",
    "a.jpg_thumb.jpg": "JPEG",
    "PRIVATE/M4ROOT/SUB/C0001S03.MP4": "JPEG",
    "LRV_20200101_120000_01_001.insv": "JPEG",
    "VIRB0001.GLV": "JPEG",
    "YDXJ0001_thm.mp4": "JPEG",
    "WP_20140102.jpg.tnl": "JPEG",
    "PXL_1.RAW-02.ORIGINAL.dng": "JPEG",
    "CONTENTS/PROXY/0001AB.MP4": "JPEG",
    "CONTENTS/AUDIO/0001AB00.MXF": "JPEG",
    "XDROOT/Sub/C0001S01.MXF": "JPEG",
    "@Transcode/240P/film.mp4": "JPEG",
    "Temporary Items/folders.501/a.jpg": "JPEG",
    "DSC2.NEF.thumb.jpg": "JPEG",
    "DSC2.thumb.jpg": "JPEG",
    "dsc2-thumb.jpg": "JPEG",
    "DSC2-preview3.jpg": "JPEG",
    "film.f137.mp4.part-Frag3": "JPEG",
    "a.jpg.dtapart": "JPEG",
    "[Originals]/a.jpg": "JPEG",
    "Corel Auto-Preserve/a.jpg": "JPEG",
    "Film.fcpbundle/Event/Transcoded Media/Proxy Media/a.mov": "JPEG",
    "Film.imovielibrary/Event/Render Files/a.mov": "JPEG",
    "_data/i/upload/2020/a-th.jpg": "JPEG",
    "recup_dir.1/t0012345.jpg": "JPEG",
    "bin/RECYCLED/Dc1.jpg": "JPEG",
    "bin/RECYCLED/INFO2": b"\5\0\0\0",
    "Network Recycle Bin 1/a.jpg": "JPEG",
    "Recycle Bin/a.jpg": "JPEG",
    "Talk.key/QuickLook/Thumbnail.jpg": "JPEG",
    "Talk.key/thumbs/st0.jpg": "JPEG",
    "Talk.key/preview.jpg": "JPEG",
    "Talk.key/preview-micro.jpg": "JPEG",
    "Letter.pages/QuickLook/Preview.jpg": "JPEG",
    "Costs.numbers/preview-web.jpg": "JPEG",
    "Costs.numbers/preview-micro.jpg": "JPEG",
    "Drawing.pxd/QuickLook/Thumbnail.webp": "JPEG",
    "RESOURCE.FRK/A.JPG": b"\0\0\1\0",
    # Windows has no such names.
    **({} if os.name == "nt" else {":2e_a.jpg": "JPEG"}),
    "uploads/beach-150x150.jpg": "JPEG",
    "uploads/beach-1024x68.JPG": "JPEG",
    "uploads/beach-scaled.jpg": "JPEG",
    "albums/x.thumb.jpg": "JPEG",
    "albums/x.sized.jpg": "JPEG",
    "albums/x.th.jpg": "JPEG",
    "albums/x.md.jpg": "JPEG",
    "uploads/medium2x/ab/cd/x.jpg": "JPEG",
    "uploads/thumb/ab/cd/x.jpg": "JPEG",
    "protected_media/square_thumbnails_small/x.webp": "JPEG",
    "content/images/size/w600/2024/05/x.jpg": "JPEG",
    "galleries/x/thumbnail/TN-a.jpg": "JPEG",
    "images/thumb/a/ab/Beach.jpg/120px-Beach.jpg": "JPEG",
    "images/thumb/a/ab/Plan.svg/120px-Plan.svg.png": "JPEG",
    "images/archive/a/ab/20240506070809!Beach.jpg": "JPEG",
    "files/styles/thumbnail/public/2024-05/x.jpg": "JPEG",
    "fileadmin/_processed_/a/b/csm_x_0123456789.jpg": "JPEG",
    "site/resources/_gen/images/x_hu1234_600x0_resize.jpg": "JPEG",
    "uploads/beach.jpg.webp": "JPEG",
    "Old.aplibrary/Database/Faces/x.jpg": "JPEG",
    ".rsync-partial/a.jpg": "JPEG",
    "albums/thumb_y.jpg": "JPEG",
    "albums/normal_y.jpg": "JPEG",
    "MicroMsg/0a/image2/ab/cd/th_0123456789abcdef0123456789abcdef": "JPEG",
    "MicroMsg/0a/image2/ab/cd/th_0123456789abcdef0123456789abcdefhd": "JPEG",
    "Android/data/com.miui.gallery/files/gallery_disk_cache/small_size/0a9f.0": "JPEG",
    "map.tif.ovr": "JPEG",
    "Generated Images.bundle/0/a.jpg": "JPEG",
    "2021-05-06_0b2e4a64-5c1d-4a7e-9f3b-1a2b3c4d5e6f-overlay.png": "JPEG",
}
# What must count as photos: their names or folders are like those of companions.
PHOTOS = [
    "a.jpg",
    "scan",
    "b.jpeg.7",
    "PXL_1.RAW-01.COVER.jpg",
    "PXL_2.RAW-02.ORIGINAL.dng",
    "PXL_3.PORTRAIT-02.ORIGINAL.jpg",
    "alone.jpg.orig",
    "a-edited.jpg",
    "a_thumb.jpg",
    "a-10x15.jpg",
    "alone-150x150.jpg",
    "alone-scaled.jpg",
    "alone.thumb.jpg",
    "alone.md.jpg",
    "medium/x.jpg",
    "size/w600/x.jpg",
    "thumbnail/a.jpg",
    "alone.sized.jpg",
    "alone.jpg.webp",
    "120px-a.jpg",
    "images/archive/x.jpg",
    "styles/baroque/x.jpg",
    "thumb_alone.jpg",
    "normal_alone.jpg",
    "normal_a.jpg",
    "th_1.jpg",
    "folder.jpg",
    "the_original.jpg",
    "Party.yes!",
    "Old/a.jpg",
    "cache/a.jpg",
    "Data/a.jpg",
    "Metadata/a.jpg",
    "MISC/a.jpg",
    "Originals/a.jpg",
    "Previews/a.jpg",
    "Thumbnails/a.jpg",
    "THM/a.jpg",
    "thumbs/a.jpg",
    "Trash/a.jpg",
    "Icon/a.jpg",
    "my.download/a.jpg",
    "Recycled/a.jpg",
    "CaptureOne/a.jpg",
    "PhotoData/a.jpg",
    "Android/data/org.example.camera/files/Pictures/a.jpg",
    "Catalog.cocatalog/Originals/a.jpg",
    "iPhoto Library/Originals/2010/a.jpg",
    "iPhoto Library/Modified/2010/a.jpg",
    "Lightroom Library.lrlibrary/0123/originals/2020/a.jpg",
    "Mobile Downloads.lrdata/a.jpg",
    "Photos Library.photoslibrary/originals/0/1.heic",
    "Photos Library.photoslibrary/Masters/2015/a.jpg",
    "0b2e4a64-5c1d-4a7e-9f3b-1a2b3c4d5e6f.jpg",
    "2021-05-06_0b2e4a64-5c1d-4a7e-9f3b-1a2b3c4d5e6f-main.jpg",
    "DSC2.NEF",
    "DSC2-edited.jpg",
    "a-thumb.jpg",
    "a-preview3.jpg",
    "Film.fcpbundle/Event/Original Media/a.mov",
    "Render Files/a.jpg",
    "PROXY/a.jpg",
    "AUDIO/a.jpg",
    "Temporary Items/a.jpg",
    "_data/a.jpg",
    "recup_dir.1/f0012345.jpg",
    "recup_dir.1/t0099999.jpg",
    "slides/f0012345.jpg",
    "slides/t0012345.jpg",
    "bin/RECYCLED/a.jpg",
    "Recycled/Dc1.jpg",
    "My Recycle Bin/a.jpg",
    "QuickLook/Thumbnail.jpg",
    "Talk.key/Data/a.jpg",
    "Letter.pages/preview.jpg",
    "preview.jpg",
    "preview-micro.jpg",
    "uploads/beach.jpg",
    "albums/x.jpg",
    "albums/y.jpg",
    "MicroMsg/0a/image2/ab/cd/abcd.jpg",
    "Android/data/com.miui.gallery/files/a.jpg",
]


def write(folder: Path, files: dict[str, bytes | str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(JPEG if content == "JPEG" else content)


def found(folder: Path, *sources: str, **settings) -> list[str]:
    """Paths of the photos found, below a folder, with forward slashes, sorted."""
    return sorted(
        Path(path).relative_to(folder).as_posix() for path in find_photos(sources, **settings)
    )


@pytest.fixture
def library(tmp_path):
    write(tmp_path / "library", {**COMPANIONS, **dict.fromkeys(PHOTOS, "JPEG")})
    return tmp_path / "library"


def test_companions_of_photos_are_no_photos(library):
    assert found(library, str(library)) == sorted(PHOTOS)


def test_wildcards_pass_over_companions_as_folders_do(library, caplog):
    assert found(library, f"{library}/**") == sorted(PHOTOS)
    assert found(library, os.path.join(library, "**", "*")) == sorted(PHOTOS)
    assert found(library, f"{library}/*") == sorted(PHOTOS)
    assert not caplog.records
    # Whoever names nothing but companions means them.
    assert found(library, f"{library}/*_original") == ["a.jpg_original"]
    # Folders that are named without a wildcard are meant.
    inside = f"{library}/@eaDir/*/*.jpg"
    assert found(library, inside) == ["@eaDir/a.jpg/SYNO_a.jpg"]


def test_lists_of_everything_pass_over_companions(library, caplog):
    """As `find` and `dir /s /b` write them: with folders and the list itself."""
    names = [path.relative_to(library).as_posix() for path in library.rglob("*")]
    listed = library / "list.txt"
    listed.write_text("\n".join(["list.txt", *names]), encoding="utf-8")
    assert found(library, str(listed)) == sorted(PHOTOS)
    assert "passed over" in caplog.text
    # Places do not change with the way in which photos are named.
    places = find_places([str(listed)])
    assert all(Path(path) == library / place for path, place in places.items())


def test_what_a_shell_makes_of_a_wildcard_is_judged_as_the_wildcard(library, caplog):
    write(
        library, {"notes.txt": b"Taken by grandma.\n\nIn 1950.", "empty.txt": b"", "d/a.md": b"#"}
    )
    names = glob.glob(f"{library}/*")
    assert found(library, *names) == sorted(PHOTOS)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "more; what is named alone is taken" in record.getMessage()


def test_what_is_named_alone_is_taken(tmp_path, caplog):
    names = ["a.jpg_original", "b[1].THM", "[b].jpg.part", "._c.jpg", "note.xmp"]
    write(tmp_path, dict.fromkeys([*names, "a.jpg", "b1.jpg", "@eaDir/a.jpg/1.jpg"], "JPEG"))
    for name in names:
        assert found(tmp_path, str(tmp_path / name)) == [name]
    assert found(tmp_path, str(tmp_path / "@eaDir")) == ["@eaDir/a.jpg/1.jpg"]
    (tmp_path / "list.txt").write_text("a.jpg_original\n")
    assert found(tmp_path, str(tmp_path / "list.txt")) == ["a.jpg_original"]
    # Whoever names nothing else means companions.
    several = [str(tmp_path / name) for name in ("a.jpg_original", "b[1].THM")]
    assert found(tmp_path, *several) == ["a.jpg_original", "b[1].THM"]
    assert found(tmp_path, str(tmp_path / "a.jpg_original"), str(tmp_path / "b*.jpg")) == [
        "a.jpg_original",
        "b1.jpg",
    ]
    assert not caplog.records


def test_nothing_is_passed_over_without_a_word(tmp_path, caplog):
    write(tmp_path, {"a.jpg": b"", "a.jpg.xmp": b"<x/>", ".hidden/b.jpg": b"", "e/note.md": b"#"})
    names = ["a.jpg", "a.jpg.xmp", ".hidden/b.jpg", "e"]
    # Hidden files that are named are meant.
    assert found(tmp_path, *(str(tmp_path / name) for name in names)) == [".hidden/b.jpg", "a.jpg"]
    assert "a.jpg.xmp, e;" in caplog.text
    # What is missing is for the reader to complain of.
    (tmp_path / "list.txt").write_text("a.jpg\nmissing\ngone.jpg\na.jpg.xmp\ngs://b/c.jpg\n")
    listed = [os.path.basename(path) for path in find_photos([str(tmp_path / "list.txt")])]
    assert listed == ["a.jpg", "missing", "gone.jpg", "c.jpg"]
    with pytest.raises(UserError, match=r"missing\.jpg does not exist"):
        find_photos([str(tmp_path / "a.jpg"), str(tmp_path / "missing.jpg")])
    (tmp_path / "list.txt").write_text("gone.jpg\n")
    assert found(tmp_path, *(str(tmp_path / name) for name in ("a.jpg", "list.txt"))) == [
        "a.jpg",
        "gone.jpg",
    ]
    # Folders, globs and lists are not what a shell makes of one wildcard.
    for others in (["e", "*.jpg"], ["*.jpg", "e"], ["e", "*.md"], [".hidden", "e"]):
        with pytest.raises(UserError, match=r"no photos in .*(e|\*\.md);"):
            find_photos([str(tmp_path / name) for name in others])


def test_a_raw_file_beside_its_picture_is_passed_over(tmp_path):
    names = ("1.NEF", "1.JPG", "2.nef", "3.CR2", "3.heic", "4.dng", "4.xmp", "5.tif", "5.arw")
    write(tmp_path, dict.fromkeys([*names, "6.ORI", "6.JPG", "A.cr2", "a.JPG"], b"x"))
    photos = ["1.JPG", "2.nef", "3.heic", "4.dng", "5.tif", "6.JPG", "a.JPG"]
    assert found(tmp_path, str(tmp_path)) == photos
    assert found(tmp_path, f"{tmp_path}/*") == photos
    assert found(tmp_path, *(str(tmp_path / name) for name in names)) == photos[:-2]
    # Named by itself, or by a wildcard that leaves out the picture, it is taken.
    assert found(tmp_path, str(tmp_path / "1.NEF")) == ["1.NEF"]
    assert found(tmp_path, f"{tmp_path}/*.NEF") == ["1.NEF"]
