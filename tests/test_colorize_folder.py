"""The names that pictures get, and a folder of photos coloured by threads."""

import contextlib
import errno
import itertools
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
from PIL import Image
from platforms import any_names
from predicting import read_finished
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio

from colorization import machine
from colorization.data.photo_files import Version, file_version
from colorization.data.photos import find_photos
from colorization.data.places import places_in_common_folder
from colorization.data.records import Finished
from colorization.data.report import Report
from colorization.errors import UserError
from colorization.files import atomic_write, remove_left_behind
from colorization.prediction.colorize_folder import colorize_photos
from colorization.prediction.picture_names import picture_names, thumbnail_name
from colorization.prediction.portable_names import comparison_key
from colorization.prediction.results import add_finished, claimed, without_results


class MemoryStick:
    """Refuses what FAT, exFAT and NTFS refuse as names of new files and folders."""

    def __init__(self, root, monkeypatch):
        self._root = str(root)
        for name, place in {"replace": 1, "mkdir": 0}.items():
            real = getattr(os, name)

            def checked(*arguments, real=real, place=place, **settings):
                if self.refuses(arguments[place]):
                    raise OSError(errno.EINVAL, "invalid argument", str(arguments[place]))
                return real(*arguments, **settings)

            monkeypatch.setattr(os, name, checked)

    def refuses(self, path):
        root, _, name = str(path).partition(f"{self._root}{os.sep}results{os.sep}")
        parts = name.split(os.sep) if not root else []
        return any(
            set(part) & set('<>:"|?*\\')
            or not part.isprintable()
            or part.endswith((" ", "."))
            or PureWindowsPath(part).is_reserved()
            for part in parts
        )


@pytest.fixture
def memory_stick(tmp_path, monkeypatch):
    return MemoryStick(tmp_path, monkeypatch)


def colour(colorizer, photos, output, workers=2, format=None, report=None):
    paths = [str(path) for path in photos]
    done = []
    scores = colorize_photos(
        colorizer,
        picture_names(places_in_common_folder(paths), format),
        output,
        report or Report(len(paths)),
        lambda: done.append(1),
        workers=workers,
        quality=95,
    )
    assert len(done) == len(paths)
    return scores


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_names_are_places():
    places = ["a.jpg", "x/a.jpg", "x/b.PNG", "x/c.raw", "d", "e.tif"]
    names = ["a.jpg", "x/a.jpg", "x/b.PNG", "x/c.raw.png", "d.png", "e.tif"]
    assert list(picture_names({f"/photos/{place}": place for place in places}).values()) == names
    # Each the same without the others.
    for place, name in zip(places, names, strict=True):
        assert picture_names({"/elsewhere": place}) == {"/elsewhere": name}
    assert picture_names({"/1": "x/a.jpg", "/2": "x/a.png"}, "png") == {
        "/1": "x/a.jpg.png",
        "/2": "x/a.png",
    }


@pytest.mark.parametrize("format", [None, "jpeg", "png", "webp", "tiff"])
def test_names_never_collide(format):
    names = ["a.jpg", "a.png", "A.JPEG", "a.gif", "a.jpg.png", "a", "a.gif.png", "A.jpg"]
    found = picture_names({f"/photos/{name}": name for name in names}, format)
    assert len({name.casefold() for name in found.values()}) == len(names)
    assert list(found) == [f"/photos/{name}" for name in names]
    if format == "png":
        assert found["/photos/a.png"] == "a.png"


def test_no_picture_has_the_name_of_a_folder():
    places = {path: path for path in ("scan.gif", "scan.gif.png/in.jpg", "a.jpg/b/c.png", "a.jpg")}
    assert list(picture_names(places).values()) == [
        "scan.gif (2).png",
        "scan.gif.png/in.jpg",
        "a.jpg/b/c.png",
        "a (2).jpg",
    ]


def test_names_of_other_photos_pictures_are_not_taken(tmp_path):
    version = Version(1, 2, "c0de")
    finished = {
        name: Finished(photo, version, {}, "", "")
        for name, photo in (("a.jpg", "/x/a.jpg"), ("B.png", "/x/B.png"), ("a (2).jpg", "/y/a.jpg"))
    }
    wanted = {"/z/a.jpg": "a (3).jpg", "/z/b.png": "b (2).png", "/z/b.gif": "b.gif.png"}
    assert picture_names({path: path[3:] for path in wanted}, known=finished) == wanted
    for photo in ("/x/a.jpg", "file:///x/a.jpg", "/y/a.jpg"):
        (name,) = picture_names({photo: "a.jpg"}, known=finished).values()
        assert finished[name].photo == photo.removeprefix("file://")


def test_names_of_a_thousand_photos_of_one_name_take_few_tries(monkeypatch):
    tries = []

    def noted(name):
        tries.append(name)
        return comparison_key(name)

    monkeypatch.setattr(sys.modules[picture_names.__module__], "comparison_key", noted)
    numbers = range(2, 1001)
    wanted = {"/1/a.jpg": "a.jpg", **{f"/{n}/a.jpg": f"a ({n}).jpg" for n in numbers}}
    assert picture_names(dict.fromkeys(wanted, "a.jpg")) == wanted
    assert len(tries) < 10_000


def test_photos_of_one_name_find_their_pictures_in_any_order():
    version = Version(1, 2, "c0de")
    wanted = {"/1/a.jpg": "a.jpg", "/2/a.jpg": "a (2).jpg", "/3/a.jpg": "a (3).jpg"}
    known = {name: Finished(path, version, {}, "", "") for path, name in wanted.items()}
    for order in itertools.permutations(["/new/a.jpg", *wanted]):
        expected = {**wanted, "/new/a.jpg": "a (4).jpg"}
        assert picture_names(dict.fromkeys(order, "a.jpg"), known=known) == expected
    # The picture of a photo that is no longer there stays its own.
    rest = {path: wanted[path] for path in ("/3/a.jpg", "/2/a.jpg")}
    assert picture_names(dict.fromkeys(rest, "a.jpg"), known=known) == rest


def test_a_photo_in_another_folder_is_the_same_if_its_content_is(tmp_path):
    for folder, content in (("moved", b"photo"), ("other", b"PHOTO")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes(content)
    version = file_version(str(tmp_path / "moved/a.jpg"))
    finished = {"a.jpg": Finished("/gone/a.jpg", version, {}, "", "")}
    for folder, name in (("moved", "a.jpg"), ("other", "a (2).jpg")):
        path = str(tmp_path / folder / "a.jpg")
        assert picture_names({path: "a.jpg"}, known=finished) == {path: name}


def test_results_are_told_from_photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos = ["out/a.jpg", "out/predicted.jpg", "predicted/a.jpg", "a\0.jpg"]
    results = ["out/gray/a.jpg", str(tmp_path / "out/truth/b/a.jpg")]
    results.append(f"file://{tmp_path}/out/gray/a.jpg")
    results.append(f"out/thumbnails/gray/{thumbnail_name('a.jpg')}.jpg")
    # Without a record, nothing there was made by this program.
    assert without_results([*results, *photos], Path("out")) == [*results, *photos]
    version = Version(1, 2, "c0de")
    Path("out").mkdir()
    for name in ("a.jpg", "b/a.jpg"):
        add_finished(Path("out"), name, "photo.jpg", version, {})
    # Somebody's own folders may be named so, too.
    photos += ["out/gray/b.jpg", "out/thumbnails/a.jpg", "out/thumbnails/gray/a.jpg"]
    assert without_results([*results, *photos], Path("out")) == photos
    with pytest.raises(UserError, match="another --output"):
        without_results(results, Path("out"))


def test_pictures_and_figures_are_written(colorizer, tmp_path, photo_folder, colourful):
    photos = photo_folder(2, gray=1)
    scores = colour(colorizer, sorted(photos.iterdir()), tmp_path / "results")
    assert sorted(contents(tmp_path / "results")) == [
        ".begun.jsonl",
        "finished.jsonl",
        "gray/colour0.png",
        "gray/colour1.png",
        "gray/gray0.png",
        "predicted/colour0.png",
        "predicted/colour1.png",
        "predicted/gray0.png",
        "truth/colour0.png",
        "truth/colour1.png",
    ]
    truth = colourful(60, 80)
    np.testing.assert_array_equal(Image.open(tmp_path / "results/truth/colour0.png"), truth)
    gray = np.asarray(Image.open(tmp_path / "results/gray/colour0.png").convert("RGB"))
    assert np.abs(rgb2lab(gray)[..., 0] - rgb2lab(truth)[..., 0]).max() < 0.5
    predicted = np.asarray(Image.open(tmp_path / "results/predicted/colour0.png"))
    np.testing.assert_array_equal(predicted, colorizer.colorize(truth))
    error = rgb2lab(predicted)[..., 1:] - rgb2lab(truth)[..., 1:]
    assert scores["colour0.png"]["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-3)
    ratio = peak_signal_noise_ratio(truth, predicted)
    assert scores["colour0.png"]["psnr"] == pytest.approx(ratio, rel=1e-3)
    assert scores["gray0.png"] == {}
    # Nothing is encoded anew that is there already.
    original = (photos / "gray0.png").read_bytes()
    assert (tmp_path / "results/gray/gray0.png").read_bytes() == original
    colour(colorizer, [photos / "gray0.png"], tmp_path / "jpeg", format="jpeg")
    assert Image.open(tmp_path / "jpeg/gray/gray0.png.jpg").format == "JPEG"


def test_bytes_depend_on_neither_company_nor_order(colorizer, tmp_path, photo_folder):
    photos = sorted(photo_folder(5).iterdir())
    colour(colorizer, photos, tmp_path / "a", workers=1)
    colour(colorizer, photos[::-1], tmp_path / "b", workers=3)
    for kind in ("gray", "predicted", "truth"):
        assert contents(tmp_path / "a" / kind) == contents(tmp_path / "b" / kind)


def test_what_a_killed_run_was_writing_is_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "results" / "truth").mkdir(parents=True)
    with atomic_write(tmp_path / "results" / "truth" / "a.png") as temporary:
        temporary.write_bytes(b"half")
    mine = temporary.name
    program, machine, process, rest = mine.split("-")
    assert process == str(os.getpid())
    theirs = f"{program}-{machine}-{dead.pid}-{rest}"
    elsewhere = f"{program}-{'0' * len(machine)}-{dead.pid}-{rest}"
    for name in (mine, theirs, elsewhere, f".notes.{dead.pid}.tmp", f".a.png.{dead.pid}-1.tmp"):
        temporary.with_name(name).write_bytes(b"half")
    with claimed(tmp_path / "results"):
        pass
    hidden = {path.name for path in temporary.parent.iterdir() if path.name.startswith(".")}
    assert hidden == {mine, elsewhere, f".notes.{dead.pid}.tmp", f".a.png.{dead.pid}-1.tmp"}


def test_what_a_program_of_the_same_number_was_writing_is_removed(colorizer, tmp_path):
    """Containers that are started anew give their program the same number again."""
    with atomic_write(tmp_path / "a.png") as temporary:
        kept = temporary.with_name(f"{temporary.name}.png")
        for path in (temporary, kept):
            path.write_bytes(b"half")
        os.utime(temporary, (0, 0))
        remove_left_behind(tmp_path)
        assert list(tmp_path.iterdir()) == [kept]
        temporary.write_bytes(b"whole")


def test_a_run_cut_short_has_noted_what_it_finished(colorizer, tmp_path, photo_folder):
    photos, output = sorted(photo_folder(6).iterdir()), tmp_path / "results"
    done = []

    def stop():
        done.append(1)
        if len(done) == 3:
            raise KeyboardInterrupt

    names = picture_names({str(photo): photo.name for photo in photos})
    with pytest.raises(KeyboardInterrupt):
        colorize_photos(colorizer, names, output, Report(6), stop, workers=1, quality=95)
    finished = read_finished(output)
    assert 3 <= len(finished) < 6
    assert set(finished) == set(contents(output / "predicted"))
    scores = colour(colorizer, photos, tmp_path / "whole")
    for name, picture in finished.items():
        assert (picture.photo, picture.scores) == (str(photos[0].parent / name), scores[name])


@pytest.mark.parametrize(("memory", "most"), [(1, 1), (500_000, 2)])
def test_fewer_photos_are_in_work_where_memory_is_short(
    colorizer, tmp_path, photo_folder, monkeypatch, memory, most
):
    """Each of 80 x 60 takes 77 kB of three eighths of it; one goes ahead in any case."""
    (tmp_path / "memory.max").write_text(str(memory))
    monkeypatch.setattr(machine, "CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)
    merge, too_many = colorizer.merge, threading.Barrier(most + 1)
    met = []

    def noted(*arguments):
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(too_many.wait(timeout=0.5))
        return merge(*arguments)

    monkeypatch.setattr(colorizer, "merge", noted)
    assert len(colour(colorizer, photo_folder(8).iterdir(), tmp_path / "results", workers=8)) == 8
    assert too_many.broken and not met


def test_broken_photos_are_reported_and_the_rest_goes_on(colorizer, tmp_path, photo_folder):
    photos = sorted(photo_folder(2, damaged=1).iterdir())
    report = Report(3)
    scores = colour(colorizer, photos, tmp_path / "results", report=report)
    assert sorted(scores) == ["colour0.png", "colour1.png"]
    assert [Path(path).name for path in report.unreadable] == ["damaged0.jpg"]


def test_names_as_long_as_file_systems_allow(colorizer, tmp_path, photo_folder):
    """Those that would get even longer by `.png` are cut."""
    photos = photo_folder(1)
    long, longer = photos / f"{'a' * 251}.png", photos / ("b" * 255)
    shutil.copy(photos / "colour0.png", long)
    shutil.copy(photos / "colour0.png", longer)
    scores = colour(colorizer, sorted(photos.iterdir()), tmp_path / "results")
    cut = f"{'b' * 250}~.png"
    assert sorted(scores) == [long.name, cut, "colour0.png"]
    for name in scores:
        assert (tmp_path / "results" / "predicted" / name).exists()
    assert not [name for name in contents(tmp_path / "results") if name.endswith(".tmp")]


@any_names
def test_names_that_a_memory_stick_refuses_are_changed(
    colorizer, tmp_path, photo_folder, memory_stick
):
    photos = photo_folder(1)
    changed = {
        "10:30.png": "10_30.png",
        "10?30.png": "10_30 (2).png",
        "what?/a.png": "what_/a.png",
        "end. /a.png": "end__/a.png",
        "CON.png": "CON_.png",
        "A.png": "A.png",
        "a.png": "a (2).png",
        "tab\t.png": "tab_.png",
        os.fsdecode(b"caf\xe9.png"): "caf_.png",
    }
    for name in changed:
        (photos / name).parent.mkdir(exist_ok=True)
        shutil.copy(photos / "colour0.png", photos / name)
    report = Report(10)
    paths = find_photos([str(photos)])
    assert memory_stick.refuses(tmp_path / "results" / "10:30.png")
    scores = colour(colorizer, paths, tmp_path / "results", report=report)
    assert set(scores) == {"colour0.png", *changed.values()}
    assert report.unreadable == {}


def test_a_picture_that_cannot_be_written_does_not_stop_the_others(
    colorizer, tmp_path, photo_folder, monkeypatch
):
    replace = os.replace
    numbers = {"colour0": errno.EINVAL, "colour1": errno.EILSEQ, "colour2": errno.EACCES}

    def refuse(source, target):
        if number := numbers.get(Path(target).stem):
            raise OSError(number, os.strerror(number), str(source), None, str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    report = Report(4)
    scores = colour(colorizer, photo_folder(4).iterdir(), tmp_path / "results", report=report)
    assert list(scores) == ["colour3.png"]
    assert {Path(path).stem for path in report.unreadable} == set(numbers)
    for path, reason in report.unreadable.items():
        words = os.strerror(numbers[Path(path).stem]).lower()
        assert reason == f"cannot write {Path(path).name}: {words}"


def test_what_a_format_cannot_hold_is_reported(colorizer, tmp_path):
    Image.new("L", (17000, 1), 128).save(tmp_path / "long.png")
    report = Report(1)
    scores = colour(
        colorizer, [tmp_path / "long.png"], tmp_path / "results", format="webp", report=report
    )
    assert scores == {}
    assert "WEBP" in report.unreadable[str(tmp_path / "long.png")]
    assert contents(tmp_path / "results") == {}


def test_an_existing_picture_survives_a_failure(colorizer, tmp_path, photo_folder, monkeypatch):
    path = photo_folder(1) / "colour0.png"
    kept = tmp_path / "results" / "predicted" / "colour0.png"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"kept")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        colour(colorizer, [path], tmp_path / "results")
    found = contents(tmp_path / "results")
    del found[".begun.jsonl"]
    assert found == {"predicted/colour0.png": b"kept"}


def test_toned_prints_have_no_truth(colorizer, tmp_path):
    gray = np.asarray(Image.linear_gradient("L"))[..., None] / 255
    sepia = (gray ** [0.8, 1, 1.3] * [245, 225, 190]).astype(np.uint8)
    Image.fromarray(sepia).save(tmp_path / "sepia.png")
    scores = colour(colorizer, [tmp_path / "sepia.png"], tmp_path / "results")
    assert scores == {"sepia.png": {}}
    assert not (tmp_path / "results" / "truth").exists()
    shown = np.asarray(Image.open(tmp_path / "results" / "gray" / "sepia.png").convert("RGB"))
    assert np.ptp(shown, axis=2).max() == 0
    assert (tmp_path / "results" / "predicted" / "sepia.png").exists()


def test_a_photo_that_memory_is_short_for_is_named_and_others_go_on(
    colorizer, photo_folder, tmp_path, monkeypatch, caplog
):
    folder = photo_folder(2)
    Image.new("RGB", (90, 70)).save(folder / "large.png")
    merge = colorizer.merge

    def short(pixels, *others):
        if pixels.shape[:2] == (70, 90):
            raise MemoryError
        return merge(pixels, *others)

    monkeypatch.setattr(colorizer, "merge", short)
    assert set(colour(colorizer, sorted(folder.iterdir()), tmp_path / "results")) == {
        "colour0.png",
        "colour1.png",
    }
    assert [message for message in caplog.messages if "large.png" in message] == [
        f"skipped {folder / 'large.png'}: not enough memory"
    ]
