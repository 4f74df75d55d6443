"""Photos to shards: whole, once each, by several machines, and after interruptions."""

import hashlib
import json
import logging
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from platforms import any_names, posix
from test_dataset import joined

from colorization.data import prepare as prepare_module
from colorization.data.dataset import eval_dataset
from colorization.data.lab_planes import to_sheet
from colorization.data.photos import find_photos
from colorization.data.prepare import is_finished, prepare
from colorization.data.report import Report
from colorization.data.shards import FEATURES, find_data
from colorization.errors import UserError
from colorization.modes import prepare as prepare_mode
from colorization.options import parse

ROOT = Path(__file__).parent.parent


def contents(folder):
    """Relative path -> bytes of every file, hidden ones included."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def records(shard):
    for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
        example = tf.io.parse_single_example(record, FEATURES)
        yield {name: value.numpy() for name, value in example.items()}


def test_shards_hold_every_photo_with_colour_once(prepared):
    folder, output, report = prepared
    assert str(report) == (
        "6 photos, 2 gray left out, 1 unreadable: damaged0.jpg "
        f"({report.unreadable[str(folder / 'damaged0.jpg')]})"
    )
    found = [record for shard in sorted(output.glob("*.tfrecord")) for record in records(shard)]
    names = [os.fsdecode(record["path"]) for record in found]
    assert sorted(names) == [f"colour{number}.png" for number in range(6)]
    # Mixed, so that reading shard by shard is shuffling.
    assert names != sorted(names)
    for record, name in zip(found, names, strict=True):
        assert record["sha256"] == hashlib.sha256((folder / name).read_bytes()).digest()
        sheet, _ = to_sheet(Image.open(folder / name))
        decoded = tf.io.decode_jpeg(record["sheet"])[..., 0].numpy()
        assert decoded.shape == sheet.shape
        assert np.abs(decoded.astype(int) - sheet).mean() < 1


def test_the_manifest_and_the_list_of_unreadable_photos_say_what_happened(prepared):
    folder, output, _ = prepared
    manifest = json.loads((output / "manifest.json").read_text())
    assert (manifest["photos"], manifest["gray_left_out"], manifest["unreadable"]) == (6, 2, 1)
    assert manifest["settings"]["photos_per_shard"] == 3
    for name, facts in manifest["shards"].items():
        data = (output / name).read_bytes()
        assert facts["bytes"] == len(data)
        assert facts["sha256"] == hashlib.sha256(data).hexdigest()
        assert facts["photos"] == len(list(records(output / name)))
    assert set(contents(output)) == {*manifest["shards"], "manifest.json", "unreadable.txt"}
    (line,) = (output / "unreadable.txt").read_text().splitlines()
    path, reason = line.split("\t")
    assert path == str(folder / "damaged0.jpg")
    assert reason


def test_photos_of_the_working_folder_keep_their_names(photo_folder, tmp_path, monkeypatch):
    """Lists that differ in first letters only are different lists."""
    photos = photo_folder(2)
    for number, name in enumerate(("a1.png", "b1.png", "c1.png")):
        shutil.copy(photos / f"colour{number % 2}.png", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    prepare(["a1.png", "b1.png"], "out")
    (shard,) = (tmp_path / "out").glob("*.tfrecord")
    assert sorted(record["path"] for record in records(shard)) == [b"a1.png", b"b1.png"]
    with pytest.raises(UserError, match="prepared from other photos"):
        prepare(["a1.png", "c1.png"], "out")
    prepare(["a1.png", "photos/colour0.png"], "mixed")
    (shard,) = (tmp_path / "mixed").glob("*.tfrecord")
    assert sorted(record["path"] for record in records(shard)) == [b"a1.png", b"photos/colour0.png"]


# Three photos a shard; waits before the last ones, so as not to be done before it is killed.
PREPARE = """
import sys
from colorization.program import import_tensorflow
import_tensorflow(False)
from colorization.data.photo_files import file_checksum
from colorization.data.photos import find_photos
from colorization.data.prepare import is_finished, prepare
done = 0
def progress(photos):
    global done
    done += photos
    print(done, flush=True)
    if done == 22:
        sys.stdin.readline()
prepare(find_photos([sys.argv[1]]), sys.argv[2], 0.3, photos_per_shard=3, progress=progress)
"""


def start_preparation(folder, output):
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE, str(folder), str(output)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_killed_at_random_and_resumed_it_writes_the_same(photo_folder, tmp_path):
    folder = photo_folder(20, gray=3, damaged=2)
    prepare(find_photos([str(folder)]), str(tmp_path / "whole"), 0.3, photos_per_shard=3)
    process = start_preparation(folder, tmp_path / "killed")
    for _ in range(random.randrange(4, 22)):
        process.stdout.readline()
    time.sleep(random.uniform(0, 0.02))
    process.kill()
    process.communicate()
    assert process.returncode != 0
    with pytest.raises(UserError, match="half prepared"):
        find_data([str(tmp_path / "killed")])
    # A shard that had its name, but was not noted yet, is written anew.
    noted = sorted((tmp_path / "killed" / ".progress").glob("0*.json"))
    assert noted
    (tmp_path / "killed/train" / f"{len(noted):05d}.tfrecord").write_bytes(b"anything")
    counted = []
    prepare(find_photos([str(folder)]), str(tmp_path / "killed"), 0.3, 3, progress=counted.append)
    assert counted[: len(noted)] == [3] * len(noted)
    assert sum(counted) == 25
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_two_preparations_at_once_do_not_mix(photo_folder, tmp_path):
    folder = photo_folder(22)
    paths = find_photos([str(folder)])
    prepare(paths, str(tmp_path / "whole"), 0.3, photos_per_shard=3)
    first = start_preparation(folder, tmp_path / "out")
    first.stdout.readline()
    for _ in range(2):
        with pytest.raises(UserError, match=rf"another .*process {first.pid} .*--output"):
            prepare(paths, str(tmp_path / "out"), 0.3, photos_per_shard=3)
    first.communicate("go on\n")
    assert first.returncode == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert prepare(paths, str(tmp_path / "out"), 0.3, photos_per_shard=3) is None


class Stop(Exception):
    pass


def interrupted(paths, output, after, **settings):
    """Ends a preparation after so many photos."""
    done = []

    def stop(photos):
        done.append(photos)
        if len(done) > after:
            raise Stop

    with pytest.raises(Stop):
        prepare(paths, str(output), progress=stop, **settings)


def test_an_interrupted_preparation_is_not_mixed_with_another(photo_folder, tmp_path):
    paths = find_photos([str(photo_folder(7))])
    output = tmp_path / "out"
    interrupted(paths, output, 3, photos_per_shard=3)
    before = contents(output)
    for other in (
        {"paths": find_photos([str(photo_folder(7, name="others"))])[:3]},
        {"split": 0.5},
        {"photos_per_shard": 4},
        {"shard": (0, 2)},
    ):
        settings = {"paths": paths, "photos_per_shard": 3, **other}
        with pytest.raises(UserError, match="another --output"):
            prepare(output=str(output), **settings)
    assert contents(output) == before
    prepare(paths, str(output), photos_per_shard=3)
    assert len(find_data([str(output)])) == 7


def test_where_nothing_was_finished_another_preparation_begins(photo_folder, tmp_path, caplog):
    paths = find_photos([str(photo_folder(7))])
    for number, other in enumerate(
        ({"paths": paths[:2]}, {"split": 0.0}, {"photos_per_shard": 4, "split": 0.0})
    ):
        output, whole = tmp_path / f"out{number}", tmp_path / f"whole{number}"
        interrupted(paths, output, 2, photos_per_shard=3, split=0.3)
        # A shard that has its name already, but is not noted yet.
        (output / "test" / "00000.tfrecord").write_bytes(b"anything")
        settings = {"paths": paths, "photos_per_shard": 3, "split": 0.3, **other}
        prepare(output=str(output), **settings)
        prepare(output=str(whole), **settings)
        assert contents(output) == contents(whole)
        assert sorted(output.iterdir()) == [output / path.name for path in sorted(whole.iterdir())]
    assert not caplog.messages


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_preparation_goes_on_with_its_photos_when_others_come_and_go(
    photo_folder, tmp_path, caplog, monkeypatch, colourful, elsewhere
):
    folder = photo_folder(12, name="all/photos")
    paths = find_photos([str(tmp_path / "all")])
    output = tmp_path / "out"
    interrupted(paths, output, 3, photos_per_shard=3)
    finished = (output / "00000.tfrecord").read_bytes()
    done = {os.fsdecode(record["path"]) for record in records(output / "00000.tfrecord")}
    left = [path for path in paths if os.path.basename(path) not in done]
    os.remove(left[0])
    Image.fromarray(colourful(90, 90, 99)).save(left[1])
    os.remove(folder / min(done))
    if elsewhere:
        # The same photos, told otherwise.
        monkeypatch.chdir(tmp_path)
        now = find_photos(["all"])
    else:
        # What all have in common is less now.
        shutil.copy(left[2], tmp_path / "all" / "new.png")
        now = find_photos([str(tmp_path / "all")])
    report = prepare(now, str(output), photos_per_shard=3)
    (line, skipped) = caplog.messages
    gone = f"gone: {', '.join(sorted([os.path.basename(left[0]), min(done)]))}"
    assert gone in line
    assert f"unless they are done: {os.path.basename(left[1])}" in line
    assert ("new.png" in line and "another --output" in line) != elsewhere
    assert os.path.basename(left[0]) in skipped
    assert (report.total, report.usable) == (12, 11)
    assert (output / "00000.tfrecord").read_bytes() == finished
    found = [record for shard in output.glob("*.tfrecord") for record in records(shard)]
    assert sorted(os.fsdecode(record["path"]) for record in found) == sorted(
        os.path.basename(path) for path in paths if path != left[0]
    )
    assert len(find_data([str(output)])) == 11
    assert not (output / ".progress").exists()
    with pytest.raises(UserError, match="prepared from other photos"):
        prepare(now, str(output), photos_per_shard=3)


@any_names
def test_a_preparation_goes_on_when_a_photo_of_any_name_has_gone(photo_folder, tmp_path, caplog):
    folder = photo_folder(7)
    odd = folder / os.fsdecode(b"caf\xe9.png")
    (folder / "colour0.png").rename(odd)
    output = tmp_path / "out"
    interrupted(find_photos([str(folder)]), output, 3, photos_per_shard=3)
    odd.unlink()
    # The warning has the name of the photo in it, which no report of tests can hold.
    with caplog.at_level(logging.ERROR):
        prepare(find_photos([str(folder)]), str(output), photos_per_shard=3)
    assert len(find_data([str(output)])) >= 6


def test_a_preparation_of_another_folder_is_not_gone_on_with(photo_folder, tmp_path):
    """Whoever names fewer photos, or many more, means others."""
    photo_folder(9, name="all/a")
    photo_folder(3, name="all/b")
    some, every = (find_photos([str(tmp_path / name)]) for name in ("all/a", "all"))
    few = find_photos([str(tmp_path / "all/b")])
    for number, (begun, named) in enumerate([(every, some), (few, every)]):
        output = tmp_path / f"out{number}"
        interrupted(begun, output, 2, photos_per_shard=2)
        with pytest.raises(UserError, match="the beginning of a preparation with other photos"):
            prepare(named, str(output), photos_per_shard=2)
        assert prepare(begun, str(output), photos_per_shard=2).usable == len(begun)


def test_shards_of_several_machines_take_the_photos_of_the_first(photo_folder, tmp_path, caplog):
    folder = photo_folder(12)
    paths = find_photos([str(folder)])
    output = str(tmp_path / "out")
    prepare(paths, output, shard=(0, 2))
    shutil.copy(folder / "colour0.png", folder / "new.png")
    prepare(find_photos([str(folder)]), output, shard=(1, 2))
    (line,) = caplog.messages
    assert "new.png" in line
    assert len(find_data([output])) == 12


def test_a_finished_preparation_that_was_not_tidied_up_is_kept(photo_folder, tmp_path):
    """Its settings may be left when the call that removes what it has noted is killed."""
    paths = find_photos([str(photo_folder(6))])
    output = tmp_path / "out"
    interrupted(paths, output, 0)
    settings = (output / ".progress" / "settings.json").read_bytes()
    prepare(paths, str(output))
    (output / ".progress").mkdir()
    (output / ".progress" / "settings.json").write_bytes(settings)
    before = contents(output)
    for other in ({"paths": paths[:5]}, {"paths": paths, "split": 0.5}):
        with pytest.raises(UserError, match="another --output"):
            prepare(output=str(output), **other)
        assert contents(output) == before


def test_what_is_finished_is_not_done_again(photo_folder, tmp_path):
    """Also where the call that finished it was killed while it tidied up."""
    paths = find_photos([str(photo_folder(5, gray=1))])
    output = tmp_path / "out"
    assert prepare(paths, str(output), split=0.5).usable == 5
    finished = contents(output)
    (output / ".progress").mkdir()
    (output / ".progress" / "settings.json").write_text("{}")
    assert prepare(paths, str(output), split=0.5) is None
    assert contents(output) == finished
    (output / "test" / "manifest.json").unlink()
    with pytest.raises(UserError, match="not empty"):
        prepare(paths, str(output), split=0.5)


def test_a_photo_replaced_under_its_name_makes_other_photos(photo_folder, tmp_path):
    folder = photo_folder(2)
    paths = find_photos([str(folder)])
    prepare(paths, str(tmp_path / "out"))
    before = contents(tmp_path / "out")
    Image.new("RGB", (50, 50), "red").save(folder / "colour0.png")
    with pytest.raises(UserError, match=r"from other photos, .*; train on that, or remove"):
        prepare(paths, str(tmp_path / "out"))
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("how", ["missing", "short", "older"])
def test_shards_that_have_changed_are_not_called_finished(photo_folder, tmp_path, how):
    paths = find_photos([str(photo_folder(2))])
    output = tmp_path / "out"
    prepare(paths, str(output))
    (shard,) = output.glob("*.tfrecord")
    if how == "older":
        manifest = json.loads((output / "manifest.json").read_text())
        (output / "manifest.json").write_text(json.dumps({**manifest, "format": 1}))
    elif how == "short":
        shard.write_bytes(shard.read_bytes()[:-1])
    else:
        shard.unlink()
    with pytest.raises(UserError, match=f"{re.escape(str(output))}.*; .*remove"):
        prepare(paths, str(output))


def test_an_empty_test_part_is_said_and_not_to_be_tested_on(photo_folder, tmp_path, capsys):
    arguments = ["--input", str(photo_folder(2)), "--output", str(tmp_path / "out")]
    # No photo's checksum is below so small a share.
    options = parse("color", ["--mode", "prepare", *arguments, "--split", "1e-9"])
    prepare_mode.run(None, options)
    printed = capsys.readouterr().out
    assert "None of so few photos is held out" in printed
    assert printed.splitlines()[-1].endswith(f"--train_data {tmp_path / 'out' / 'train'}")


@pytest.mark.parametrize(
    ("colour", "split", "said"),
    [
        (
            2,
            ["--split", "0.999999"],
            "All of so few photos are held out; remove .* smaller --split",
        ),
        (0, ["--split", "0.2"], "There is nothing to train on; prepare photos in colour"),
        (0, [], "There is nothing to train on; prepare photos in colour"),
    ],
)
def test_no_training_is_advised_that_would_be_refused(
    photo_folder, tmp_path, capsys, colour, split, said
):
    photos = str(photo_folder(colour, gray=2))
    arguments = ["--input", photos, "--output", str(tmp_path / "out"), *split]
    prepare_mode.run(None, parse("color", ["--mode", "prepare", *arguments]))
    printed = capsys.readouterr().out
    assert re.search(said, printed)
    assert "Next:" not in printed


def test_a_folder_with_other_files_is_left_alone(photo_folder, tmp_path):
    paths = find_photos([str(photo_folder(2))])
    (tmp_path / "diary.txt").write_text("Dear diary")
    before = contents(tmp_path)
    with pytest.raises(UserError, match="not empty"):
        prepare(paths, str(tmp_path))
    assert contents(tmp_path) == before
    with pytest.raises(UserError, match="change --output"):
        prepare(paths, str(tmp_path / "diary.txt"))


def test_copies_of_a_photo_are_on_one_side(photo_folder, tmp_path):
    folder = photo_folder(40)
    for number in range(40):
        (folder / "copies").mkdir(exist_ok=True)
        shutil.copy(folder / f"colour{number}.png", folder / "copies" / f"z{number}.jpg")
    output = tmp_path / "out"
    prepare(find_photos([str(folder)]), str(output), split=0.3, photos_per_shard=16)
    sides = {
        side: [record for shard in (output / side).glob("*.tfrecord") for record in records(shard)]
        for side in ("train", "test")
    }
    digests = {side: {record["sha256"] for record in found} for side, found in sides.items()}
    assert len(digests["train"]) + len(digests["test"]) == 40
    assert not digests["train"] & digests["test"]
    assert all(len(sides[side]) == 2 * len(digests[side]) for side in sides)
    # Binomial, 40 times 0.3: four standard deviations.
    assert 1 <= len(digests["test"]) <= 23
    with pytest.raises(UserError, match="out/train or"):
        find_data([str(output)])
    assert len(find_data([str(output / side) for side in sides])) == 80


def test_a_photo_that_cannot_be_read_is_named_once(photo_folder, tmp_path, caplog):
    folder = photo_folder(3, damaged=1)
    with caplog.at_level(logging.WARNING):
        prepare(find_photos([str(folder)]), str(tmp_path / "out"))
    assert sum("damaged0.jpg" in message for message in caplog.messages) == 1


def test_more_than_half_unreadable_stops_with_the_list(photo_folder, tmp_path, caplog):
    folder = photo_folder(2, damaged=3)
    output = tmp_path / "out"
    with caplog.at_level(logging.WARNING), pytest.raises(UserError, match="3 of 5"):
        prepare(find_photos([str(folder)]), str(output))
    assert len((output / "unreadable.txt").read_text().splitlines()) == 3
    assert not (output / "manifest.json").exists()
    for number in range(3):
        assert sum(f"damaged{number}.jpg" in message for message in caplog.messages) == 1


@any_names
def test_folders_whose_names_are_no_unicode(photo_folder, tmp_path):
    paths = find_photos([str(photo_folder(2))])
    prepare(paths, str(tmp_path / "out"))
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "a.jpg").touch()
    assert find_data([str(folder)]) == [str(folder / "a.jpg")]
    shutil.copytree(tmp_path / "out", folder / "prepared")
    data = find_data([str(folder / "prepared")])
    assert len(data) == 2
    for shard in data.photos:
        data.check(shard)


@any_names
def test_an_output_that_is_no_unicode_is_refused(photo_folder, tmp_path):
    paths = find_photos([str(photo_folder(1))])
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"no UTF-8.*change --output"):
        prepare(paths, str(tmp_path / os.fsdecode(b"caf\xe9")))
    assert contents(tmp_path) == before


@posix
def test_any_path_that_gfile_opens(photo_folder, tmp_path):
    """file:// goes the way of gs://."""
    folder = photo_folder(4)
    local = prepare(find_photos([str(folder)]), str(tmp_path / "local"))
    remote = prepare(find_photos([f"file://{folder}"]), f"file://{tmp_path}/remote")
    assert str(local) == str(remote) == "4 photos, 0 gray left out, 0 unreadable"
    assert contents(tmp_path / "local") == contents(tmp_path / "remote")
    data = find_data([f"file://{tmp_path}/remote"])
    (batch,) = eval_dataset(data, 4, Report(4)).as_numpy_iterator()
    assert batch[0]["lightness"].shape == (4, 224, 224, 1)


def test_prepared_pictures_are_those_of_the_photos(tmp_path, colourful):
    """Up to the one JPEG: on noisy, sharply coloured pictures too."""
    (tmp_path / "photos").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, [64, 64, 3], np.uint8)
    Image.fromarray(noise).resize((300, 400)).save(tmp_path / "photos" / "noise.png")
    for number in range(3):
        Image.fromarray(colourful(700, 500, number)).save(tmp_path / "photos" / f"{number}.jpg")
    paths = find_photos([str(tmp_path / "photos")])
    prepare(paths, str(tmp_path / "out"))
    data = find_data([str(tmp_path / "out")])

    def examples(data):
        found = list(eval_dataset(data, 4, Report(4)).as_numpy_iterator())
        names = [os.path.basename(path) for path in joined(found, 0, "path")]
        order = np.argsort(names)
        return [joined(found, *part)[order] for part in ((0, "lightness"), (1, "chroma"))]

    (lightness, chroma), (same_lightness, same_chroma) = examples(paths), examples(data)
    for number, noisy in enumerate((False, False, False, True)):
        difference = np.abs(lightness[number] - same_lightness[number])
        assert difference.mean() < (1 if noisy else 0.3)
        assert difference.max() < (8 if noisy else 2)
        assert np.abs(chroma[number] - same_chroma[number]).mean() < (2 if noisy else 0.5)


def test_shards_join_into_one_manifest(photo_folder, tmp_path):
    folder = photo_folder(20, gray=3, damaged=2)
    paths = find_photos([str(folder)])
    prepare(paths, str(tmp_path / "whole"), 0.3)
    output = str(tmp_path / "out")
    settings = {"split": 0.3, "photos_per_shard": 3}

    interrupted(paths, output, 4, shard=(1, 3), **settings)
    for index in (2, 0):
        assert prepare(paths, output, shard=(index, 3), **settings).total < 25
        assert not is_finished(output, 0.3)
        with pytest.raises(UserError, match="half prepared"):
            find_data([f"{output}/train"])
    with pytest.raises(UserError, match="other photos or options"):
        prepare(paths, output, shard=(0, 4), **settings)
    counted = []
    prepare(paths, output, shard=(1, 3), progress=counted.append, **settings)
    assert counted[0] == 3
    assert is_finished(output, 0.3)
    assert prepare(paths, output, shard=(2, 3), **settings) is None
    assert not (tmp_path / "out/.progress").exists()
    for part in ("train", "test"):
        found = [tmp_path / name / part for name in ("whole", "out")]
        whole, joined_ = (json.loads((path / "manifest.json").read_text()) for path in found)
        for key in ("photos", "gray_left_out", "unreadable"):
            assert whole[key] == joined_[key]
        assert set(contents(found[1])) == {*joined_["shards"], "manifest.json"}
        one, other = (
            sorted(
                (record["path"], record["sheet"])
                for shard in path.glob("*.tfrecord")
                for record in records(shard)
            )
            for path in found
        )
        assert one == other
    assert sorted((tmp_path / "out/unreadable.txt").read_text().splitlines()) == sorted(
        (tmp_path / "whole/unreadable.txt").read_text().splitlines()
    )
    data = find_data([f"{output}/train"])
    for shard in data.photos:
        data.check(shard)


@pytest.mark.parametrize(
    ("first", "second"), [((0, 2), (0, 1)), ((0, 2), (1, 3)), ((1, 2), (1, 2))]
)
def test_of_two_preparations_that_begin_at_once_one_is_refused(
    photo_folder, tmp_path, monkeypatch, first, second
):
    """The other one begins between the look at the empty folder and the lock."""
    some, others = (find_photos([str(photo_folder(12, name=name))]) for name in ("some", "others"))
    shutil.copy(some[0], tmp_path / "others" / "one more.png")
    others = find_photos([str(tmp_path / "others")])
    # So few of those that the other one takes that it cannot be gone on with.
    some, output = some[:5], str(tmp_path / "out")
    locked = prepare_module.locked

    def too_late(*arguments, **keywords):
        monkeypatch.setattr(prepare_module, "locked", locked)
        assert prepare(others, output, shard=first)
        return locked(*arguments, **keywords)

    monkeypatch.setattr(prepare_module, "locked", too_late)
    with pytest.raises(UserError, match="other photos or options"):
        prepare(some, output, shard=second)
    prepare(others, output, shard=(1 - first[0], 2))
    assert len(find_data([output])) == len(others)
