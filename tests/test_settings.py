"""The settings that are stored with a model."""

import dataclasses
import json

import pytest
from platforms import no_root

from colorization.errors import UserError
from colorization.options import parse
from colorization.training.settings import resolve_settings, settings_of, store_settings

WANTED = settings_of(parse("color_global", []))


def options(folder, *arguments, model="color_global"):
    return parse(model, ["--model_dir", str(folder), *arguments])


def test_stored_settings_come_before_defaults(tmp_path):
    folder = tmp_path / "new" / "model"
    wanted = options(folder)
    assert resolve_settings(wanted) == wanted
    stored = dataclasses.replace(wanted, global_channels=4, class_names=("cat", "dog"))
    store_settings(stored)
    # A training that was stopped before its first checkpoint binds nobody.
    assert resolve_settings(wanted) == wanted
    (folder / "model.ckpt-0.index").touch()
    assert resolve_settings(wanted) == stored
    assert resolve_settings(options(folder, "--global_channels", "4")).global_channels == 4


def test_any_number_of_classes_is_stored(tmp_path):
    names = tuple(f"2019-{number:04} Сватба на Иван" for number in range(20_000))
    stored = dataclasses.replace(options(tmp_path), class_names=names)
    store_settings(stored)
    (tmp_path / "model.ckpt-0.index").touch()
    assert resolve_settings(options(tmp_path)) == stored


def test_contradictions_name_the_option(tmp_path):
    store_settings(options(tmp_path))
    (tmp_path / "model.ckpt-0.index").touch()
    with pytest.raises(UserError, match=r"--global_channels 32.*not 64"):
        resolve_settings(options(tmp_path, "--global_channels", "64"))
    with pytest.raises(UserError, match=r"color_global\.py.*not of color\.py"):
        resolve_settings(options(tmp_path, model="color"))


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
        json.dumps({**WANTED, "classes": [1]}),
        json.dumps({**WANTED, "global_channels": 32.5}),
        json.dumps({**WANTED, "chroma_scale": True}),
        json.dumps({**WANTED, "chroma_scale": 10**400}),
        json.dumps({**WANTED, "loss": "huber"}),
        json.dumps({**WANTED, "normalization": "layer"}),
    ],
    ids=range(16),
)
def test_damaged_settings_are_named(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    (tmp_path / "model.ckpt-0.index").touch()
    with pytest.raises(UserError, match=r"settings\.json"):
        resolve_settings(options(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_settings_may_have_been_stored_by_an_editor(tmp_path, encoding):
    text = json.dumps({**WANTED, "chroma_scale": 25, "classes": ["größe"]}, ensure_ascii=False)
    (tmp_path / "settings.json").write_bytes(text.encode(encoding))
    (tmp_path / "model.ckpt-0.index").touch()
    found = resolve_settings(options(tmp_path))
    assert (found.chroma_scale, found.class_names) == (25, ("größe",))
    assert isinstance(found.chroma_scale, float)


@no_root
def test_settings_that_must_not_be_read_are_not_damaged(tmp_path):
    store_settings(options(tmp_path))
    (tmp_path / "model.ckpt-0.index").touch()
    (tmp_path / "settings.json").chmod(0)
    with pytest.raises(UserError, match=r"settings\.json \(permission denied\); make it readable"):
        resolve_settings(options(tmp_path))


def test_unwritable_folders_are_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--model_dir"):
        store_settings(options(tmp_path / "file" / "model"))
