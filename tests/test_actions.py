"""The page's listeners, without a browser."""

from pathlib import Path
from types import SimpleNamespace

import gradio as gr

from colorization.server.actions import Actions
from colorization.server.sessions import Sessions


def test_settings_that_are_as_they_were_do_not_have_photos_coloured_twice(tmp_path):
    sessions = Sessions(tmp_path)
    actions = Actions(SimpleNamespace(default="models/color"), sessions, [])
    assert actions.come_back("tab", SimpleNamespace(session_hash="a"))[1] == gr.skip()
    sessions.expect("a", set()).inputs = [Path("photo.jpg")], "models/color", 1.5, None
    restored = actions.come_back("tab", SimpleNamespace(session_hash="b"))
    assert restored == ("tab", ["photo.jpg"], gr.skip(), 1.5, gr.skip())
