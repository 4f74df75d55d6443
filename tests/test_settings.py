import json

import pytest

from colorization.errors import UserError
from colorization.training.settings import resolve_settings, store_settings

WANTED = {
    "model": "color_global",
    "global_features": "single",
    "global_channels": 32,
    "normalization": "batch",
    "loss": "mse",
    "classes": [],
    "chroma_scale": 8.0,
}


def test_stored_settings_come_before_defaults(tmp_path):
    folder = str(tmp_path / "new" / "model")
    assert resolve_settings(folder, WANTED, frozenset()) == WANTED
    stored = {**WANTED, "global_channels": 4}
    store_settings(folder, stored)
    assert resolve_settings(folder, WANTED, frozenset()) == stored
    assert resolve_settings(folder, stored, frozenset({"global_channels"})) == stored


def test_contradictions_name_the_option(tmp_path):
    store_settings(str(tmp_path), WANTED)
    with pytest.raises(UserError, match=r"--global_channels 32.*not 64"):
        resolve_settings(
            str(tmp_path), {**WANTED, "global_channels": 64}, frozenset({"global_channels"})
        )
    with pytest.raises(UserError, match=r"color_global\.py.*not of color\.py"):
        resolve_settings(str(tmp_path), {**WANTED, "model": "color"}, frozenset())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"x"',
        '{"model": "other"}',
        '{"model": []}',
        "[" * 90_000,
        json.dumps({**WANTED, "global_channels": "32"}),
        json.dumps({**WANTED, "global_channels": -1}),
        json.dumps({**WANTED, "chroma_scale": float("nan")}),
    ],
    ids=range(10),
)
def test_damaged_settings_are_named(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(UserError, match=r"settings\.json"):
        resolve_settings(str(tmp_path), WANTED, frozenset())


def test_unwritable_folders_are_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--model_dir"):
        store_settings(str(tmp_path / "file" / "model"), WANTED)
