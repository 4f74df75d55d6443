"""Files of sessions: kept while they may be needed, removed afterwards."""

import contextlib
import os
import time
from pathlib import Path

import pytest
from platforms import link

from colorization.server import sessions as module
from colorization.server.sessions import Result, Sessions

MINUTE, WHILE, HOUR = 60, 660, 3600


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
    kept = [request for request in requests if not request.is_gone]
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
        # These requests, of the same photo and of others, have ended.
        for number in range(20):
            begin(sessions, "a", [put(folder, f"hash{number}/photo.png"), awaited])
        in_a(MINUTE, monkeypatch)
        begin(sessions, "a", [])
        assert not long.is_gone
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
        assert not running.is_gone
        sessions.end("a")
        assert running.is_gone
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
        assert not request.is_gone
    with sessions.visit("a"):
        in_a(MINUTE, monkeypatch)
        sessions.sweep()
        assert not request.is_gone
    in_a(MINUTE, monkeypatch)
    sessions.sweep()
    assert not request.is_gone
    in_a(WHILE, monkeypatch)
    sessions.sweep()
    assert files(folder) == []


def test_a_tab_that_is_loaded_anew_gets_what_it_had(folder, monkeypatch):
    sessions = Sessions(folder)
    assert sessions.come_back("tab", "a") == []
    # Before its first sign.
    sessions.sweep()
    with sessions.visit("a"):
        request = begin(sessions, "a", [photo := put(folder)])
        request.inputs = [photo], "color", 1.5, None
        request.results = ["result"]
        # Somebody is still there, in a tab that this one is a copy of.
        assert sessions.come_back("tab", "b") is None
        assert sessions.latest("a") == ["result"]
    assert sessions.come_back("tab", "c") == [request]
    assert (sessions.latest("a"), sessions.latest("c")) == ([], ["result"])
    assert sessions.come_back("other tab", "d") == []
    in_a(WHILE, monkeypatch)
    sessions.sweep()
    assert not request.is_gone
    sessions.end("c")
    assert files(folder) == []
    sessions.sweep()
    assert sessions.come_back("tab", "e") == []


def test_requests_without_a_session_are_nobody_elses(folder):
    sessions = Sessions(folder)
    first, second = (begin(sessions, None, [put(folder)]) for _ in range(2))
    sessions.end(first.session)
    assert first.is_gone
    assert not second.is_gone


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


def test_what_was_not_received_whole_goes_when_no_upload_is_under_way(folder):
    sessions = Sessions(folder)
    whole = put(folder)
    with sessions.uploading():
        with contextlib.suppress(ConnectionError), sessions.uploading():
            (folder / "tmp1").write_bytes(b"half")
            raise ConnectionError
        (folder / "tmp2").write_bytes(b"half")
        assert (folder / "tmp1").exists()
    assert files(folder) == [whole.parent, whole]


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


def painted(sessions, session, photo, strokes):
    """The result of a request of its own, as a photo is coloured."""
    request = begin(sessions, session, [photo])
    names = ("0/photo.png", "0-gray.jpg", "0-coloured.jpg", "0.npz")
    result = Result(*(request.folder / name for name in names), photo, strokes)
    request.results.append(result)
    return result


def test_strokes_are_kept_by_photo_and_replaced_only_if_nobody_painted_since(folder):
    sessions, photo = Sessions(folder), put(folder)
    first, second = ([{"colour": colour}] for colour in ("#000000", "#ffffff"))
    former, result = (painted(sessions, "ada", photo, strokes) for strokes in ((), first))
    assert sessions.show("ada", result) == result
    assert sessions.shown("eve") is None
    assert former.key != result.key
    assert sessions.strokes("ada", photo) == first
    assert sessions.strokes("ada", folder / "other.png") == ()
    assert sessions.update("ada", result, strokes=second, coloured=folder / "new.jpg")
    changed = sessions.shown("ada")
    assert changed == result._replace(strokes=second, coloured=folder / "new.jpg")
    assert sessions.strokes("ada", photo) == second
    # The preview made with the first stroke comes too late.
    assert not sessions.update("ada", result, picture=folder / "late.png")
    assert sessions.shown("ada") == changed
    assert not sessions.update("eve", changed, picture=folder / "stolen.png")


def test_what_a_visitor_sees_is_known_as_long_as_it_exists(folder):
    sessions = Sessions(folder)
    path = put(folder)
    first, second = (painted(sessions, "tab", path, strokes) for strokes in ([], ["line"]))
    assert sessions.shown("tab") is None
    assert sessions.show("tab", first) == first
    assert sessions.update("tab", first, strokes=["dot"], is_finished=False)
    assert sessions.shown("tab") == first._replace(strokes=["dot"], is_finished=False)
    assert sessions.unfinished("tab") == [sessions.shown("tab")]
    assert sessions.show("tab", second) == second
    assert sessions.shown("other tab") is None
    assert sessions.of_photo("tab", str(path)) == [second]
    assert sessions.of_photo("tab", "another") == []
    assert sessions.of_photo("other tab", str(path)) == []
    sessions.end("tab")
    assert sessions.shown("tab") is None


def test_of_earlier_versions_the_last_and_the_current_one_stay(folder):
    sessions = Sessions(folder)
    result = painted(sessions, "ada", put(folder), ())
    versions = []
    for _ in range(4):
        versions.append(result.next_version("after").with_suffix(".jpg"))
        versions[-1].write_bytes(b"picture")
        other = result.next_version("picture")
        other.mkdir()
        (other / "photo.png").write_bytes(b"picture")
    assert [path.exists() for path in versions] == [False, False, True, True]
    assert len(list(result.planes.parent.glob("0-picture-*"))) == 2
    # As if later ones had come too late.
    result = result._replace(picture=other / "photo.png")
    for _ in range(4):
        result.next_version("picture").mkdir()
    assert result.picture.exists()
    assert len(list(result.planes.parent.glob("0-picture-*"))) == 3


def test_a_version_that_windows_does_not_remove_stays(folder, monkeypatch):
    """As long as it is being sent to a visitor, it is open."""
    result = painted(Sessions(folder), "ada", put(folder), ())
    for _ in range(3):
        result.next_version("preview").write_bytes(b"picture")

    def refuse(path, missing_ok=False):
        raise PermissionError(13, "it is being used by another process", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    assert not result.next_version("preview").exists()
    monkeypatch.undo()
    result.next_version("preview")
    assert len(list(result.planes.parent.glob("0-preview-*"))) == 1


def test_what_a_visitor_was_just_told_is_no_news(folder):
    sessions = Sessions(folder)
    told = [
        sessions.has_news(begin(sessions, session, []), problems)
        for session, problems in [("a", "x"), ("a", "x"), ("b", "x"), ("a", "y"), ("a", "x")]
    ]
    assert told == [True, False, True, True, True]
    # A page that is loaded anew shows nothing of what the former one said.
    assert sessions.come_back("tab", "a") == []
    assert sessions.has_news(begin(sessions, "a", []), "x") is False
    assert sessions.come_back("tab", "c") != []
    assert sessions.has_news(begin(sessions, "c", []), "x") is True
