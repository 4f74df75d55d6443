"""Folders of one process."""

import os
import subprocess
import sys

from colorization.files import private_folder


def test_folders_of_killed_processes_go(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with private_folder() as first:
        left_behind = tmp_path / first.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
        left_behind.mkdir()
        (left_behind / "photo.jpg").touch()
        others = tmp_path / "colorize-of-somebody.tmp"
        others.mkdir()
        with private_folder() as second:
            assert {*tmp_path.iterdir()} == {first, second, others}
    assert {*tmp_path.iterdir()} == {others}
