"""`--mode predict`: names, changed photos, files of others and shards."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from platforms import HANG, any_names, link, movable
from predicting import contents, names, pixels, read_finished

import color_global
from colorization.data.photo_files import file_version, size_and_time
from colorization.data.places import in_shard
from colorization.errors import UserError
from colorization.files import atomic_write
from colorization.modes import gallery
from colorization.options import parse
from colorization.prediction.results import claimed

TESTS = Path(__file__).parent


@pytest.fixture
def photos(photo_folder):
    return photo_folder(2)


@movable
def test_a_folder_that_vanishes_during_a_run_is_told(run_predict, photos, tmp_path, monkeypatch):
    """It may be on a disk that loses its connection, and be made anew on the one below."""

    def read_and_move(path):
        (tmp_path / "out").rename(tmp_path / "moved")
        return Path(path).read_bytes()

    monkeypatch.setattr("colorization.prediction.colorize_folder.read_file", read_and_move)
    with pytest.raises(UserError, match=r"out was moved, removed or unmounted during the run"):
        run_predict("--input", photos / "colour0.png")
    assert not (tmp_path / "out").exists()


def test_names_stay_when_folders_are_added(run_predict, photos, tmp_path, capsys):
    (tmp_path / "all/1950").mkdir(parents=True)
    shutil.copy(photos / "colour0.png", tmp_path / "all/1950/a.png")
    run_predict("--input", tmp_path / "all")
    assert names(tmp_path / "out/predicted") == ["1950/a.png"]
    (tmp_path / "all/1960").mkdir()
    shutil.copy(photos / "colour1.png", tmp_path / "all/1960/b.png")
    shutil.copy(photos / "colour1.png", tmp_path / "all/a.png")
    capsys.readouterr()
    run_predict("--input", tmp_path / "all")
    assert "Skipping 1 finished" in capsys.readouterr().out
    assert names(tmp_path / "out/predicted") == ["1950/a.png", "1960/b.png", "a.png"]


def test_a_film_is_on_the_page_of_its_run(run_predict, photos, make_film, tmp_path):
    make_film(frames=2).rename(photos / "film.mp4")
    for source in (photos / "film.mp4", photos):
        run_predict("--input", source, "--output", tmp_path / source.stem)
        page = (tmp_path / source.stem / "index.html").read_text()
        assert 'href="predicted/film.mp4"' in page, source


def test_a_photo_of_the_same_name_is_another_photo(run_predict, photos, tmp_path, capsys):
    for number, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        shutil.copy(photos / f"colour{number}.png", tmp_path / name / "x.png")
    for name in ("a", "b"):
        run_predict("--input", tmp_path / name)
        assert "Coloured 1 photo into" in capsys.readouterr().out
    truth = tmp_path / "out/truth"
    assert (truth / "x.png").read_bytes() == (tmp_path / "a/x.png").read_bytes()
    assert (truth / "x (2).png").read_bytes() == (tmp_path / "b/x.png").read_bytes()
    for name in ("a", "b"):
        run_predict("--input", tmp_path / name)
        assert "Skipping 1 finished" in capsys.readouterr().out
    # Figures of all runs.
    assert (tmp_path / "out/index.html").read_text().count(" data-rmse=") == 2


@any_names
def test_names_that_not_every_disk_takes_are_said(run_predict, photos, tmp_path, capsys):
    shutil.copy(photos / "colour0.png", photos / "10:30.png")
    for _ in range(2):
        run_predict("--input", photos)
        assert "1 of them: 10:30.png is 10_30.png." in capsys.readouterr().out
    assert (tmp_path / "out" / "predicted" / "10_30.png").exists()
    assert len(read_finished(tmp_path / "out")) == 3


def test_a_clock_that_was_ahead_once_does_no_harm(
    run_predict, photos, tmp_path, capsys, monkeypatch
):
    photo = photos / "colour0.png"
    with monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: 2e9)
        run_predict("--input", photo)
    photo.write_bytes((photos / "colour1.png").read_bytes() + b"\0")
    run_predict("--input", photo)
    capsys.readouterr()
    run_predict("--input", photo)
    assert "Skipping 1 finished" in capsys.readouterr().out


def test_a_replaced_photo_is_coloured_anew(run_predict, photos, tmp_path, capsys):
    photo, truth = photos / "colour0.png", tmp_path / "out/truth/colour0.png"
    run_predict("--input", photos)
    before, old = pixels(tmp_path / "out/predicted/colour0.png"), photo.stat()
    # Another photo of the same size in bytes, with the time of the old one a second later.
    content = (photos / "colour1.png").read_bytes()
    size = max(old.st_size, len(content))
    for path, data in ((photo, content), (photos / "colour1.png", content)):
        path.write_bytes(data + bytes(size - len(data)))
    os.utime(photo, ns=(old.st_atime_ns, old.st_mtime_ns + 10**9))
    capsys.readouterr()
    run_predict("--input", photo)
    assert "Skipping" not in capsys.readouterr().out
    assert not np.array_equal(pixels(tmp_path / "out/predicted/colour0.png"), before)
    assert truth.read_bytes() == photo.read_bytes()
    Image.open(photo).convert("L").save(photo)
    run_predict("--input", photo)
    assert names(tmp_path / "out/truth") == ["colour1.png"]
    assert names(tmp_path / "out/predicted") == ["colour0.png", "colour1.png"]
    assert "truth/colour0.png" not in (tmp_path / "out/index.html").read_text()
    # Neither a new time nor another folder makes another photo of it.
    os.utime(photo)
    shutil.move(photos, tmp_path / "moved")
    (tmp_path / "moved/colour1.png").unlink()
    capsys.readouterr()
    run_predict("--input", tmp_path / "moved")
    assert "Skipping 1 finished" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no time of the status")
def test_a_photo_that_is_turned_in_place_is_coloured_anew(run_predict, tmp_path):
    """Programs can turn a photo by a byte, and leave size and time of the file as they were."""
    photo, predicted = tmp_path / "scan.jpg", tmp_path / "out/predicted/scan.jpg"
    picture, exif = Image.new("L", (48, 32), 90), Image.Exif()
    sizes = []
    for orientation in (1, 6):
        exif[0x0112] = orientation
        picture.save(photo, exif=exif)
        os.utime(photo, (10**9, 10**9))
        run_predict("--input", photo)
        sizes.append((photo.stat().st_size, Image.open(predicted).size))
    assert sizes[0][0] == sizes[1][0]
    assert [shown for _, shown in sizes] == [(48, 32), (32, 48)]


def test_content_is_compared_once_after_a_photo_got_a_new_time(run_predict, photos, tmp_path):
    photo, out = photos / "colour0.png", tmp_path / "out"
    run_predict("--input", photo)
    before = read_finished(out)["colour0.png"]
    os.utime(photo, (10**9, 10**9))
    run_predict("--input", photo)
    after = read_finished(out)["colour0.png"]
    assert after.version == file_version(str(photo)) != before.version
    assert after._replace(version=before.version) == before
    records = (out / "finished.jsonl").read_bytes()
    run_predict("--input", photo)
    assert (out / "finished.jsonl").read_bytes() == records


def test_finished_pictures_of_another_model_or_other_options_are_told(
    run_predict, photos, tmp_path, capsys
):
    def said(*arguments):
        capsys.readouterr()
        run_predict("--input", photos, *arguments)
        return capsys.readouterr().out

    said()
    assert "Skipping 2 finished photos; --overwrite" in said()
    for changed in (["--saturation", 1.2], ["--quality", 50]):
        told = "2 finished photos, 2 of them by another model or with other options; --overwrite"
        assert told in said(*changed)
    run_predict("--input", photos / "colour0.png", "--overwrite", "--saturation", 1.2)
    assert "finished photos, 1 of them by another model" in said()


def test_files_of_others_in_the_results_folder_stay(run_predict, photos, tmp_path, caplog):
    out = tmp_path / "out"
    shutil.copytree(photos, out)
    for view, name in (("gray", "colour0.png"), ("truth", "GRAY0.png"), ("predicted", "notes.txt")):
        (out / view).mkdir()
        (out / view / name).write_bytes((photos / "colour1.png").read_bytes())
    Image.open(photos / "colour0.png").convert("L").save(out / "gray0.png")
    (out / "truth/gray.png").symlink_to(photos / "colour1.png")
    others = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    run_predict("--input", out, "--overwrite")
    assert not caplog.messages
    run_predict("--input", out, "--overwrite")
    assert any("that --mode predict has made" in line for line in caplog.messages)
    assert {path: path.read_bytes() for path in others} == others
    # A picture of the photo, and one of the picture that lay in `gray`.
    made = names(out / "predicted")
    assert "colour0 (2).png" in made
    assert "gray/colour0.png" in made
    assert "gray0 (2).png" in made


@pytest.mark.parametrize("output", ["photos", "photos/out"])
def test_results_are_not_coloured_again(
    run_predict, photo_folder, tmp_path, monkeypatch, capsys, caplog, output
):
    photo_folder(3, gray=1)
    monkeypatch.chdir(tmp_path)
    run_predict("--input", "photos", "--output", output)
    assert "Coloured 4 photos" in capsys.readouterr().out
    written = names(tmp_path)
    for _ in range(2):
        run_predict("--input", "photos", "--output", output)
        printed = capsys.readouterr().out
        assert "Skipping 4 finished" in printed
        assert "that --mode predict has made" in caplog.messages[-1]
        assert names(tmp_path) == written
    run_predict("--input", f"{output}/predicted/colour0.png", "--output", "elsewhere/out")
    assert "Coloured 1 photo into" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["gray", "predicted", "truth"])
def test_photos_are_not_overwritten(run_predict, photo_folder, tmp_path, monkeypatch, kind):
    (tmp_path / "out").mkdir()
    folder = photo_folder(3, gray=1, name=f"out/{kind}")
    link(tmp_path / "link", folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.chdir(tmp_path)
    for source in (folder, folder / "colour0.png", "link"):
        run_predict("--input", source, "--output", "out", "--overwrite")
    assert {path: path.read_bytes() for path in before} == before
    assert (tmp_path / "out/predicted/colour0 (2).png").exists()


def test_a_picture_that_a_killed_run_had_begun_is_made_anew(
    run_predict, photos, tmp_path, monkeypatch
):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("colorization.prediction.colorize_folder.add_finished", killed)
        with pytest.raises(KeyboardInterrupt):
            run_predict("--input", photos / "colour0.png")
    begun = names(tmp_path / "out/predicted")
    assert begun == ["colour0.png"]
    run_predict("--input", photos / "colour0.png")
    assert names(tmp_path / "out/predicted") == begun
    assert len(read_finished(tmp_path / "out")) == 1


def test_a_renamed_folder_is_compared_once(
    run_predict, photo_folder, tmp_path, monkeypatch, capsys
):
    folder = photo_folder(3, name="photos")
    run_predict("--input", folder)
    read = []
    monkeypatch.setattr(
        "colorization.modes.predict.file_version",
        lambda path: read.append(path) or file_version(path),
    )
    folder = folder.rename(tmp_path / "renamed")
    for compared in (3, 0):
        run_predict("--input", folder)
        assert len(read) == compared
        assert "Skipping 3 finished photos" in capsys.readouterr().out
        read.clear()
    # A copy does not take the place of the photos that the pictures were made from.
    shutil.copytree(folder, tmp_path / "copy")
    run_predict("--input", tmp_path / "copy")
    Image.open(folder / "colour0.png").rotate(180).save(folder / "colour0.png")
    run_predict("--input", folder)
    assert len(names(tmp_path / "out/predicted")) == 3


def test_photos_that_were_remote_when_they_were_coloured_stay_finished(
    run_predict, photos, tmp_path, capsys
):
    photo, record = photos / "colour0.png", tmp_path / "out/finished.jsonl"
    run_predict("--input", photo)
    # Nothing here opens such addresses.
    record.write_text(json.dumps({**json.loads(record.read_text()), "photo": "s3://bucket/a.png"}))
    capsys.readouterr()
    run_predict("--input", photo)
    assert "Skipping 1 finished photo;" in capsys.readouterr().out


def test_the_disk_is_asked_for_several_photos_at_once(
    run_predict, photos, tmp_path, monkeypatch, capsys
):
    """On a network share or in a bucket, one photo after the other would take hours."""
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(map(str, photos.glob("colour*.png"))))
    run_predict("--input", listed)
    together, asked = threading.Barrier(2), set()

    def waiting(name, function):
        def call(path, *rest, **settings):
            if Path(path).name.startswith("colour"):
                together.wait(HANG)
                asked.add(name)
            return function(path, *rest, **settings)

        return call

    names = ("isdir", "lexists", "exists", "realpath")
    for name in names:
        monkeypatch.setattr(f"os.path.{name}", waiting(name, getattr(os.path, name)))
    monkeypatch.setattr(
        "colorization.prediction.results.size_and_time", waiting("time", size_and_time)
    )
    capsys.readouterr()
    run_predict("--input", listed)
    assert "Skipping 2 finished photos;" in capsys.readouterr().out
    assert asked == {*names, "time"}


def test_one_run_at_a_time_writes_to_a_folder(run_predict, photos, tmp_path):
    with claimed(tmp_path / "out"), pytest.raises(UserError, match="another run is writing to"):
        run_predict("--input", photos)
    assert not (tmp_path / "out/predicted").exists()
    with claimed(tmp_path / "out", (0, 2)):
        run_predict("--input", photos, "--shard", "1/2")
    run_predict("--input", photos)


def test_a_disk_on_which_nothing_can_be_added_to_a_file_is_named(
    run_predict, photos, tmp_path, monkeypatch
):
    """As `rclone mount` makes one by default."""

    def opened(path, mode="r", *rest, **settings):
        if "a" in mode:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        return open(path, mode, *rest, **settings)

    monkeypatch.setattr("colorization.prediction.results.open", opened, raising=False)
    with pytest.raises(UserError, match=r"nothing can be added to .*finished\.jsonl.*rclone"):
        run_predict("--input", photos)
    assert not (tmp_path / "out/predicted").exists()


@pytest.mark.parametrize(
    ("function", "number"),
    [
        ("filelock.FileLock.acquire", errno.EBUSY),
        *(("fcntl.flock", n) for n in (errno.ENOLCK, errno.ENOSYS) if os.name != "nt"),
    ],
)
def test_disks_without_locks_are_written_to(
    run_predict, photos, tmp_path, monkeypatch, caplog, function, number
):
    def refused(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(function, refused)
    # No file may stand for a lock: that of a run which was killed would keep all others out.
    with claimed(tmp_path / "out"):
        run_predict("--input", photos / "colour0.png")
    assert "on a file system without locks: keep any other run out of it" in caplog.text


@pytest.mark.parametrize(
    ("first", "second"), [("0/1", "0/2"), ("1/2", "0/1"), ("0/2", "0/3"), ("1/3", "1/13")]
)
def test_only_shards_of_equal_number_run_at_once(run_predict, photos, tmp_path, first, second):
    """A picture of one of others would take the place of the other's of the same name."""
    index, count = map(int, first.split("/"))
    with claimed(tmp_path / "out", (index, count)):
        with pytest.raises(UserError, match=f"another run is writing to .*process {os.getpid()}"):
            run_predict("--input", photos, "--shard", second)
        assert not (tmp_path / "out/predicted").exists()
    run_predict("--input", photos, "--shard", second)


def test_many_shards_begin_at_once(tmp_path):
    begin = threading.Barrier(8)

    def run(index):
        begin.wait(HANG)
        with claimed(tmp_path / "out", (index, 8)):
            begin.wait(HANG)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(run, range(8)))


def test_a_page_of_somebody_else_is_not_replaced(run_predict, photos, tmp_path):
    (tmp_path / "out").mkdir()
    page = tmp_path / "out/index.html"
    page.write_text("my page")
    with pytest.raises(UserError, match=r"index\.html is none of this program's"):
        run_predict("--input", photos)
    assert [*(tmp_path / "out").iterdir()] == [page]
    run_predict("--input", photos, "--keep", "predicted")
    # That there are results now does not make the page one of them.
    with pytest.raises(UserError, match=r"index\.html is none of this program's"):
        run_predict("--input", photos)
    with pytest.raises(UserError, match=r"index\.html is none of this program's"):
        gallery.run(
            color_global.network,
            parse("color_global", ["--mode", "gallery", "--output", str(tmp_path / "out")]),
        )
    assert page.read_text() == "my page"


def test_records_that_do_not_know_versions_vouch_for_nothing(run_predict, photos, tmp_path, capsys):
    photo, record = photos / "colour0.png", tmp_path / "out/finished.jsonl"
    run_predict("--input", photo)
    facts = json.loads(record.read_text())
    del facts["version"]
    record.write_text(json.dumps(facts))
    capsys.readouterr()
    run_predict("--input", photo)
    assert "Skipping" not in capsys.readouterr().out
    assert names(tmp_path / "out/predicted") == ["colour0.png"]


def test_shards_share_a_folder_and_lose_nothing(
    run_predict, photo_folder, tmp_path, capsys, monkeypatch
):
    photos = photo_folder(7, gray=2)
    (photos / "sub").mkdir()
    shutil.move(photos / "colour0.png", photos / "sub/colour0.png")
    run_predict("--input", photos)
    whole = tmp_path / "whole"
    shutil.move(tmp_path / "out", whole)
    capsys.readouterr()
    for index in (2, 0):
        run_predict("--input", photos, "--shard", f"{index}/3")
        assert "--mode gallery" in capsys.readouterr().out
    # As a pod of a job knows it.
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    monkeypatch.setenv("JOB_COMPLETIONS", "3")
    run_predict("--input", photos)
    for view in ("gray", "predicted", "truth"):
        assert contents(tmp_path / "out" / view) == contents(whole / view)
    records = sorted((tmp_path / "out").glob("finished*.jsonl"))
    assert [path.name for path in records] == [f"finished-{index}-of-3.jsonl" for index in range(3)]
    lines = [json.loads(line)["picture"] for path in records for line in path.open()]
    assert sorted(lines) == names(whole / "predicted")
    assert not (tmp_path / "out/index.html").exists()
    gallery.run(
        color_global.network,
        parse("color_global", ["--mode", "gallery", "--output", str(tmp_path / "out")]),
    )
    shown = [(folder / "index.html").read_text() for folder in (whole, tmp_path / "out")]
    assert [page.count(" data-rmse=") for page in shown] == [7, 7]
    # However many shards there are now, what is finished stays so.
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    monkeypatch.setenv("JOB_COMPLETIONS", "1")
    capsys.readouterr()
    run_predict("--input", photos)
    assert "Skipping 9 finished" in capsys.readouterr().out


def test_a_shard_without_photos_is_done(run_predict, photos, capsys):
    (photos / "colour1.png").unlink()
    index = next(index for index in (0, 1) if not in_shard("colour0.png", (index, 2)))
    run_predict("--input", photos, "--shard", f"{index}/2")
    assert f"No photos in shard {index} of 2" in capsys.readouterr().out


def test_only_the_coloured_pictures_are_kept(run_predict, photos, tmp_path, capsys):
    run_predict("--input", photos)
    before = contents(tmp_path / "out/predicted")
    run_predict("--input", photos, "--overwrite", "--keep", "predicted")
    assert contents(tmp_path / "out/predicted") == before
    assert names(tmp_path / "out/gray") == names(tmp_path / "out/truth") == []
    shutil.rmtree(tmp_path / "out")
    run_predict("--input", photos, "--keep", "predicted")
    assert contents(tmp_path / "out/predicted") == before
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name for name in made if name[0] != "."] == ["finished.jsonl", "predicted"]
    capsys.readouterr()
    run_predict("--input", photos, "--keep", "predicted")
    assert "gray" not in capsys.readouterr().out
    run_predict("--input", photos)
    told = capsys.readouterr().out
    assert f"Of these, {len(before)} have no gray picture beside them" in told
    run_predict("--input", photos, "--overwrite")
    run_predict("--input", photos)
    assert "no gray picture" not in capsys.readouterr().out


def test_a_folder_without_pictures_has_no_page(tmp_path):
    options = parse("color_global", ["--mode", "gallery", "--output", str(tmp_path)])
    with pytest.raises(UserError, match="no coloured pictures in"):
        gallery.run(color_global.network, options)
    assert list(tmp_path.iterdir()) == []


# Colours one of two shards; waits after two photos, so as to be killed there.
SHARD = """
import os, sys
from pathlib import Path
from colorization.program import import_tensorflow
import_tensorflow(False)
from colorization.data.photos import find_places
from colorization.data.places import in_shard
from colorization.data.report import Report
from colorization.prediction.colorize import Colorizer
from colorization.prediction.colorize_folder import colorize_photos
from colorization.prediction.picture_names import picture_names
from predicting import network
model, photos, output = sys.argv[1:]
names = picture_names(find_places([photos]))
own = {path: name for path, name in names.items() if in_shard(name, (0, 2))}
done = 0
def progress():
    global done
    done += 1
    if done == 2:
        print("two", flush=True)
        sys.stdin.readline()
colorizer = Colorizer(model, network=network)
colorize_photos(
    colorizer, own, Path(output), Report(len(own)), progress, workers=1, quality=95, shard=(0, 2)
)
"""


def test_a_killed_shard_goes_on(run_predict, photo_folder, tmp_path, small_model, capsys):
    photos = photo_folder(9)
    run_predict("--input", photos)
    whole = tmp_path / "whole"
    shutil.move(tmp_path / "out", whole)
    process = subprocess.Popen(
        [sys.executable, "-c", SHARD, small_model, str(photos), str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TESTS.parent, TESTS)))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "two\n"
    process.kill()
    process.communicate()
    record = tmp_path / "out/finished-0-of-2.jsonl"
    assert len(record.read_text().splitlines()) == 2
    # Half a line, half a picture: what the process might have been at.
    with record.open("a") as file:
        file.write('{"picture": "colo')
    temporary = next((tmp_path / "out/predicted").iterdir()).with_name("temporary")
    with atomic_write(temporary) as path:
        half = path.with_name(path.name.replace(f"-{os.getpid()}-", f"-{process.pid}-"))
        half.write_bytes(b"half")
        path.write_bytes(b"")
    temporary.unlink()
    capsys.readouterr()
    run_predict("--input", photos, "--shard", "0/2")
    assert "Skipping 2 finished" in capsys.readouterr().out
    run_predict("--input", photos, "--shard", "1/2")
    for view in ("gray", "predicted", "truth"):
        found = {path.name: path.read_bytes() for path in (tmp_path / "out" / view).iterdir()}
        assert found == contents(whole / view)
    assert set(read_finished(tmp_path / "out")) == set(names(whole / "predicted"))


def test_photos_elsewhere(run_predict, photos, tmp_path):
    """file:// goes the way of gs:// and others that TensorFlow opens."""
    run_predict("--input", photos, "--style", photos / "colour1.png")
    local = contents(tmp_path / "out/predicted")
    shutil.rmtree(tmp_path / "out")
    run_predict("--input", f"file://{photos}", "--style", f"file://{photos}/colour1.png")
    assert contents(tmp_path / "out/predicted") == local
    assert names(tmp_path / "out/truth") == ["colour0.png", "colour1.png"]
