"""Files of sessions: kept while they may be needed, removed afterwards."""

import os
import time

import pytest
from platforms import link

from colorization.server import sessions as module
from colorization.server.sessions import Sessions

MINUTE, HOUR = 60, 3600


@pytest.fixture
def folder(tmp_path):
    private = tmp_path / "private"
    private.mkdir()
    return private


def put(folder, name="hash/photo.png"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"photo")
    return path


def files(folder):
    return sorted(path for path in folder.rglob("*"))


def begin(sessions, session, uploads):
    """A request that has ended already."""
    request = sessions.expect(session, sessions.uploads(map(str, uploads)))
    with sessions.running(request):
        return request


def in_a(duration, monkeypatch):
    """Lets so many seconds pass."""
    later = time.time() + duration + 1
    monkeypatch.setattr(module.time, "time", lambda: later)


def test_only_files_in_the_folder_are_uploads(folder, tmp_path):
    sessions = Sessions(folder)
    path = put(folder)
    link(folder / "link", "/etc/passwd")
    (tmp_path / "outside.png").write_bytes(b"")
    assert sessions.upload(str(path)) == path
    assert sessions.upload(f"{folder}/hash/../hash/photo.png") == path
    for other in (
        "/etc/passwd",
        f"{folder}/link",
        f"{folder}/../outside.png",
        str(folder),
        str(path.parent),
        f"{path}x",
        "http://example.org/photo.png",
        f"{path}\0",
        "",
        None,
        5,
        [str(path)],
    ):
        assert sessions.upload(other) is None, other


def test_results_stay_for_a_minute_however_many_there_are(folder, monkeypatch):
    sessions = Sessions(folder)
    requests = []
    for number in range(30):
        requests.append(begin(sessions, "a", [put(folder, f"hash{number}/photo.png")]))
        (requests[-1].folder / "picture.png").write_bytes(b"picture")
    assert all((request.folder / "picture.png").exists() for request in requests)
    assert len({request.folder for request in requests}) == 30
    in_a(MINUTE, monkeypatch)
    requests.append(begin(sessions, "a", [put(folder, "hash30/photo.png")]))
    kept = [request for request in requests if not request.gone]
    assert kept == requests[-8:]
    assert len(list(folder.iterdir())) == 2 * 8
    sessions.end("a")
    sessions.end("unknown")
    assert files(folder) == []


def test_a_request_that_runs_or_waits_is_kept(folder, monkeypatch):
    sessions = Sessions(folder)
    upload, awaited = put(folder, "long/photo.png"), put(folder, "awaited/photo.png")
    waiting = sessions.expect("a", {awaited})
    long = sessions.expect("a", {upload})
    with sessions.running(long):
        # Of the same photo, and of others, that have ended.
        for number in range(20):
            begin(sessions, "a", [put(folder, f"hash{number}/photo.png"), awaited])
        in_a(MINUTE, monkeypatch)
        begin(sessions, "a", [])
        assert not long.gone
        assert upload.exists()
        assert awaited.exists()
        in_a(HOUR, monkeypatch)
        sessions.sweep()
        assert files(folder) == sorted([long.folder, upload.parent, upload])
        with pytest.raises(FileNotFoundError), sessions.running(waiting):
            pass
    sessions.sweep()
    assert upload.exists()
    in_a(HOUR, monkeypatch)
    sessions.sweep()
    assert files(folder) == []


def test_a_session_may_end_before_its_requests(folder):
    sessions = Sessions(folder)
    running, waiting = (sessions.expect("a", {put(folder)}) for _ in range(2))
    with sessions.running(running):
        assert not running.gone
        sessions.end("a")
        assert running.gone
        assert files(folder) == []
    assert sessions.latest("a") == []
    with pytest.raises(FileNotFoundError), sessions.running(waiting):
        pass
    assert files(folder) == []


def test_a_session_ends_when_all_have_left_and_nobody_comes_back(folder, monkeypatch):
    sessions = Sessions(folder)
    with sessions.visit("a"):
        with sessions.visit("a"):
            request = begin(sessions, "a", [put(folder)])
        in_a(MINUTE, monkeypatch)
        sessions.sweep()
        assert not request.gone
    with sessions.visit("a"):
        in_a(MINUTE, monkeypatch)
        sessions.sweep()
        assert not request.gone
    sessions.sweep()
    assert not request.gone
    in_a(MINUTE, monkeypatch)
    sessions.sweep()
    assert files(folder) == []


def test_requests_without_a_session_are_nobody_elses(folder):
    sessions = Sessions(folder)
    first, second = (begin(sessions, None, [put(folder)]) for _ in range(2))
    sessions.end(first.session)
    assert first.gone
    assert not second.gone


def test_equal_uploads_stay_until_nobody_needs_them(folder):
    sessions = Sessions(folder)
    path = put(folder)
    begin(sessions, "a", [path])
    begin(sessions, "b", [path])
    sessions.end("a")
    assert path.exists()
    sessions.end("b")
    assert files(folder) == []


def test_an_upload_that_was_repeated_is_not_removed(folder):
    sessions = Sessions(folder)
    path = put(folder)
    begin(sessions, "a", [path])
    os.utime(path, ns=(1, 1))  # as a second upload, which nobody has asked to colour yet
    sessions.end("a")
    assert path.exists()


def test_what_is_permanent_stays(folder, monkeypatch):
    sessions = Sessions(folder)
    example = sessions.permanent_folder() / "example.png"
    example.write_bytes(b"example")
    begin(sessions, "a", [example])
    sessions.end("a")
    in_a(HOUR, monkeypatch)
    sessions.sweep()
    assert files(folder) == [example.parent, example]


def test_sweeping_removes_what_is_old(folder, monkeypatch):
    sessions = Sessions(folder)
    request = begin(sessions, "a", [put(folder)])
    put(folder, "never asked for/photo.png")
    (folder / "broken off").write_bytes(b"")
    sessions.sweep()
    assert request.folder.exists()
    assert len(files(folder)) == 6
    in_a(HOUR, monkeypatch)
    sessions.sweep()
    assert files(folder) == []
    assert sessions.latest("a") == []
