"""The page's listeners, without a browser."""

import errno
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from colorization.errors import within_memory
from colorization.server import actions as module
from colorization.server.actions import Actions
from colorization.server.jobs import Job
from colorization.server.sessions import Result, Sessions


def test_settings_that_are_as_they_were_do_not_have_photos_coloured_twice(tmp_path):
    sessions = Sessions(tmp_path)
    actions = Actions(SimpleNamespace(default="models/color"), sessions, [])
    assert actions.come_back("tab", SimpleNamespace(session_hash="a"))[1] == gr.skip()
    sessions.expect("a", set()).inputs = [Path("photo.jpg")], "models/color", 1.5, None
    restored = actions.come_back("tab", SimpleNamespace(session_hash="b"))
    assert restored == ("tab", ["photo.jpg"], gr.skip(), 1.5, gr.skip())


@pytest.mark.parametrize("is_decoding", [False, True])
def test_a_lack_of_memory_in_painting_is_said(tmp_path, monkeypatch, is_decoding):
    def lack(*_):
        raise MemoryError

    for name in ("painted_preview", "painted_picture"):
        monkeypatch.setattr(module, name, within_memory()(lack) if is_decoding else lack)
    sessions, visitor = Sessions(tmp_path), SimpleNamespace(session_hash="a")
    request = sessions.expect("a", set())
    request.folder.mkdir()
    files = (request.folder / name for name in ("0/a.png", "0-gray.jpg", "0-coloured.jpg", "0.npz"))
    request.results.append(Result(*files, Path("a.png"), (), is_finished=False))
    actions = Actions(SimpleNamespace(), sessions, [])
    line = {"colour": "#000000", "width": 0.1, "points": [[0, 0]]}
    for act in (partial(actions.paint, {"a.png": [line]}), actions.finish_painting):
        with pytest.raises(gr.Error, match="On the server, not enough memory"):
            act(visitor)


def test_what_is_under_way_goes_on_for_a_page_that_is_loaded_anew(tmp_path, monkeypatch):
    sessions = Sessions(tmp_path)
    actions = Actions(SimpleNamespace(), sessions, [])
    photos = [tmp_path / name for name in ("a.png", "b.png")]
    line, dot = ({"colour": "#000000", "width": 0.1, "points": [[0, y]]} for y in (0, 1))

    def page(name):
        sessions.come_back("tab", name)
        return SimpleNamespace(session_hash=name, request=SimpleNamespace(scope={}))

    def colorize_all(job, request, _):
        for number, photo in enumerate(photos):
            files = (f"{number}/{photo.name}", *(f"{number}{end}" for end in ("-", "+", ".npz")))
            paths = (request.folder / name for name in files)
            request.results.append(Result(*paths, photo, job.strokes(photo)))
            page(f"{request.session}, loaded anew")
        yield True, {}

    def painted_preview(result, _):
        if result.photo == photos[0]:
            page("second")
        return b"preview"

    monkeypatch.setattr(module, "parse_job", lambda *_: Job(photos, None, None, 1, None, []))
    monkeypatch.setattr(module, "colorize_all", colorize_all)
    monkeypatch.setattr(module, "write_zip", lambda _, path: path)
    monkeypatch.setattr(module, "painted_preview", painted_preview)
    list(actions.colour(photos, "color", 1, None, page("first"), None))
    for strokes in ([line], [line, dot]):
        actions.paint({str(photo): strokes for photo in photos}, page("first"))
        assert [sessions.strokes("second", photo) for photo in photos] == [strokes] * 2
    list(actions.colour(photos, "color", 2, None, page("first"), None))
    painted = [result.strokes for result in sessions.latest("first, loaded anew, loaded anew")]
    assert painted == [strokes] * 2


def test_paintings_that_fail_leave_the_picture_before_them(tmp_path, monkeypatch):
    sessions, visitor = Sessions(tmp_path), SimpleNamespace(session_hash="a")
    request = sessions.expect("a", set())
    request.folder.mkdir()
    files = (request.folder / name for name in ("0/a.png", "0-gray.jpg", "0-coloured.jpg", "0.npz"))
    request.results.append(Result(*files, Path("a.png"), ()))
    actions = Actions(SimpleNamespace(), sessions, [])
    for name in ("painted_preview", "painted_picture", "strokes_as_png"):
        monkeypatch.setattr(module, name, lambda *_: b"picture")

    def paint(y):
        line = {"colour": "#000000", "width": 0.1, "points": [[0, y]]}
        actions.paint({"a.png": [line]}, visitor)

    def fill(path, _):
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    paint(0)
    actions.finish_painting(visitor)
    paint(0.5)
    monkeypatch.setattr(Path, "write_bytes", fill)
    for act in (partial(paint, 1), partial(actions.finish_painting, visitor)) * 3:
        with pytest.raises(gr.Error, match="On the server, the disk is full"):
            act()
    monkeypatch.undo()
    (result,) = sessions.of_photo("a", "a.png")
    assert [path.read_bytes() for path in (result.picture, result.coloured)] == [b"picture"] * 2
    assert sorted(request.folder.iterdir()) == [result.picture.parent, result.coloured]
