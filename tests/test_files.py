"""Files that are there whole or not at all, and folders of one process."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from colorization import files
from colorization.errors import UserError
from colorization.files import atomic_write, files_below, private_folder, remove_left_behind


def test_errors_name_what_the_user_knows(tmp_path):
    there, missing = tmp_path / "file", tmp_path / "missing" / "file"
    with pytest.raises(FileNotFoundError) as error, atomic_write(missing) as temporary:
        temporary.write_bytes(b"")
    assert error.value.filename == str(missing)
    with pytest.raises(PermissionError) as error, atomic_write(there) as temporary:
        raise PermissionError(errno.EACCES, "Permission denied", str(temporary))
    assert error.value.filename == str(tmp_path)


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_folders_of_killed_processes_go(tmp_path, monkeypatch, dead):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(files, "_NAMESPACE", str(tmp_path / "none"))
    with private_folder() as first:
        left_behind = tmp_path / first.name.replace(f"-{os.getpid()}-", f"-{dead}-")
        left_behind.mkdir()
        (left_behind / "photo.jpg").touch()
        others = tmp_path / "colorize-of-somebody.tmp"
        others.mkdir()
        with private_folder() as second:
            assert {*tmp_path.iterdir()} == {first, second, others}
    assert {*tmp_path.iterdir()} == {others}


def test_containers_that_share_a_name_leave_each_others_work_alone(tmp_path, monkeypatch, dead):
    namespace = tmp_path / "namespace"
    namespace.touch()
    monkeypatch.setattr(files, "_NAMESPACE", str(namespace))
    with atomic_write(tmp_path / "film.mp4") as temporary:
        fresh = temporary.with_name(temporary.name.replace(f"-{os.getpid()}-", f"-{dead}-"))
        silent = fresh.with_name(f"{fresh.name}.mp4")
        for path in (temporary, fresh, silent):
            path.write_bytes(b"half")
        os.utime(silent, (0, 0))
        remove_left_behind(tmp_path)
        assert {*tmp_path.iterdir()} == {namespace, temporary, fresh}
        namespace.unlink()
        remove_left_behind(tmp_path)
        assert {*tmp_path.iterdir()} == {temporary}


def test_files_are_listed_by_their_paths_below_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["a.jpg", "b/c d.jpg", "b/été/e.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for folder in (Path(), tmp_path):
        assert sorted(files_below(folder)) == names
    for folder in (Path("b"), tmp_path / "b"):
        assert sorted(files_below(folder)) == ["c d.jpg", "été/e.jpg"]
    assert list(files_below(Path("missing"))) == []


def test_a_file_is_no_folder_to_write_to(tmp_path):
    (tmp_path / "photo.jpg").touch()
    for path in ("photo.jpg", "photo.jpg/below"):
        with pytest.raises(UserError, match=r"photo\.jpg is a file; name a folder in --output"):
            files.require_writable(str(tmp_path / path), "output")


def test_remote_folders_are_no_folders_below_this_one(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    files.require_writable("gs://bucket/prepared", "output")
    with pytest.raises(UserError, match="cannot write to prepared"):
        files.require_writable("prepared", "output")
