"""Files of sessions: kept while they may be needed, removed afterwards."""

import os

import pytest

from colorization.visits import Visits


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


def begin(visits, session, uploads):
    """A request that has ended already."""
    with visits.request(session, uploads) as request:
        return request


def test_only_files_in_the_folder_are_uploads(folder, tmp_path):
    visits = Visits(folder)
    path = put(folder)
    (folder / "link").symlink_to("/etc/passwd")
    (tmp_path / "outside.png").write_bytes(b"")
    assert visits.upload(str(path)) == path
    assert visits.upload(f"{folder}/hash/../hash/photo.png") == path
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
        assert visits.upload(other) is None, other


def test_sessions_keep_their_last_requests(folder):
    visits = Visits(folder)
    requests = []
    for number in range(30):
        requests.append(begin(visits, "a", [put(folder, f"hash{number}/photo.png")]))
        (requests[-1].folder / "picture.png").write_bytes(b"picture")
    kept = [request for request in requests if request.folder.exists()]
    assert kept == requests[-8:]
    assert len(files(folder)) == 4 * 8
    assert len({request.folder for request in requests}) == 30
    visits.end("a")
    visits.end("unknown")
    assert files(folder) == []


def test_a_request_that_goes_on_is_kept(folder):
    visits = Visits(folder)
    upload = put(folder, "long/photo.png")
    with visits.request("a", [upload]) as long:
        for number in range(20):
            begin(visits, "a", [put(folder, f"hash{number}/photo.png")])
        assert len(list(folder.iterdir())) == 2 * 8
        visits.sweep(-10)
        assert files(folder) == sorted([long.folder, upload.parent, upload])
    visits.sweep(60)
    assert upload.exists()
    visits.sweep(-10)
    assert files(folder) == []


def test_a_session_may_end_before_its_requests(folder):
    visits = Visits(folder)
    with visits.request("a", [put(folder)]) as request:
        assert not request.ended
        visits.end("a")
        assert request.ended
        assert files(folder) == []
    assert visits.latest("a") == []


def test_equal_uploads_stay_until_nobody_needs_them(folder):
    visits = Visits(folder)
    path = put(folder)
    begin(visits, "a", [path])
    begin(visits, "b", [path])
    visits.end("a")
    assert path.exists()
    visits.end("b")
    assert files(folder) == []


def test_an_upload_that_was_repeated_is_not_removed(folder):
    visits = Visits(folder)
    path = put(folder)
    begin(visits, "a", [path])
    os.utime(path, ns=(1, 1))  # as a second upload, which nobody has asked to colour yet
    visits.end("a")
    assert path.exists()


def test_what_is_permanent_stays(folder):
    visits = Visits(folder)
    example = visits.permanent_folder() / "example.png"
    example.write_bytes(b"example")
    begin(visits, "a", [example])
    visits.end("a")
    visits.sweep(-10)
    assert files(folder) == [example.parent, example]


def test_sweeping_removes_what_is_old(folder):
    visits = Visits(folder)
    request = begin(visits, "a", [put(folder)])
    put(folder, "never asked for/photo.png")
    (folder / "broken off").write_bytes(b"")
    visits.sweep(60)
    assert request.folder.exists()
    assert len(files(folder)) == 6
    visits.sweep(-10)
    assert files(folder) == []
    assert visits.latest("a") == []
