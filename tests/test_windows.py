"""Windows, as far as another system can show it: what it lacks, and how it writes paths."""

import json
import ntpath
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorization import console, files
from colorization.data import photos, places
from colorization.errors import UserError
from colorization.options import consistency, parse
from colorization.prediction import picture_names

ROOT = Path(__file__).resolve().parent.parent


class WindowsOs:
    """The module `os` with the paths of Windows."""

    name, sep, altsep, path = "nt", "\\", "/", ntpath

    def __getattr__(self, name):
        return getattr(os, name)


@pytest.fixture
def windows_paths(monkeypatch):
    for module in (console, consistency, photos, places, picture_names):
        monkeypatch.setattr(module, "os", WindowsOs())


@pytest.mark.usefixtures("windows_paths")
@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["C:\\p\\a.jpg", "c:/p/sub/b.jpg"], ["a.jpg", "sub/b.jpg"]),
        (["C:\\p\\a.jpg"], ["a.jpg"]),
        (["C:\\a.jpg", "D:\\p\\b.jpg"], ["a.jpg", "p/b.jpg"]),
        (["C:\\a.jpg", "D:\\a.jpg"], ["a.jpg", "a (2).jpg"]),
        (["C:\\a.jpg", "\\\\nas\\photos\\b.jpg"], ["a.jpg", "b.jpg"]),
        (["\\\\nas\\photos\\a.jpg", "\\\\nas\\photos\\x\\b.jpg"], ["a.jpg", "x/b.jpg"]),
    ],
    ids=["one drive", "one photo", "two drives", "same names", "drive and share", "one share"],
)
def test_names_of_pictures_have_slashes(paths, names):
    photo_places = places.places_in_common_folder(paths)
    assert list(picture_names.picture_names(photo_places).values()) == names


@pytest.mark.usefixtures("windows_paths")
def test_addresses_of_local_files():
    assert places.photo_id("file:///C:/x/a.jpg") == places.photo_id("C:\\x\\a.jpg")
    assert places.photo_id("gs://bucket/a.jpg") == "gs://bucket/a.jpg"


def test_a_model_folder_may_have_backslashes(windows_paths):
    assert parse("color", ["--model_dir", "D:\\models\\mine"]).model_dir[:2] == "D:"
    with pytest.raises(UserError, match=r"\["):
        parse("color", ["--model_dir", "models [1]"])


@pytest.mark.usefixtures("windows_paths")
def test_commands_are_quoted_for_its_shells():
    assert console.command_line(["python", "color.py", "C:\\My photos"]).endswith('"C:\\My photos"')


def test_a_drive_that_is_absent_is_refused(monkeypatch):
    for name in ("exists", "is_dir"):
        monkeypatch.setattr(Path, name, lambda path: False)
    with pytest.raises(UserError, match="--output"):
        files.require_writable("Z:/results", "output")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Output of `windows_run.py`, which is started once."""
    folder = tmp_path_factory.mktemp("windows")
    random = np.random.default_rng(0)
    for name in ("a.png", "sub/b.jpg"):
        path = folder / "photos" / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, [40, 50, 3], np.uint8)).save(path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1] if find_spec("gradio") else 0
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "windows_run.py"), str(folder), str(port)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


imitated = pytest.mark.skipif(os.name == "nt", reason="Windows needs no imitation")


@imitated
@pytest.mark.parametrize(
    "mode", ["train", "train on", "evaluate", "predict", "predict on", "prepare", "export", "serve"]
)
def test_every_mode_does_without_what_windows_lacks(run, mode):
    _, told = run
    if mode not in told:
        pytest.skip("needs Gradio")
    assert told[mode]["code"] == (143 if mode == "serve" else 0), told[mode]["errors"]
    assert "Traceback" not in told[mode]["errors"]


@imitated
def test_files_are_where_they_belong_and_nothing_is_left(run):
    folder, told = run
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    pictures = {f"results/color/predicted/{name}" for name in ("a.png", "sub/b.jpg")}
    assert pictures | {"models/color/evaluation.json", "data/prepared/manifest.json"} <= found
    assert "exports/color/1/saved_model.pb" in found
    assert not [name for name in found if "tmp" in name or "unfinished" in name]
    if "page" in told:
        assert told["page"] == [1, {}]
