"""Selection of the photos to train and to test on."""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image

from colorization.data import held_out
from colorization.data.prepare import prepare
from colorization.data.shards import Shards
from colorization.data.split import (
    photos_for_testing,
    photos_for_training,
    print_possibly_seen,
    require_same_held_out,
)
from colorization.errors import UserError
from colorization.options import parse

NOTE = Path("model/held_out.json")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, small_bundled):
    monkeypatch.chdir(tmp_path)


def select(*arguments):
    _, selection = photos_for_training(parse("color", [*map(str, arguments)]), NOTE, True)
    return selection


def paths(photos):
    return [photo.path for photo in photos]


def names(paths):
    return {Path(path).name for path in paths}


@pytest.mark.parametrize(("photos", "tested"), [(10, 1), (29, 2), (30, 3)])
def test_a_tenth_of_the_photos_is_held_out(photo_folder, capsys, photos, tested):
    folder = photo_folder(photos)
    selection = select("--train_data", folder)
    assert (len(selection.train), len(selection.test)) == (photos - tested, tested)
    assert names(selection.train) | names(selection.test) == names(folder.iterdir())
    assert paths(selection.held_out) == selection.test
    assert f"Holding out {tested} of {photos} photos" in capsys.readouterr().out


@pytest.mark.parametrize(("photos", "steps"), [(1, 2), (3, 3), (5, 4)])
def test_there_are_as_many_steps_as_photos_within_limits(photo_folder, monkeypatch, photos, steps):
    monkeypatch.setattr("colorization.data.split._STEPS", (2, 4))
    folder = str(photo_folder(photos))
    for given, expected in (([], steps), (["--max_steps", "7"], 7)):
        words = ["--train_data", folder, "--test_data", folder, *given]
        options, _ = photos_for_training(parse("color", words), NOTE, True)
        assert options.max_steps == expected


@pytest.mark.parametrize("named", [[], ["--test_data", "test"]])
def test_the_size_of_each_photo_is_asked_for_once(photo_folder, tmp_path, monkeypatch, named):
    """On a network share each costs time, in each of a cluster's tasks; also in later starts."""
    folder = photo_folder(12)
    (tmp_path / "test").mkdir()
    for number in range(2):
        (folder / f"colour{number}.png").rename(tmp_path / "test" / f"{number}.png")
    asked, getsize = [], os.path.getsize

    def noted(path):
        asked.append(path)
        return getsize(path)

    monkeypatch.setattr(os.path, "getsize", noted)
    first = select("--train_data", folder, *named)
    trained = [path for path in asked if path in first.train]
    assert sorted(trained) == sorted(first.train)
    held_out.write(NOTE, first.held_out, first.trained_on)
    asked.clear()
    again = select("--train_data", folder, *named)
    trained = [path for path in asked if path in again.train]
    assert sorted(trained) == sorted(first.train) == sorted(again.train)


def test_no_more_than_200_are_held_out(photo_folder, tmp_path):
    photo = next(photo_folder(1).iterdir())
    (tmp_path / "many").mkdir()
    for number in range(2100):
        # A copy of a photo that is tested on would not be trained on.
        (tmp_path / "many" / f"{number}.png").write_bytes(photo.read_bytes() + b"%d" % number)
    selection = select("--train_data", "many")
    assert (len(selection.train), len(selection.test)) == (1900, 200)
    # Chance chooses them, not their place in the list.
    assert 700 < sum(int(Path(path).stem) for path in selection.test) / 200 < 1400


def test_however_the_photos_are_named_the_same_are_held_out(photo_folder, tmp_path):
    folder = photo_folder(40)
    first = names(select("--train_data", folder).test)
    assert names(select("--train_data", "photos").test) == first
    assert names(select("--train_data", *sorted(folder.iterdir(), reverse=True)).test) == first
    # Most of them stay where they are when photos are added.
    for photo in list(folder.iterdir())[:10]:
        shutil.copy(photo, folder / f"more {photo.name}")
    assert len(names(select("--train_data", folder).test) & first) >= 3


def test_gray_and_broken_photos_are_not_held_out(photo_folder):
    # There are so many that some would be held out.
    folder = photo_folder(40, gray=30, damaged=30)
    selection = select("--train_data", folder)
    assert 1 <= len(selection.test) < 10
    assert all(name.startswith("colour") for name in names(selection.test))
    assert len(selection.train) + len(selection.test) == 100


def test_a_photo_in_colour_is_held_out_even_if_the_tenth_has_none(
    photo_folder, monkeypatch, capsys
):
    """As in a family's archive: the first one that is drawn afterwards, on each machine."""
    folder = photo_folder(20)
    drawn = select("--train_data", folder).test
    for path in drawn:
        Image.open(path).convert("L").save(path)
    (next_drawn,) = select("--train_data", folder).test
    assert next_drawn not in drawn
    assert "Holding out 1 of 20 photos" in capsys.readouterr().out
    Path(next_drawn).write_bytes(b"broken")
    (other,) = select("--train_data", folder).test
    assert other not in (next_drawn, *drawn)
    # No more are looked at than that.
    capsys.readouterr()
    monkeypatch.setattr("colorization.data.split._MAX_LOOKED_AT", 3)
    assert {Path(path).parent.name for path in select("--train_data", folder).test} == {"test"}
    assert "No colour photo was found" in capsys.readouterr().out


@pytest.mark.parametrize("photos", [{"count": 9}, {"count": 0, "gray": 20}])
def test_without_enough_photos_the_bundled_ones_are_tested_on(photo_folder, photos, capsys):
    folder = photo_folder(**photos)
    selection = select("--train_data", folder)
    assert ("photos bundled" in capsys.readouterr().out) == ("gray" in photos)
    assert names(selection.train) == names(folder.iterdir())
    assert {Path(path).parent.name for path in selection.test} == {"test"}
    assert selection.held_out == []


def test_the_only_photo_of_colour_is_trained_on(photo_folder):
    folder = photo_folder(1, gray=9)
    selection = select("--train_data", folder)
    assert (len(selection.train), selection.held_out) == (10, [])


def test_photos_that_are_tested_on_are_not_trained_on(photo_folder, tmp_path, capsys):
    folder = photo_folder(12)
    (folder / "2019").mkdir()
    for number in range(5):
        (folder / f"colour{number}.png").rename(folder / "2019" / f"colour{number}.png")
    selection = select("--train_data", folder, "--test_data", "photos/2019")
    assert names(selection.test) == {f"colour{number}.png" for number in range(5)}
    assert names(selection.train) == {f"colour{number}.png" for number in range(5, 12)}
    assert names(paths(selection.held_out)) == names(selection.test)
    assert "Not training on 5 photos tested on now or before." in capsys.readouterr().out


def test_the_same_photos_may_be_trained_and_tested_on(photo_folder, capsys):
    folder = photo_folder(3)
    selection = select("--train_data", folder, "--test_data", folder)
    assert names(selection.train) == names(selection.test) == names(folder.iterdir())
    assert "flatter" in capsys.readouterr().out


def test_photos_in_the_data_folder_are_found(photo_folder, tmp_path):
    (tmp_path / "data").mkdir()
    photo_folder(12, name="data/train")
    assert len(select().test) == 1
    photo_folder(2, name="data/test")
    selection = select()
    # Those two are copies of two in the other folder.
    assert (len(selection.train), len(selection.test)) == (10, 2)
    assert names(paths(selection.held_out)) == names(selection.test)


def test_what_was_held_out_is_tested_on_later(photo_folder, tmp_path, capsys):
    noted = select("--train_data", photo_folder(30)).held_out
    options = parse("color", ["--mode", "predict"])
    held_out.write(NOTE, noted)
    capsys.readouterr()
    assert photos_for_testing(options, NOTE) == sorted(paths(noted))
    assert not capsys.readouterr().out
    Path(noted[0].path).unlink()
    # Where those of others lay that came with a model's weights, nobody knows.
    held_out.write(NOTE, [*noted, *held_out.anonymized([held_out.HeldOut("gs://a/b.jpg", -1, "")])])
    assert photos_for_testing(options, NOTE) == sorted(paths(noted)[1:])
    assert "Taking 2 of the 3 photos that were held out" in capsys.readouterr().out
    other = parse("color", ["--mode", "evaluate", "--test_data", "photos"])
    assert len(photos_for_testing(other, NOTE)) == 29
    held_out.write(NOTE, [])
    assert list((tmp_path / "model").iterdir()) == []
    capsys.readouterr()
    assert names(photos_for_testing(options, NOTE)).isdisjoint(names(paths(noted)))
    assert "bundled" in capsys.readouterr().out


DAMAGED = [b"", b"[1, 2", b"{}", b'{"1": 1}', b"[" * 100_000, b'[{"path": "a"}]', b"null"]
DAMAGED_BY_NAME = [
    *itertools.product(["held_out.json", "trained_on.json"], DAMAGED),
    ("held_out.json", b"[1]"),
    ("held_out.json", b'[{"path": "a", "bytes": 5, "sha256": "no digest"}]'),
]


@pytest.mark.parametrize(("name", "note"), DAMAGED_BY_NAME)
def test_nothing_is_trained_or_tested_on_where_a_note_is_damaged(photo_folder, name, note):
    photos = photo_folder(30)
    held_out.write(NOTE, select("--train_data", photos).held_out, frozenset([5]))
    (NOTE.parent / name).write_bytes(note)
    with pytest.raises(UserError, match=f"{name} is damaged.*best"):
        select("--train_data", photos)
    with pytest.raises(UserError, match=f"{name} is damaged.*best"):
        photos_for_testing(parse("color", ["--mode", "predict"]), NOTE)
    assert (NOTE.parent / name).read_bytes() == note
    # Photos that are named are tested on all the same.
    named = parse("color", ["--mode", "evaluate", "--test_data", str(photos)])
    assert len(photos_for_testing(named, NOTE)) == 30


def test_a_path_that_no_file_has_is_passed_over(tmp_path):
    (tmp_path / "model").mkdir()
    NOTE.write_bytes(b'["a\\u0000b"]')
    photos = photos_for_testing(parse("color", ["--mode", "predict"]), NOTE)
    assert {Path(path).parent.name for path in photos} == {"test"}


def test_prepared_photos_are_all_trained_on(photo_folder, tmp_path, capsys):
    from colorization.data.prepare import prepare

    prepare([str(path) for path in photo_folder(12).iterdir()], str(tmp_path / "prepared"), 0)
    selection = select("--train_data", "prepared")
    assert isinstance(selection.train, Shards)
    assert "testing it on the test photos bundled" in capsys.readouterr().out
    assert (len(selection.train), selection.held_out) == (12, [])


def count_in_graph(shards):
    """Photos of a data set that is made in a graph, as the Estimator makes it."""
    from colorization.data.dataset import eval_dataset
    from colorization.data.report import Report

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        batches = tf.compat.v1.data.make_initializable_iterator(
            eval_dataset(shards, 5, Report(len(shards)))
        )
        _, labels = batches.get_next()
        session.run(batches.initializer)
        seen = 0
        with contextlib.suppress(tf.errors.OutOfRangeError):
            while True:
                seen += len(session.run(labels["chroma"]))
    return seen


def test_prepared_photos_that_were_held_out_before_are_not_trained_on(photo_folder, capsys):
    from colorization.data.dataset import eval_dataset
    from colorization.data.prepare import prepare
    from colorization.data.report import Report

    folder = photo_folder(12)
    before = select("--train_data", folder)
    held_out.write(NOTE, before.held_out)
    prepare([str(path) for path in folder.iterdir()], "prepared", 0)
    for tests, count in (([], 1), (["--test_data", folder / "colour3.png"], 1)):
        capsys.readouterr()
        selection = select("--train_data", "prepared", *tests)
        assert len(selection.test) == count
        assert "Not training on the 1 photo held out before." in capsys.readouterr().out
        never = names([*selection.test, *paths(before.held_out)])
        batches = eval_dataset(selection.train, 5, Report(12))
        seen = sum(len(labels["chroma"]) for _, labels in batches)
        assert seen == 12 - len(never)
        assert count_in_graph(selection.train) == seen
    assert select("--train_data", "prepared").test == paths(before.held_out)


def test_what_the_source_of_a_warm_start_held_out_stays_held_out(photo_folder, capsys):
    first = select("--train_data", photo_folder(24))
    held_out.write(Path("source/held_out.json"), first.held_out)
    folder = photo_folder(30, name="more")
    for source in ("source", "source/model.ckpt-7", "source/best/model.ckpt-7"):
        selection = select("--train_data", folder, "--warm_start", source)
        assert names(selection.test) == names(first.test)
        assert selection.held_out == first.held_out
    assert "Testing on the 2 photos held out before" in capsys.readouterr().out


def test_nothing_to_find_is_refused():
    with pytest.raises(UserError, match="missing"):
        select("--train_data", "missing")


@pytest.mark.parametrize("name", [".gitkeep", "README.md", ".DS_Store"])
def test_a_data_folder_without_photos_is_as_good_as_none(photo_folder, tmp_path, capsys, name):
    folder = tmp_path / "data" / "train"
    folder.mkdir(parents=True)
    (folder / name).touch()
    assert select().bundled
    assert "no photos in data/train" in capsys.readouterr().out
    shutil.copytree(photo_folder(12), folder, dirs_exist_ok=True)
    assert len(select().train) == 11


def held_out_at_first(folder):
    """Names of the photos that a first training holds out; noted beside the model."""
    selection = select("--train_data", folder)
    held_out.write(NOTE, selection.held_out)
    return names(selection.test)


def test_held_out_photos_stay_so_under_another_path_and_beside_others(photo_folder, tmp_path):
    folder = photo_folder(20)
    first = held_out_at_first(folder)
    for number, photo in enumerate(photo_folder(20, name="more").iterdir()):
        (tmp_path / "photos" / f"more{number}.png").write_bytes(photo.read_bytes() + b"other")
    moved = folder.rename(tmp_path / "elsewhere")
    selection = select("--train_data", moved)
    assert names(selection.test) == first
    assert len(selection.train) == 38
    # Whoever measures the model finds them there.
    held_out.write(NOTE, selection.held_out)
    assert names(photos_for_testing(parse("color", []), NOTE)) == first
    # They can be renamed, too.
    for name in first:
        (moved / name).rename(moved / f"again {name}")
    assert names(select("--train_data", moved).test) == {f"again {name}" for name in first}


def test_held_out_photos_stay_so_when_they_are_edited_in_place(photo_folder, tmp_path, capsys):
    folder = photo_folder(40)
    first = select_and_note("--train_data", folder)
    for path in first.test[:2]:
        with open(path, "ab") as photo:
            photo.write(b"five stars")
    tests = ["--test_data", photo_folder(1, name="other")]
    for named in ([], tests):
        selection = select_and_note("--train_data", folder, *named)
        assert names(selection.train).isdisjoint(names(first.test))
    # Each is measured once.
    capsys.readouterr()
    measured = photos_for_testing(parse("color", ["--mode", "evaluate"]), NOTE)
    assert sorted(map(os.path.basename, measured)) == sorted(
        [*map(os.path.basename, first.test), "colour0.png"]
    )
    assert not capsys.readouterr().out
    prepare_photos(folder.iterdir(), "prepared")
    moved = folder.rename(tmp_path / "elsewhere")
    later = select("--train_data", moved)
    assert names(later.test) == names([*first.test, "colour0.png"])
    assert names(later.train).isdisjoint(names(first.test))
    assert seen(select("--train_data", "prepared").train) == 35


@pytest.mark.parametrize("elsewhere", [False, True])
def test_copies_of_held_out_photos_that_were_edited_are_not_trained_on(photo_folder, elsewhere):
    """As albums are made of photos that have got a rating; also of what is tested on elsewhere."""
    folder = photo_folder(20)
    first = select_and_note("--train_data", folder)
    with open(first.test[0], "ab") as photo:
        photo.write(b"five stars")
    album = photo_folder(3, name="album") if elsewhere else folder
    shutil.copy(first.test[0], album / "copy.png")
    prepare_photos(album.iterdir(), "prepared")
    content = hashlib.sha256((album / "copy.png").read_bytes()).hexdigest()
    for named in ([], ["--test_data", photo_folder(1, name="other")]):
        selection = select("--train_data", album, *named)
        assert selection.train and "copy.png" not in names(selection.train)
        prepared = select("--train_data", "prepared", *named)
        assert content in {photo.sha256 for photo in prepared.held_out}


def test_another_machine_holds_out_the_same(photo_folder, tmp_path):
    """A task of a cluster that cannot read the model's folder, its photos under another path."""
    folder = photo_folder(20)
    first = names(select("--train_data", folder).test)
    (tmp_path / "mnt").mkdir()
    assert names(select("--train_data", folder.rename(tmp_path / "mnt" / "disk")).test) == first


def test_copies_of_held_out_photos_are_not_trained_on(photo_folder, tmp_path):
    folder = photo_folder(20)
    for photo in list(folder.iterdir()):
        shutil.copy(photo, folder / f"copy of {photo.name}")
    selection = select("--train_data", folder)
    contents = [{Path(path).read_bytes() for path in part} for part in selection[:2]]
    assert contents[0].isdisjoint(contents[1])
    assert len(contents[0]) + len(contents[1]) == 20
    held_out.write(NOTE, selection.held_out)
    again = select("--train_data", folder)
    assert {Path(path).read_bytes() for path in again.test} == contents[1]
    assert {Path(path).read_bytes() for path in again.train} == contents[0]


def test_each_content_is_tested_on_once(photo_folder, tmp_path):
    """Whether copies were held out, or photos named later to test on are copies of such."""
    folder = photo_folder(12)
    for photo in list(folder.iterdir()):
        for number in range(6):
            shutil.copy(photo, folder / f"{photo.stem} ({number}).png")
    first = select_and_note("--train_data", folder)
    (tmp_path / "copies").mkdir()
    for number, path in enumerate(first.test):
        shutil.copy(path, tmp_path / "copies" / f"{number}.png")
    contents = [Path(path).read_bytes() for path in first.test]
    assert len(set(contents)) == len(contents) == len(first.held_out)
    select_and_note("--train_data", folder, "--test_data", tmp_path / "copies")
    again = select_and_note("--train_data", folder)
    named_later = photos_for_testing(parse("color", ["--mode", "evaluate"]), NOTE)
    prepare([str(path) for path in folder.iterdir()], str(tmp_path / "prepared"))
    prepared = select("--train_data", tmp_path / "prepared")
    for tested in (again.test, named_later, prepared.test):
        assert {Path(path).read_bytes() for path in tested} == set(contents)
        assert len(tested) == len(contents)


def test_copies_of_test_photos_are_not_trained_on(photo_folder, tmp_path):
    folder, other = photo_folder(6), photo_folder(2, name="other")
    selection = select("--train_data", folder, "--test_data", other)
    assert names(selection.train) == {f"colour{number}.png" for number in range(2, 6)}


def test_held_out_photos_are_not_trained_on_when_others_are_tested_on(photo_folder):
    folder = photo_folder(20)
    first = held_out_at_first(folder)
    selection = select("--train_data", folder, "--test_data", photo_folder(1, name="other"))
    assert names(selection.train).isdisjoint(first | {"colour0.png"})
    assert names(paths(selection.held_out)) == first | {"colour0.png"}


def test_notes_of_earlier_versions_are_understood(photo_folder, tmp_path):
    folder = photo_folder(12)
    NOTE.parent.mkdir()
    NOTE.write_text(json.dumps([str(folder / "colour3.png"), "/gone.png"]))
    assert photos_for_testing(parse("color", ["--mode", "predict"]), NOTE) == [
        str(folder / "colour3.png")
    ]
    selection = select("--train_data", folder)
    assert names(selection.test) == {"colour3.png"}
    assert len(selection.train) == 11


def select_and_note(*arguments):
    """What a training selects, and notes beside its model."""
    selection = select(*arguments)
    held_out.write(NOTE, selection.held_out, selection.trained_on)
    return selection


def renamed(folder, other, count=None):
    """A copy of a folder's photos, or of some, under other names."""
    other.mkdir()
    for number, photo in enumerate(sorted(folder.iterdir())[:count]):
        shutil.copy(photo, other / f"{number}.png")
    return other


@pytest.mark.parametrize("start", [[], ["--warm_start", "model"]])
@pytest.mark.parametrize("gone", [False, True])
def test_what_a_model_was_trained_on_is_not_held_out_later(
    photo_folder, tmp_path, monkeypatch, capsys, start, gone
):
    folder, tests = photo_folder(20), photo_folder(26, name="tests")
    for photo in tests.iterdir():
        if photo.name not in ("colour24.png", "colour25.png"):
            photo.unlink()
    first = select_and_note("--train_data", folder, "--test_data", tests)
    again = renamed(folder, tmp_path / "again")
    if gone:
        shutil.rmtree(tests)
    if start:
        monkeypatch.setattr(sys.modules[__name__], "NOTE", Path("other/held_out.json"))
    capsys.readouterr()
    later = select_and_note("--train_data", again, *start)
    assert names(later.train) == names(again.iterdir())
    assert later.held_out == first.held_out
    said = capsys.readouterr().out
    if gone:
        assert {Path(path).parent.name for path in later.test} == {"test"}
        assert "trained on photos of these sizes before" in said and "bundled" in said
    else:
        assert names(later.test) == names(first.test)
        assert "the 2 photos that it was tested on before" in said


def test_only_new_photos_are_held_out_of_a_model_that_goes_on(photo_folder, tmp_path):
    folder, listed = photo_folder(8), tmp_path / "few.txt"
    # One that is gone says nothing about the sizes of those that were trained on.
    listed.write_text("\n".join([*map(str, folder.iterdir()), "gone.jpg"]))
    few = select_and_note("--train_data", listed)
    assert set(map(str, folder.iterdir())) < set(few.train)
    more = photo_folder(40, name="more")
    held = select_and_note("--train_data", more)
    assert 2 <= len(held.test) <= 3
    assert {Path(path).read_bytes() for path in held.test}.isdisjoint(
        path.read_bytes() for path in folder.iterdir()
    )
    # A part of them in which none was held out.
    part = [path for path in more.iterdir() if path.name not in names(held.test)][:20]
    again = select_and_note("--train_data", *part)
    assert set(again.train) == {str(path) for path in part}
    assert set(again.test) == set(held.test)


def test_single_copies_of_held_out_photos_are_not_all_that_is_tested_on(
    photo_folder, tmp_path, colourful, capsys
):
    """Whether the other photos of a folder are new, were trained on, or are too few."""
    old = photo_folder(50)
    first = select_and_note("--train_data", old)
    shutil.copytree("model", "before")
    held, trained = list(map(Path, first.test)), list(map(Path, first.train))
    new = photo_folder(0, name="new")
    for number in range(40):
        Image.fromarray(colourful(90, 120, number)).save(new / f"larger{number}.png")
    assert len(select("--train_data", new).test) == 4
    # A training that goes on, a new one that starts from it, and the former ones again.
    shutil.copy(held[0], new / "copy.png")
    for start in ([], ["--warm_start", "before"]):
        capsys.readouterr()
        before, tested = "beside 1 photo held out before", []
        for said in (f"Holding out 4 of 41 photos to test on, {before}", "Testing on the 5 photos"):
            selection = select_and_note("--train_data", new, *start)
            assert len(selection.test) == 5 and len(selection.train) == 36
            assert {"copy.png"} <= names(selection.test) <= names(new.iterdir())
            assert len(selection.held_out) == 9
            assert said in capsys.readouterr().out
            tested.append(selection.test)
        # Their order decides which batch is the smaller last one, and so the loss.
        assert tested[0] == tested[1]
        shutil.rmtree("model")
    shutil.copytree("before", "model")
    for part in (trained[:30], trained[:7]):
        folder = photo_folder(0, name=f"part{len(part)}")
        for photo in (held[0], *part):
            shutil.copy(photo, folder)
        for _ in range(2):
            selection = select_and_note("--train_data", folder)
            assert names(selection.test) == names(first.test)
            assert names(selection.train) == names(part)
    # Where they are gone, the copy is all that there is.
    shutil.rmtree(old)
    capsys.readouterr()
    assert names(select("--train_data", "part7").test) == {held[0].name}
    assert "Testing on the 1 photo held out before." in capsys.readouterr().out


def test_photos_that_are_all_held_out_are_not_trained_on(photo_folder):
    first = select_and_note("--train_data", photo_folder(20))
    for tests in ([], ["--test_data", photo_folder(1, name="other")]):
        with pytest.raises(UserError, match=r"nothing is left to train on: all .* of 2 photos"):
            select("--train_data", *first.test, *tests)


def test_tests_that_were_trained_on_before_are_said_to_flatter(photo_folder, capsys):
    folder = photo_folder(9)
    select_and_note("--train_data", folder)
    select("--train_data", folder, "--test_data", folder / "colour3.png")
    assert "1 of 1 photos to test on are as large as" in capsys.readouterr().out


@pytest.mark.parametrize("tests", ["photos/colour3.png", "prepared"])
def test_tests_that_were_trained_on_before_flatter_for_good(photo_folder, capsys, tests):
    """Holding them out afterwards takes the doubt from none of them."""
    folder = photo_folder(9)
    prepare_photos([folder / "colour3.png"], "prepared")
    prepare_photos(folder.iterdir(), "all")
    select_and_note("--train_data", folder)
    for source in (folder, "all"):
        capsys.readouterr()
        selection = select_and_note("--train_data", source, "--test_data", tests)
        assert "1 of 1 photos to test on are as large as" in capsys.readouterr().out
        assert len(selection.held_out) == 1
    print_possibly_seen(selection.test, NOTE)
    assert "1 of 1 photos to test on are as large as" in capsys.readouterr().out


def test_bundled_photos_are_never_said_to_flatter(photo_folder, capsys, monkeypatch):
    """Photos of the same sizes may well be among thousands."""
    shutil.copytree(photo_folder(3), "data/bundled/test")
    monkeypatch.setattr("colorization.data.split.bundled_photos", lambda folder: folder)
    for _ in range(2):
        selection = select_and_note("--train_data", "photos")
        assert len(selection.test) == 3
    print_possibly_seen(selection.test, NOTE)
    assert "flatter" not in capsys.readouterr().out


def test_measuring_says_what_may_have_been_trained_on(photo_folder, capsys):
    folder = photo_folder(20)
    first = select_and_note("--train_data", folder)
    capsys.readouterr()
    for arguments, said in (((), ""), (("--test_data", folder), "18 of 20 photos to test on are")):
        options = parse("color", ["--mode", "evaluate", *map(str, arguments)])
        print_possibly_seen(photos_for_testing(options, NOTE), NOTE)
        out = capsys.readouterr().out
        assert out.startswith(said) and bool(out) == bool(said)
    # Held-out photos may be as large as others.
    held_out.write(NOTE, first.held_out, frozenset(held_out.file_sizes(first.test)))
    print_possibly_seen(first.test, NOTE)
    assert capsys.readouterr().out == ""


def test_prepared_photos_count_as_trained_on(photo_folder, colourful, capsys):
    from colorization.data.prepare import prepare

    folder = photo_folder(20)
    prepare([str(path) for path in folder.iterdir()], "prepared", 0)
    select_and_note("--train_data", "prepared")
    selection = select("--train_data", folder)
    assert (len(selection.train), selection.held_out) == (20, [])
    assert {Path(path).parent.name for path in selection.test} == {"test"}
    capsys.readouterr()
    print_possibly_seen(sorted(map(str, folder.iterdir())), NOTE)
    assert "20 of 20 photos to test on are as large as" in capsys.readouterr().out
    # Photos of other sizes are certainly none of them.
    new = photo_folder(0, name="new")
    for number in range(10):
        Image.fromarray(colourful(90, 120, number)).save(new / f"larger{number}.png")
    (path,) = select("--train_data", folder, new).test
    assert Path(path).parent == new


def test_tasks_of_a_cluster_hold_out_what_its_chief_does(photo_folder):
    """Photos may come or go between their starts."""
    folder = photo_folder(20)
    of_chief = select_and_note("--train_data", folder)
    for measures in (True, False):
        require_same_held_out(of_chief, NOTE, measures)
    NOTE.unlink()
    Path(of_chief.test[0]).rename(folder / "renamed.png")
    others = select("--train_data", folder)
    held_out.write(NOTE, of_chief.held_out)
    for measures in (True, False):
        with pytest.raises(UserError, match=r"photos have come or gone.*start this task again"):
            require_same_held_out(others, NOTE, measures)


def test_anonymized_photos_are_known_again(photo_folder, tmp_path):
    folder = photo_folder(20)
    first = select("--train_data", folder)
    remote = held_out.HeldOut("gs://bucket/photo.jpg", -1, "")
    held_out.write(NOTE, held_out.anonymized(held_out.anonymized([*first.held_out, remote])))
    assert str(tmp_path) not in NOTE.read_text() and "bucket" not in NOTE.read_text()
    again = renamed(folder, tmp_path / "again")
    found = held_out.same_content([*map(str, again.iterdir()), remote.path], held_out.read(NOTE))
    assert len(found) == 3 and remote.path in found
    photos = {Path(path).read_bytes() for path in found - {remote.path}}
    assert photos == {Path(path).read_bytes() for path in first.test}


def test_another_photo_under_the_path_of_one_held_out_is_not_tested_on(photo_folder, tmp_path):
    folder = photo_folder(20)
    first = select_and_note("--train_data", folder)
    contents = {Path(path).read_bytes() for path in first.test}
    for photo in sorted(folder.iterdir()):
        photo.rename(tmp_path / photo.name)
    for old, new in zip(range(20), [*range(1, 20), 0], strict=True):
        (tmp_path / f"colour{old}.png").rename(folder / f"colour{new}.png")
    later = select("--train_data", folder)
    assert {Path(path).read_bytes() for path in later.test} == contents
    assert contents.isdisjoint(Path(path).read_bytes() for path in later.train)
    # They are not measured either.
    for path in later.test:
        Path(path).unlink()
    found = photos_for_testing(parse("color", ["--mode", "evaluate"]), NOTE)
    assert {Path(path).parent.name for path in found} == {"test"}


def test_prepared_photos_that_are_all_held_out_are_not_trained_on(photo_folder):
    from colorization.data.prepare import prepare

    folder = photo_folder(3)
    held_out.write(NOTE, held_out.identify([str(path) for path in folder.iterdir()]))
    prepare([str(path) for path in folder.iterdir()], "prepared", 0)
    with pytest.raises(UserError, match=r"nothing is left to train on: all .* of 3 photos"):
        select("--train_data", "prepared")


def prepare_photos(paths, output):
    from colorization.data.prepare import prepare

    prepare([str(path) for path in paths], output, 0)


def seen(shards):
    from colorization.data.dataset import eval_dataset
    from colorization.data.report import Report

    batches = eval_dataset(shards, 5, Report(len(shards)))
    return sum(len(labels["chroma"]) for _, labels in batches)


def test_prepared_test_photos_are_not_trained_on(photo_folder, capsys):
    """Neither now nor later, from folders or prepared."""
    photos = sorted(photo_folder(8).iterdir())
    prepare_photos(photos[:3], "tests")
    prepare_photos(photos[2:], "overlapping")
    selection = select_and_note("--train_data", "photos", "--test_data", "tests")
    assert "Not training on 3 photos" in capsys.readouterr().out
    assert names(selection.train) == {path.name for path in photos[3:]}
    assert len(selection.held_out) == 3
    later = select("--train_data", "photos")
    assert names(later.train) == names(selection.train)
    assert names(later.test) == {path.name for path in photos[:3]}
    NOTE.unlink()
    capsys.readouterr()
    selection = select_and_note("--train_data", "overlapping", "--test_data", "tests")
    assert "Prepared photos that are tested on, if there are any" in capsys.readouterr().out
    assert (len(selection.test), seen(selection.train), count_in_graph(selection.train)) == (
        3,
        5,
        5,
    )
    assert names(select("--train_data", "photos").train) == {path.name for path in photos[3:]}
    # Where no size of a file is the same, there can be none.
    others = photo_folder(2, name="others")
    for photo in others.iterdir():
        photo.write_bytes(photo.read_bytes() + bytes(1000))
    prepare_photos(others.iterdir(), "different")
    capsys.readouterr()
    select("--train_data", "overlapping", "--test_data", "different")
    assert "Prepared photos" not in capsys.readouterr().out


def test_prepared_photos_that_are_all_tested_on(photo_folder, capsys):
    prepare_photos(photo_folder(3).iterdir(), "prepared")
    for source in ("prepared", "photos"):
        selection = select_and_note("--train_data", source, "--test_data", "prepared")
        printed = capsys.readouterr().out
        assert "All photos are trained and tested on" in printed and "Prepared" not in printed
        assert (len(selection.train), selection.held_out) == (3, [])
    assert seen(select("--train_data", "prepared", "--test_data", "prepared").train) == 3
    # An evaluation tells as well.
    print_possibly_seen(selection.test, NOTE)
    assert "3 of 3 photos to test on are as large as some" in capsys.readouterr().out


def forget_sizes(folder):
    """Makes prepared photos what an earlier version prepared."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, facts in manifest["shards"].items():
        shard = folder / name
        records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
        with tf.io.TFRecordWriter(str(shard)) as writer:
            for record in records:
                example = tf.train.Example.FromString(record)
                del example.features.feature["bytes"]
                writer.write(example.SerializeToString())
        del facts["sizes"]
        facts["bytes"] = shard.stat().st_size
        facts["sha256"] = hashlib.sha256(shard.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_test_photos_that_an_earlier_version_prepared(photo_folder, capsys):
    photos = sorted(photo_folder(8).iterdir())
    prepare_photos(photos[:3], "tests")
    prepare_photos(photos[2:], "overlapping")
    forget_sizes(Path("tests"))
    assert len(select("--train_data", "photos", "--test_data", "tests").train) == 8
    assert "to mend that, prepare them anew" in capsys.readouterr().out
    assert seen(select("--train_data", "overlapping", "--test_data", "tests").train) == 5
