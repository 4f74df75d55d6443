import json

import pytest

from colorization.checkpoint import latest_checkpoint, settled, store_settings, write_json
from colorization.errors import UserError

WANTED = {
    "model": "color_global",
    "global_features": "single",
    "global_channels": 32,
    "normalization": "batch",
    "chroma_scale": 8.0,
}


def test_stored_settings_come_before_defaults(tmp_path):
    folder = str(tmp_path / "new" / "model")
    assert settled(folder, WANTED, frozenset()) == WANTED
    stored = {**WANTED, "global_channels": 4}
    store_settings(folder, stored)
    assert settled(folder, WANTED, frozenset()) == stored
    assert settled(folder, stored, frozenset({"global_channels"})) == stored


def test_contradictions_name_the_option(tmp_path):
    store_settings(str(tmp_path), WANTED)
    with pytest.raises(UserError, match=r"--global_channels 32.*not 64"):
        settled(str(tmp_path), {**WANTED, "global_channels": 64}, frozenset({"global_channels"}))
    with pytest.raises(UserError, match=r"color_global\.py.*not of color\.py"):
        settled(str(tmp_path), {**WANTED, "model": "color"}, frozenset())


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"model": "other"}', '{"model": []}'])
def test_damaged_settings_are_named(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(UserError, match=r"settings\.json"):
        settled(str(tmp_path), WANTED, frozenset())


def test_a_folder_without_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match="--mode train"):
        latest_checkpoint(str(tmp_path))
    with pytest.raises(UserError, match="no trained model"):
        latest_checkpoint(str(tmp_path / "missing"))


def test_unwritable_folders_are_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--model_dir"):
        store_settings(str(tmp_path / "file" / "model"), WANTED)


def test_json_is_replaced_whole(tmp_path):
    path = tmp_path / "figures.json"
    write_json(path, {"loss": 1.5})
    write_json(path, {"loss": 2.5})
    assert json.loads(path.read_text()) == {"loss": 2.5}
    with pytest.raises(TypeError):
        write_json(path, {"loss": object()})
    assert [file.name for file in tmp_path.iterdir()] == ["figures.json"]
    assert json.loads(path.read_text()) == {"loss": 2.5}
