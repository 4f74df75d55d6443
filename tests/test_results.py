"""The records of what has been coloured, damaged ones included."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from platforms import any_names
from predicting import read_finished

from colorization.data.own_results import OwnResults
from colorization.data.photo_files import Version
from colorization.data.records import Finished
from colorization.prediction.results import add_finished, read_scores

VERSION = Version(10, 1_790_000_000_123_456_789, "c0de")


def make_picture(output, name):
    path = output / "predicted" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@any_names
def test_the_last_line_about_each_picture_counts(tmp_path, monkeypatch):
    assert read_finished(tmp_path) == {}
    name = os.fsdecode(b"caf\xe9/1.jpg")
    for picture in (name, "2.jpg"):
        make_picture(tmp_path, picture)
    monkeypatch.chdir(tmp_path)
    add_finished(tmp_path, name, "photos/1.jpg", VERSION, {"rmse": 1.0, "psnr": float("inf")})
    add_finished(tmp_path, "2.jpg", "gs://bucket/2.jpg", VERSION, {"rmse": 2.0})
    add_finished(tmp_path, "2.jpg", "gs://bucket/2.jpg", VERSION, {}, hints="c0ffee")
    add_finished(tmp_path, "gone.jpg", "gone.jpg", VERSION, {"rmse": 3.0})
    assert read_finished(tmp_path) == {
        name: Finished(
            str(tmp_path / "photos/1.jpg"), VERSION, {"rmse": 1.0, "psnr": float("inf")}, "", ""
        ),
        "2.jpg": Finished("gs://bucket/2.jpg", VERSION, {}, "c0ffee", ""),
    }
    assert read_scores(tmp_path) == {
        name: {"rmse": 1.0, "psnr": float("inf")}, "2.jpg": {}, "gone.jpg": {"rmse": 3.0},
    }  # fmt: skip


def test_threads_do_not_mix_lines(tmp_path):
    names = [f"{number}.jpg" for number in range(200)]
    for name in names:
        make_picture(tmp_path, name)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: add_finished(tmp_path, name, name, VERSION, {}), names))
    assert set(read_finished(tmp_path)) == set(names)


@pytest.mark.parametrize(
    "damage",
    [
        b'{"picture": "b.jpg", "pho',
        b"\xff\xfe\x00\n",
        b"[1, 2]\n",
        b"7",
        b"[" * 100_000,
        b"{}\n",
        b'{"picture": "b.jpg", "photo": "/b.jpg", "scores": {"rmse": 1%s}}\n' % (b"0" * 400),
    ],
)
def test_damaged_lines_spoil_no_others(tmp_path, damage):
    for name in ("a.jpg", "b.jpg"):
        make_picture(tmp_path, name)
    add_finished(tmp_path, "a.jpg", "/a.jpg", VERSION, {"rmse": 1.0})
    with open(tmp_path / "finished.jsonl", "ab") as record:
        record.write(damage)
    assert list(read_finished(tmp_path)) == ["a.jpg"]
    # Nor is it taken for a picture of this program by others that look for photos.
    pictures = [(tmp_path / "predicted" / name).as_posix() for name in ("a.jpg", "b.jpg")]
    assert [bool(OwnResults().folder_of(path)) for path in pictures] == [True, False]
    add_finished(tmp_path, "b.jpg", "/b.jpg", VERSION, {"rmse": 2.0})
    assert list(read_finished(tmp_path)) == ["a.jpg", "b.jpg"]


def test_lying_figures_are_ignored_one_by_one(tmp_path):
    lies = {
        "a.jpg": {"rmse": "<script>", "psnr": -3, "note": None},
        "b.jpg": "great",
        "c.jpg": {"rmse": True, "psnr": [1]},
        "d.jpg": {"rmse": float("nan"), "psnr": 20},
        "e\0.jpg": {"rmse": 1},
        "\ud800.jpg": {"rmse": 1},
    }
    lines = []
    for name, scores in lies.items():
        if name < "e":
            make_picture(tmp_path, name)
        lines.append(json.dumps({"picture": name, "photo": "/photo.jpg", "scores": scores}))
    (tmp_path / "finished.jsonl").write_text("\n".join(lines))
    scores = {name: picture.scores for name, picture in read_finished(tmp_path).items()}
    assert scores == {"a.jpg": {}, "b.jpg": {}, "c.jpg": {}, "d.jpg": {"psnr": 20.0}}
