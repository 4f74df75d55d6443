"""The tf.data pipelines: every photo once, against scikit-image, and who is left out."""

import itertools
import logging
import os
import shutil

import numpy as np
import pytest
from PIL import Image, ImageCms
from platforms import any_names, link
from skimage.color import rgb2lab

from colorization import machine
from colorization.data import dataset, lab_planes
from colorization.data.dataset import eval_dataset, predict_dataset, train_dataset
from colorization.data.lab_planes import to_sheet
from colorization.data.photo_files import read_file
from colorization.data.photos import find_photos
from colorization.data.report import Report
from colorization.errors import UserError


def batches(photos, count=None, **settings):
    """The batches of a data set as NumPy arrays, and its report."""
    paths = find_photos([str(photos)])
    report = Report(len(paths))
    make = settings.pop("make", eval_dataset)
    found = make(paths, report=report, **settings)
    return list((found.take(count) if count else found).as_numpy_iterator()), report


def joined(found, part, name):
    return np.concatenate([batch[part][name] for batch in found])


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "gif", "webp", "tif"])
def test_lightness_and_chroma_agree_with_scikit_image(tmp_path, colourful, kind):
    Image.fromarray(colourful(224, 224)).save(tmp_path / f"photo.{kind}", quality=95)
    picture = np.asarray(Image.open(tmp_path / f"photo.{kind}").convert("RGB"))
    expected = rgb2lab(picture)[..., 0]
    halved = rgb2lab(picture.reshape(112, 2, 112, 2, 3).mean((1, 3)) / 255)[..., 1:]

    # The way leads through bytes of 256 x 256, where smooth pictures lose little.
    (((features, labels),), _) = batches(tmp_path, batch_size=1)
    assert features["lightness"].shape == (1, 224, 224, 1)
    assert labels["chroma"].shape == (1, 112, 112, 2)
    assert np.abs(features["lightness"][0, ..., 0] - expected).mean() < 0.3
    assert np.abs(labels["chroma"][0] - halved).mean() < 1


def test_every_photo_comes_once_and_in_order(photo_folder):
    folder = photo_folder(5)
    found, report = batches(folder, batch_size=2)
    names = [os.path.basename(path) for path in joined(found, 0, "path")]
    assert names == [f"colour{number}.png".encode() for number in range(5)]
    assert [len(features["path"]) for features, _ in found] == [2, 2, 1]
    assert report.usable == 5


def test_gray_photos_and_toned_prints_are_left_out_and_counted(photo_folder, colourful):
    folder = photo_folder(2, gray=3)
    # A thing in colour makes a photo a colour photo; |a*|, |b*| < 1 does not, nor does sepia.
    gray = np.asarray(Image.linear_gradient("L"))
    spotted = np.dstack([gray] * 3)
    spotted[100:180, 60:160] = [255, 0, 0]
    Image.fromarray(spotted).save(folder / "spotted.png")
    sepia = (gray[..., None] / 255) ** [0.8, 1, 1.3] * [245, 225, 190]
    Image.fromarray(sepia.astype(np.uint8)).save(folder / "sepia.png")
    tinted = np.full([256, 256, 3], [128, 128, 129], np.uint8)
    Image.fromarray(tinted).save(folder / "tinted.png")
    found, report = batches(folder, batch_size=8)
    names = {os.path.basename(path) for path in joined(found, 0, "path")}
    assert names == {b"colour0.png", b"colour1.png", b"spotted.png"}
    assert {os.path.basename(path) for path in report.gray} == {
        "gray0.png",
        "gray1.png",
        "gray2.png",
        "tinted.png",
    }
    assert {os.path.basename(path) for path in report.toned} == {"sepia.png"}
    assert str(report) == "3 photos, 4 gray, 1 toned left out, 0 unreadable"


def test_damaged_files_are_skipped_named_once_and_counted(photo_folder, colourful, caplog):
    folder = photo_folder(3, damaged=1)
    whole = folder / "whole.jpg"
    Image.fromarray(colourful(200, 200)).save(whole)
    (folder / "truncated.jpg").write_bytes(whole.read_bytes()[:-400])
    (folder / "empty.png").touch()
    with caplog.at_level(logging.WARNING):
        found, report = batches(folder, batch_size=4, seed=1, make=train_dataset, count=6)
    assert len(joined(found, 0, "path")) == 24
    assert {os.path.basename(path) for path in report.unreadable} == {
        "damaged0.jpg",
        "truncated.jpg",
        "empty.png",
    }
    for name in ("damaged0.jpg", "truncated.jpg", "empty.png"):
        assert sum(name in record.getMessage() for record in caplog.records) == 1
    assert report.usable == 4


@pytest.mark.parametrize("make", [train_dataset, eval_dataset])
def test_a_set_without_usable_photos_ends(photo_folder, make):
    settings = {"seed": 1} if make is train_dataset else {}
    found, report = batches(photo_folder(0, gray=2, damaged=2), batch_size=1, make=make, **settings)
    assert found == []
    assert (report.usable, len(report.gray), len(report.unreadable)) == (0, 2, 2)


@pytest.mark.parametrize("share_of_memory", [0.25, 0.0])
def test_training_order_follows_the_seed(photo_folder, monkeypatch, share_of_memory):
    monkeypatch.setattr(dataset, "CACHE_SHARE_OF_MEMORY", share_of_memory)
    folder = photo_folder(6)

    def first(seed):
        found, _ = batches(folder, count=6, make=train_dataset, batch_size=2, seed=seed)
        return joined(found, 0, "path"), joined(found, 0, "lightness")

    (paths, lightness), (again, lightness_again), (other, _) = first(1), first(1), first(2)
    np.testing.assert_array_equal(paths, again)
    np.testing.assert_array_equal(lightness, lightness_again)
    assert list(paths) != list(other)
    # Two epochs: every photo twice, in another order.
    assert sorted(paths[:6]) == sorted(paths[6:]) == sorted(set(paths))
    assert list(paths[:6]) != list(paths[6:])


def test_half_size_examples_are_the_means_of_the_others(photo_folder):
    folder = photo_folder(3)
    settings = {"count": 2, "make": train_dataset, "batch_size": 3, "seed": 1}
    whole, _ = batches(folder, **settings)
    half, _ = batches(folder, half_size=True, **settings)
    for part, name in ((0, "lightness"), (1, "chroma")):
        values, expected = joined(half, part, name), joined(whole, part, name)
        count, height, width, channels = expected.shape
        expected = expected.reshape(count, height // 2, 2, width // 2, 2, channels).mean((2, 4))
        np.testing.assert_allclose(values, expected, atol=1e-4)
    np.testing.assert_array_equal(joined(half, 0, "path"), joined(whole, 0, "path"))


def test_training_examples_are_windows_of_the_sheet_some_mirrored(tmp_path, colourful):
    photo = Image.fromarray(colourful(256, 256))
    photo.save(tmp_path / "photo.png")
    sheet, _ = to_sheet(photo)
    chroma = np.stack([sheet[256:, :128], sheet[256:, 128:]], axis=-1) - 128.0
    windows = {}
    for top, left in itertools.product(range(17), repeat=2):
        window = sheet[2 * top : 2 * top + 224, 2 * left : 2 * left + 224]
        windows[window.tobytes()] = (top, left, 1)
        windows[window[:, ::-1].tobytes()] = (top, left, -1)
    seen = set()
    found, _ = batches(tmp_path, count=40, make=train_dataset, batch_size=1, seed=3)
    for features, labels in found:
        encoded = features["lightness"][0, ..., 0] * 2.55
        top, left, step = place = windows[np.rint(encoded).astype(np.uint8).tobytes()]
        np.testing.assert_allclose(encoded, np.rint(encoded), atol=1e-4)
        expected = chroma[top : top + 112, left : left + 112][:, ::step]
        np.testing.assert_array_equal(labels["chroma"][0], expected)
        seen.add(place)
    assert len(seen) > 30
    assert {step for *_, step in seen} == {1, -1}


def test_prediction_keeps_gray_photos_and_has_no_labels(photo_folder):
    found, report = batches(photo_folder(1, gray=1, damaged=1), batch_size=4, make=predict_dataset)
    assert set(found[0]) == {"lightness", "path"}
    assert found[0]["lightness"].shape == (2, 224, 224, 1)
    assert (len(report.gray), len(report.unreadable)) == (0, 1)


@any_names
def test_names_of_any_bytes_come_through(photo_folder, colourful):
    folder = photo_folder(0)
    name = os.fsencode(folder) + b"/caf\xe9 \xff.png"
    with open(name, "wb") as file:
        Image.fromarray(colourful(8, 8)).save(file, "PNG")
    found, _ = batches(folder, batch_size=1)
    assert joined(found, 0, "path").tolist() == [name]


def test_more_than_half_unreadable_stops_the_run(photo_folder):
    paths = find_photos([str(photo_folder(2, damaged=3))])
    report = Report(len(paths))
    with pytest.raises(UserError, match=r"3 of 5 .* damaged0\.jpg"), report.as_user_error():
        list(train_dataset(paths, 1, 1, report).take(20))
    predicted, report = batches(os.path.dirname(paths[0]), make=predict_dataset, batch_size=5)
    assert len(predicted[0]["path"]) == 2


@any_names
def test_the_list_of_unreadable_photos_is_written_and_removed(tmp_path, caplog):
    # Names that are no text cannot be sent from one test process to another, as logs are.
    caplog.set_level(logging.CRITICAL)
    report = Report(3)
    report.add_unreadable("b/caf\udce9.jpg", "empty file")
    report.add_unreadable("a.jpg", "not a picture")
    report.add_unreadable("c/two\nlines.jpg", "empty file")
    assert "two\\nlines.jpg (empty file)" in str(report)
    report.write_unreadable(str(tmp_path / "list.txt"))
    expected = b"a.jpg\tnot a picture\nb/caf\xe9.jpg\tempty file\nc/two\\nlines.jpg\tempty file\n"
    assert (tmp_path / "list.txt").read_bytes() == expected
    # Another run keeps the lines of photos that it has not come to.
    again = Report(3)
    again.recall_unreadable(str(tmp_path / "list.txt"), ["a.jpg", "b/caf\udce9.jpg", "new.jpg"])
    again.add_readable("a.jpg")
    again.add_unreadable("new.jpg", "empty file")
    again.write_unreadable(str(tmp_path / "list.txt"))
    expected = b"b/caf\xe9.jpg\tempty file\nnew.jpg\tempty file\n"
    assert (tmp_path / "list.txt").read_bytes() == expected
    again.add_readable("b/caf\udce9.jpg")
    again.add_readable("new.jpg")
    again.write_unreadable(str(tmp_path / "list.txt"))
    assert list(tmp_path.iterdir()) == []
    again.recall_unreadable(str(tmp_path / "list.txt"), ["a.jpg"])


def test_remembered_pictures_are_those_of_the_first_epoch(photo_folder, monkeypatch):
    """Several epochs of 11 photos, some left out: the same batches with memory and without."""
    folder = photo_folder(8, gray=2, damaged=1)

    def train():
        return batches(folder, count=20, make=train_dataset, batch_size=2, seed=4)

    remembered, report = train()
    monkeypatch.setattr(dataset, "CACHE_SHARE_OF_MEMORY", 0.0)
    straight, same_report = train()
    assert str(report) == str(same_report)
    for part, name in ((0, "path"), (0, "lightness"), (1, "chroma")):
        np.testing.assert_array_equal(joined(remembered, part, name), joined(straight, part, name))
    # Eight photos an epoch, each once.
    paths = joined(remembered, 0, "path")
    assert len(set(paths[:8])) == len(set(paths[8:16])) == 8


def test_what_a_container_may_not_hold_is_opened_again(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CONTROL_GROUPS", tmp_path)
    opened = []
    monkeypatch.setattr(
        lab_planes, "read_file", lambda path: (opened.append(path), read_file(path))[1]
    )
    folder = photo_folder(2)
    for text, again in (("max\n", False), (str(2**16), True)):
        (tmp_path / "memory.max").write_text(text)
        opened.clear()
        batches(folder, count=8, make=train_dataset, batch_size=2, seed=1)
        assert (len(opened) > 2) == again


def test_remembered_photos_are_not_opened_again(photo_folder):
    folder = photo_folder(4)
    paths = find_photos([str(folder)])
    found = iter(train_dataset(paths, 4, 1, Report(4)))
    for _ in range(8):
        next(found)
    for path in folder.iterdir():
        path.unlink()
    for _ in range(40):
        features, _ = next(found)
    assert sorted(features["path"].numpy()) == [os.fsencode(path) for path in paths]
    del found


def test_photos_to_test_on_are_opened_once_if_they_fit_into_memory(photo_folder, monkeypatch):
    """But for those that could not be opened."""
    folder = photo_folder(4, gray=1)
    paths = find_photos([str(folder)])
    hidden = (folder / "colour1.png").rename(folder / "hidden")
    memory, report = {}, Report(5)

    def measured():
        return list(eval_dataset(paths, 3, report, memory=memory).as_numpy_iterator())

    assert [len(features["path"]) for features, _ in measured()] == [3]
    assert (report.usable, len(report.unreadable)) == (3, 1)
    shutil.copy(hidden, folder / "colour1.png")
    found, again = measured(), list(eval_dataset(paths, 3, Report(5)).as_numpy_iterator())
    assert (str(report), len(memory)) == ("4 photos, 1 gray left out, 0 unreadable", 5)
    for path in folder.iterdir():
        path.unlink()
    for batches in (found, measured()):
        for part, name in ((0, "path"), (0, "lightness"), (1, "chroma")):
            np.testing.assert_array_equal(joined(batches, part, name), joined(again, part, name))
    monkeypatch.setattr(dataset, "TEST_SHARE_OF_MEMORY", 0.0)
    with pytest.raises(UserError, match="3 of 5"), report.as_user_error():
        measured()


def test_every_kind_of_photo_at_once(tmp_path, colourful):
    """A folder of one of each kind, good and bad."""
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = Image.fromarray(colourful(90, 70))
    exif = Image.Exif()
    exif[274] = 6
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.save(folder / "rotated.jpg", exif=exif)
    picture.save(folder / "profile.jpg", icc_profile=srgb)
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.convert("CMYK").save(folder / "cmyk.tif")
    picture.convert("RGBA").save(folder / "alpha.png")
    picture.convert("P").save(folder / "palette.png")
    for kind in ("webp", "tif", "bmp", "gif", "png"):
        picture.save(folder / f"plain.{kind}")
    picture.save(folder / "no_extension", "JPEG")
    picture.save(folder / "really_a_png.jpg", "PNG")
    Image.fromarray(colourful(20, 3000)).save(folder / "wide.jpg")
    Image.fromarray(colourful(3000, 20)).save(folder / "tall.png")
    Image.fromarray(colourful(5, 5)).save(folder / "tiny.png")
    good = {path.name for path in folder.iterdir()}
    picture.convert("L").save(folder / "gray8.jpg")
    Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64) * 16).save(
        folder / "gray16.tif"
    )
    (folder / "text.jpg").write_text("Dear diary")
    (folder / "empty.jpg").touch()
    (folder / "cut.jpg").write_bytes((folder / "profile.jpg").read_bytes()[:-300])
    link(folder / "folder.jpg", tmp_path)
    link(folder / "gone.jpg", tmp_path / "nothing")
    found, report = batches(folder, batch_size=6)
    assert {os.path.basename(path).decode() for path in joined(found, 0, "path")} == good
    assert {os.path.basename(path) for path in report.gray} == {"gray8.jpg", "gray16.tif"}
    assert {os.path.basename(path): reason.split(":")[0] for path, reason in
            report.unreadable.items()} == {
        "text.jpg": "not a picture",
        "empty.jpg": "empty file",
        "cut.jpg": "damaged",
        "gone.jpg": "no such file or directory",
    }  # fmt: skip
    assert str(report).startswith(f"{len(good)} photos, 2 gray left out, 4 unreadable: cut.jpg (")
    assert str(report).endswith(" and 1 more")


def test_aged_photos_keep_their_chroma_and_age_alike_in_batches_of_any_size(photo_folder):
    folder = photo_folder(5)
    clean, _ = batches(folder, batch_size=2)
    ones, _ = batches(folder, batch_size=1, aged=1)
    pairs, _ = batches(folder, batch_size=2, aged=1)
    lightness = joined(ones, 0, "lightness")
    np.testing.assert_allclose(lightness, joined(pairs, 0, "lightness"), atol=1e-3)
    changed = np.abs(lightness - joined(clean, 0, "lightness")).mean(axis=(1, 2, 3))
    assert changed.min() > 0.5
    np.testing.assert_array_equal(joined(ones, 1, "chroma"), joined(clean, 1, "chroma"))


def test_a_share_of_aged_photos_is_the_same_each_time(photo_folder):
    folder = photo_folder(12)
    lightness = [
        joined(batches(folder, batch_size=size, aged=share)[0], 0, "lightness")
        for size, share in ((4, 0), (4, 0.5), (3, 0.5))
    ]
    clean, some, again = lightness
    np.testing.assert_allclose(some, again, atol=1e-3)
    changed = (np.abs(some - clean).mean(axis=(1, 2, 3)) > 0.5).sum()
    assert 2 <= changed <= 10


@pytest.mark.parametrize("half_size", [False, True])
def test_training_ages_a_share_of_the_examples(photo_folder, half_size):
    settings = {"make": train_dataset, "batch_size": 8, "seed": 1, "half_size": half_size}
    folder = photo_folder(4)
    clean, _ = batches(folder, count=4, **settings)
    aged, _ = batches(folder, count=4, aged=0.5, **settings)
    changed = joined(aged, 0, "lightness") != joined(clean, 0, "lightness")
    assert 0.2 < np.mean(changed.any(axis=(1, 2, 3))) < 0.8
    np.testing.assert_array_equal(joined(aged, 1, "chroma"), joined(clean, 1, "chroma"))


@pytest.mark.parametrize("make", [eval_dataset, train_dataset])
def test_labels_tell_the_folder_that_a_photo_lies_in(tmp_path, photo_folder, make):
    (tmp_path / "all").mkdir()
    for name in ("cat", "dog", "emu"):
        photo_folder(1, name=name).rename(tmp_path / "all" / name)
    settings = {"seed": 1, "count": 1} if make is train_dataset else {}
    settings |= {"batch_size": 3, "class_names": ("dog", "cat")}
    (((features, labels),), _) = batches(tmp_path / "all", make=make, **settings)
    numbers = {b"dog": 0, b"cat": 1, b"emu": -1}
    expected = [numbers[path.split(os.fsencode(os.sep))[-2]] for path in features["path"]]
    np.testing.assert_array_equal(labels["class"], expected)
