"""The page's listeners, without a browser."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from colorization.errors import within_memory
from colorization.server import actions as module
from colorization.server.actions import Actions
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
