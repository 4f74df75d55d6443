"""The gallery page, through `write_gallery` and the files it leaves."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import re
import shutil
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import tifffile
from PIL import Image
from platforms import any_names

from colorization.pages import gallery
from colorization.pages.gallery import write_gallery

HOSTILE_NAMES = [
    "<script>alert(1)<",
    '"><img src=x onerror=alert(1)>.jpg',
    "a b & c; 'single' \"double\" #1 100% 50%25 ?q=1.jpg",
    "%%{title} $title {entries}.png",
    "--><!-- ]]> &lt;.jpg",
    "été/日本 \u202egpj.png",
    "javascript:alert(1).jpg",
    "line\nbreak\ttab.jpg",
    "back\\slash.jpg",
]


class Page(HTMLParser):
    """The page as a browser sees it: the entries by name, and all other elements."""

    def __init__(self, path: Path):
        super().__init__()
        self.folder = path.parent
        self.text = path.read_text(encoding="utf-8")
        self.entries: dict[str, dict] = {}
        self.elements: list[tuple[str, dict]] = []
        self.contents: dict[str, str] = {}
        self.names: list[str] = []
        self._open: list[str] = []
        self._kind = ""
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.elements.append((tag, values))
        if tag not in ("meta", "link", "img", "input"):
            self._open.append(tag)
        if tag == "li":
            self._entry = {"keys": values, "links": {}, "images": {}, "text": ""}
        elif tag == "h2" and "title" in values:
            self.names.append(values["title"])
            self.entries[values["title"]] = self._entry
        elif tag == "figure":
            self._kind = values["class"]
        elif tag == "a" and self._kind:
            self._entry["links"][self._kind] = values["href"]
        elif tag == "img" and self._kind:
            self._entry["images"][self._kind] = values

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"
        if tag == "figure":
            self._kind = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.contents[self._open[-1]] = self.contents.get(self._open[-1], "") + data
        if "li" in self._open:
            self._entry["text"] += data

    def file(self, url: str) -> Path:
        """The file that a relative URL of the page leads to."""
        assert not re.match(r"[a-z]+:|/", url)
        return self.folder / os.fsdecode(
            unquote(re.split("[?#]", url)[0], "latin-1").encode("latin-1")
        )


def save(path: Path, size: tuple[int, int] = (12, 8), mode: str = "RGB", **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "PNG" if path.suffix == ".png" else "JPEG"
    Image.new(mode, size, 90).save(path, kind, **options)
    return path


def add(folder: Path, name: str, truth: bool = True) -> None:
    save(folder / "gray" / name, mode="L")
    save(folder / "predicted" / name)
    if truth:
        save(folder / "truth" / name)


def thumbnails(folder: Path) -> dict[Path, int]:
    files = [path for path in (folder / "thumbnails").rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files}


def test_every_picture_is_listed_once_in_natural_order(tmp_path):
    for name in ("photo 10.jpg", "photo 2.jpg", "holiday/beach.jpg", "holiday/beach.png", "b"):
        add(tmp_path, name)
    page = Page(write_gallery(tmp_path, "color", {}))
    assert page.names == [
        "b",
        "holiday/beach.jpg",
        "holiday/beach.png",
        "photo 2.jpg",
        "photo 10.jpg",
    ]
    for entry in page.entries.values():
        assert list(entry["links"]) == ["gray", "predicted", "truth"]


def test_files_that_are_no_pictures_are_left_out(tmp_path):
    add(tmp_path, "photo.jpg")
    for name in ("notes.txt", ".photo.jpg.tmp", ".hidden/photo.jpg", "Thumbs.db"):
        save(tmp_path / "predicted" / name)
    assert Page(write_gallery(tmp_path, "color", {})).names == ["photo.jpg"]


def test_films_are_shown_by_a_picture_of_theirs(tmp_path, make_film, monkeypatch, capsys):
    source = make_film()
    results = tmp_path / "results"
    (results / "predicted").mkdir(parents=True)
    source.rename(results / "predicted" / "film.mp4")
    (results / "predicted" / "damaged.mkv").write_bytes(b"no film")
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "av", None)
        assert Page(write_gallery(results, "color", {})).names == ["damaged.mkv", "film.mp4"]
    told = capsys.readouterr().err
    assert "2 films cannot be read for the page" in told
    assert "pip install -r requirements-video.txt" in told
    page = Page(write_gallery(results, "color", {}))
    assert page.names == ["damaged.mkv", "film.mp4"]
    assert page.entries["film.mp4"]["links"] == {"predicted": "predicted/film.mp4"}
    (poster,) = (results / "thumbnails" / "predicted").iterdir()
    with Image.open(poster) as picture:
        assert picture.width > picture.height
    assert "cannot be read" in page.entries["damaged.mkv"]["text"]
    assert not capsys.readouterr().err


def test_empty_folder_gives_an_empty_page(tmp_path):
    page = write_gallery(tmp_path / "new" / "results", "color", {})
    assert page == tmp_path / "new" / "results" / "index.html"
    assert "No pictures yet." in page.read_text()


def test_hostile_names_stay_names_and_their_links_resolve(tmp_path):
    for name in HOSTILE_NAMES:
        add(tmp_path, name)
    title = "</title><script>alert(1)</script> & %%{summary}"
    page = Page(write_gallery(tmp_path, title, {name: {"rmse": 1.0} for name in HOSTILE_NAMES}))
    assert sorted(page.names) == sorted(HOSTILE_NAMES)
    assert page.contents["h1"] == page.contents["title"] == title
    assert [tag for tag, _ in page.elements].count("script") == 1
    for name, entry in page.entries.items():
        assert {kind: page.file(url) for kind, url in entry["links"].items()} == {
            kind: tmp_path / kind / name for kind in ("gray", "predicted", "truth")
        }
        assert all(page.file(url).is_file() for url in entry["links"].values())
        assert all(page.file(image["src"]).is_file() for image in entry["images"].values())
        assert entry["images"]["gray"]["alt"] == f"gray: {name}"
    handlers = [key for _, values in page.elements for key in values if key.startswith("on")]
    assert not handlers


@any_names
def test_names_that_are_no_unicode(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    add(tmp_path, name)
    page = Page(write_gallery(tmp_path, "color", {name: {"rmse": 2.0}}))
    (entry,) = page.entries.values()
    assert page.file(entry["links"]["truth"]).is_file()
    assert Page(write_gallery(tmp_path, "color", {})).names == page.names


def test_page_needs_nothing_from_outside(tmp_path):
    add(tmp_path, "photo.jpg")
    page = Page(write_gallery(tmp_path, "color", {}))
    assert not re.search(r"(https?:)?//[\w.]+\.\w+|@import|url\((?!\"\$)", page.text)
    for tag, values in page.elements:
        assert tag != "link" or values["href"] == "data:,"
        assert tag != "script" or not values


def test_policy_allows_exactly_this_style_and_script(tmp_path):
    add(tmp_path, "photo.jpg")
    page = Page(write_gallery(tmp_path, "color", {}))
    (policy,) = [
        values["content"]
        for tag, values in page.elements
        if values.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for element in ("style", "script"):
        digest = hashlib.sha256(page.contents[element].encode()).digest()
        assert f"{element}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
        assert f"<{element}>" in page.text and f"{element}_hash" not in page.text
    assert not [values for _, values in page.elements if "style" in values]


def test_figures_are_shown_summed_up_and_sortable(tmp_path):
    for name in ("a.jpg", "b.jpg", "same.jpg"):
        add(tmp_path, name)
    add(tmp_path, "old.jpg", truth=False)
    page = Page(
        write_gallery(
            tmp_path,
            "color",
            {
                "a.jpg": {"rmse": 10.04, "psnr": 20.0},
                "b.jpg": {"rmse": 14.0, "psnr": 26.06},
                "same.jpg": {"rmse": 0.0, "psnr": float("inf")},
                "old.jpg": {},
            },
        )
    )
    keys = {
        name: (e["keys"].get("data-rmse"), e["keys"].get("data-psnr"))
        for name, e in page.entries.items()
    }
    assert keys["a.jpg"] == ("10.04", "20")
    assert keys["old.jpg"] == (None, None)
    assert float(keys["same.jpg"][1]) > 1000
    assert "RMSE 10.0 PSNR 20.0\xa0dB" in page.entries["a.jpg"]["text"]
    assert "∞" in page.entries["same.jpg"]["text"]
    assert "RMSE" not in page.entries["old.jpg"]["text"]
    summary = re.sub("<.*?>", "", re.search('class="summary">(.*?)</p>', page.text)[1])
    assert summary == "4 pictures · mean RMSE 8.0 · mean PSNR 23.0\xa0dB over the 3 with truth"


def test_missing_truth_or_gray_leaves_the_others(tmp_path):
    add(tmp_path, "old.jpg", truth=False)
    save(tmp_path / "predicted" / "alone.jpg")
    page = Page(write_gallery(tmp_path, "color", {}))
    assert list(page.entries["old.jpg"]["links"]) == ["gray", "predicted"]
    assert list(page.entries["alone.jpg"]["links"]) == ["predicted"]


def test_pictures_with_hints_stand_beside_those_without(tmp_path):
    add(tmp_path, "both.jpg")
    add(tmp_path, "plain.jpg")
    save(tmp_path / "unhinted" / "both.jpg")
    page = Page(write_gallery(tmp_path, "color", {}))
    both, plain = page.entries["both.jpg"], page.entries["plain.jpg"]
    assert list(both["links"]) == ["gray", "unhinted", "predicted", "truth"]
    assert "Without hints" in both["text"]
    assert list(plain["links"]) == ["gray", "predicted", "truth"]
    assert "Without hints" not in plain["text"]


def test_broken_picture_gets_a_placeholder(tmp_path):
    add(tmp_path, "good.jpg")
    add(tmp_path, "empty.jpg")
    add(tmp_path, "cut.jpg")
    (tmp_path / "predicted" / "empty.jpg").write_bytes(b"")
    save(tmp_path / "predicted" / "cut.jpg", (400, 400), quality=95)
    whole = (tmp_path / "predicted" / "cut.jpg").read_bytes()
    (tmp_path / "predicted" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    page = Page(write_gallery(tmp_path, "color", {}))
    for name in ("empty.jpg", "cut.jpg"):
        assert list(page.entries[name]["images"]) == ["gray", "truth"]
        assert list(page.entries[name]["links"]) == ["gray", "predicted", "truth"]
        assert "cannot be read" in page.entries[name]["text"]
    assert "cannot be read" not in page.entries["good.jpg"]["text"]


def test_thumbnails_are_made_once_and_again_when_the_picture_changes(tmp_path):
    add(tmp_path, "a.jpg")
    add(tmp_path, "b.jpg")
    first = Page(write_gallery(tmp_path, "color", {}))
    made = thumbnails(tmp_path)
    assert len(made) == 6
    identities = {path: path.stat().st_ino for path in made}
    assert Page(write_gallery(tmp_path, "color", {})).text == first.text
    assert thumbnails(tmp_path) == made
    assert {path: path.stat().st_ino for path in made} == identities

    # Clocks go wrong, and copies that are put back are older.
    for seconds, size in ((10, (8, 12)), (-3600, (9, 12))):
        changed = save(tmp_path / "predicted" / "a.jpg", size)
        other = time.time() + seconds
        os.utime(changed, (other, other))
        image = Page(write_gallery(tmp_path, "color", {})).entries["a.jpg"]["images"]["predicted"]
        assert (image["width"], image["height"]) == tuple(map(str, size))
        remade = thumbnails(tmp_path)
        assert [path.parent.name for path in made if remade[path] != made[path]] == ["predicted"]

    damaged = tmp_path / image["src"]
    damaged.write_bytes(b"not a picture")
    write_gallery(tmp_path, "color", {})
    assert Image.open(damaged).size == (9, 12)


def test_thumbnails_of_removed_pictures_go_and_foreign_files_stay(tmp_path, monkeypatch):
    add(tmp_path, "a.jpg")
    add(tmp_path, "b.jpg")
    write_gallery(tmp_path, "color", {})
    foreign = save(tmp_path / "thumbnails" / "gray" / "mine.jpg")
    (tmp_path / "predicted" / "b.jpg").unlink()
    with monkeypatch.context() as patch:
        # As on Windows, where somebody looks at it; it goes the next time.
        patch.setattr(Path, "unlink", refuse)
        write_gallery(tmp_path, "color", {})
    write_gallery(tmp_path, "color", {})
    assert len(thumbnails(tmp_path)) == 3 + 1
    assert foreign.exists()


def refuse(path, missing_ok=False):
    raise PermissionError(errno.EACCES, "used by another process", str(path))


def test_thumbnails_are_small_upright_and_keep_transparency(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    save(tmp_path / "predicted" / "turned.jpg", (1000, 500), exif=exif)
    save(tmp_path / "predicted" / "clear.png", (900, 600), "RGBA")
    save(tmp_path / "predicted" / "palette.png", (20, 10), "P")
    save(tmp_path / "predicted" / "deep.png", (700, 700), "I;16")
    save(tmp_path / "predicted" / "print.jpg", (640, 320), "CMYK")
    page = Page(write_gallery(tmp_path, "color", {}))
    opened = {}
    for name, entry in page.entries.items():
        image = entry["images"]["predicted"]
        opened[name] = Image.open(page.file(image["src"]))
        assert opened[name].size == (int(image["width"]), int(image["height"]))
        assert image["loading"] == "lazy"
    assert {name: (image.format, image.mode, image.size) for name, image in opened.items()} == {
        "turned.jpg": ("JPEG", "RGB", (160, 320)),
        "clear.png": ("PNG", "RGBA", (320, 213)),
        "palette.png": ("JPEG", "RGB", (20, 10)),
        "deep.png": ("JPEG", "L", (320, 320)),
        "print.jpg": ("JPEG", "RGB", (320, 160)),
    }


@pytest.mark.parametrize("byte_order", "<>")
def test_grays_of_16_bits_have_thumbnails_of_their_lightness(tmp_path, byte_order):
    gray = np.linspace(0, 65535, 300 * 200).reshape(300, 200).astype(f"{byte_order}u2")
    (tmp_path / "predicted").mkdir()
    tifffile.imwrite(tmp_path / "predicted" / "deep.tif", gray, byteorder=byte_order)
    page = Page(write_gallery(tmp_path, "color", {}))
    with Image.open(page.file(page.entries["deep.tif"]["images"]["predicted"]["src"])) as small:
        assert np.abs(np.asarray(small, np.float32) - gray / 257).max() < 3


def test_large_pictures_wait_for_memory(tmp_path, monkeypatch):
    for number in range(4):
        add(tmp_path, f"{number}.jpg")
    monkeypatch.setattr("colorization.prediction.memory_budget.total_memory", lambda: 1)
    monkeypatch.setattr(gallery, "cores", lambda: 4)
    make, two, met = gallery.thumbnail, threading.Barrier(2), []

    def noted(*arguments):
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(two.wait(timeout=0.2))
        return make(*arguments)

    monkeypatch.setattr(gallery, "thumbnail", noted)
    page = Page(write_gallery(tmp_path, "color", {}))
    assert len(page.entries) == 4
    assert two.broken and not met


@pytest.mark.parametrize("what", ["thumbnails", "page"])
def test_nothing_temporary_is_left_even_when_writing_fails(tmp_path, monkeypatch, what):
    add(tmp_path, "a.jpg")
    page = write_gallery(tmp_path, "first", {})
    before = page.read_bytes()
    add(tmp_path, "b.jpg")

    def full(self, data):
        is_thumbnail = "thumbnails" in self.parts
        fails = is_thumbnail == (what == "thumbnails")
        with open(self, "wb") as file:
            written = file.write(data[:100] if fails else data)
        if fails:
            raise OSError(28, "No space left on device")
        return written

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            write_gallery(tmp_path, "second", {})
    assert page.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {
        "gray", "predicted", "truth", "thumbnails", "index.html",
    }  # fmt: skip
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    assert page.stat().st_mode == (tmp_path / "predicted" / "a.jpg").stat().st_mode


def test_thousands_of_pictures(tmp_path):
    add(tmp_path, "0.jpg")
    for kind in ("gray", "predicted", "truth"):
        for number in range(1, 1000):
            shutil.copyfile(tmp_path / kind / "0.jpg", tmp_path / kind / f"{number}.jpg")
    scores = {f"{number}.jpg": {"rmse": number / 10, "psnr": 20.0} for number in range(1000)}
    page = Page(write_gallery(tmp_path, "color", scores))
    assert page.names == [f"{number}.jpg" for number in range(1000)]
    assert len(page.text) < 1000 * 1300 + 40_000


def add_unreadable(folder: Path, names: Iterable[str]) -> None:
    (folder / "predicted").mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / "predicted" / name).touch()


def test_of_many_pictures_the_first_ones_are_html_and_the_others_short_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "PORTION", 100)
    names = [f"{number}.jpg" for number in range(400)]
    add_unreadable(tmp_path, names[:100])
    small = Page(write_gallery(tmp_path, "color", {}))
    assert "JavaScript" not in small.text and "further" not in small.contents
    add_unreadable(tmp_path, names)
    scores = {name: {"rmse": number / 7, "psnr": 20.0} for number, name in enumerate(names)}
    page = Page(write_gallery(tmp_path, "color", scores))
    assert page.names[:-1] == names[:100]  # the last one is the form of further ones
    assert "only the first 100 pictures" in page.contents["p"]
    summary = re.sub("<.*?>", "", re.search('class="summary">(.*?)</p>', page.text)[1])
    assert summary == "400 pictures · mean RMSE 28.5 · mean PSNR 20.0\xa0dB"
    assert len(page.text) - len(small.text) < 300 * 80 + 100 * 200
    # The page of fewer pictures leaves nothing of the larger one.
    for name in names[100:]:
        (tmp_path / "predicted" / name).unlink()
    assert Page(write_gallery(tmp_path, "color", {})).text == small.text
    assert {path.name for path in tmp_path.iterdir()} == {"predicted", "index.html"}


def test_each_further_picture_takes_some_hundred_bytes_of_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "PORTION", 50)

    def peak() -> int:
        tracemalloc.start()
        write_gallery(tmp_path, "color", {})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    peaks = []
    for count in (100, 500):
        add_unreadable(tmp_path, (f"{number}.jpg" for number in range(count)))
        # What is loaded only once does not count.
        peaks.append(min(peak(), peak()))
    assert peaks[1] - peaks[0] < 400 * 800
