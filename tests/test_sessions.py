"""Files of sessions: kept while they may be needed, removed afterwards."""

import os

import pytest
from platforms import link

from colorization.server.sessions import Sessions


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
    with sessions.request(session, uploads) as request:
        return request


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


def test_sessions_keep_their_last_requests(folder):
    sessions = Sessions(folder)
    requests = []
    for number in range(30):
        requests.append(begin(sessions, "a", [put(folder, f"hash{number}/photo.png")]))
        (requests[-1].folder / "picture.png").write_bytes(b"picture")
    kept = [request for request in requests if request.folder.exists()]
    assert kept == requests[-8:]
    assert len(files(folder)) == 4 * 8
    assert len({request.folder for request in requests}) == 30
    sessions.end("a")
    sessions.end("unknown")
    assert files(folder) == []


def test_a_request_that_goes_on_is_kept(folder):
    sessions = Sessions(folder)
    upload = put(folder, "long/photo.png")
    with sessions.request("a", [upload]) as long:
        for number in range(20):
            begin(sessions, "a", [put(folder, f"hash{number}/photo.png")])
        assert len(list(folder.iterdir())) == 2 * 8
        sessions.sweep(-10)
        assert files(folder) == sorted([long.folder, upload.parent, upload])
    sessions.sweep(60)
    assert upload.exists()
    sessions.sweep(-10)
    assert files(folder) == []


def test_a_session_may_end_before_its_requests(folder):
    sessions = Sessions(folder)
    with sessions.request("a", [put(folder)]) as request:
        assert not request.ended
        sessions.end("a")
        assert request.ended
        assert files(folder) == []
    assert sessions.latest("a") == []


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


def test_what_is_permanent_stays(folder):
    sessions = Sessions(folder)
    example = sessions.permanent_folder() / "example.png"
    example.write_bytes(b"example")
    begin(sessions, "a", [example])
    sessions.end("a")
    sessions.sweep(-10)
    assert files(folder) == [example.parent, example]


def test_sweeping_removes_what_is_old(folder):
    sessions = Sessions(folder)
    request = begin(sessions, "a", [put(folder)])
    put(folder, "never asked for/photo.png")
    (folder / "broken off").write_bytes(b"")
    sessions.sweep(60)
    assert request.folder.exists()
    assert len(files(folder)) == 6
    sessions.sweep(-10)
    assert files(folder) == []
    assert sessions.latest("a") == []
