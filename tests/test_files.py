"""Files that are there whole or not at all, and folders of one process."""

import errno
import os
import subprocess
import sys

import pytest

from colorization.files import atomic_write, private_folder


def test_errors_name_what_the_user_knows(tmp_path):
    there, missing = tmp_path / "file", tmp_path / "missing" / "file"
    with pytest.raises(FileNotFoundError) as error, atomic_write(missing) as temporary:
        temporary.write_bytes(b"")
    assert error.value.filename == str(missing)
    with pytest.raises(PermissionError) as error, atomic_write(there) as temporary:
        raise PermissionError(errno.EACCES, "Permission denied", str(temporary))
    assert error.value.filename == str(tmp_path)


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
