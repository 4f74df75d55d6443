"""The settings that a network was trained with, stored beside its checkpoints."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

from colorization.errors import UserError
from colorization.files import read_json, writable, write_file, write_json
from colorization.options import MODELS, NETWORK_SETTINGS, Options, choices_of
from colorization.training.checkpoint import has_begun, has_model, starting_point
from colorization.training.model_folder import BEST, SETTINGS


def settings_of(options: Options) -> dict[str, Any]:
    """The settings to store beside checkpoints: script, options of the network, classes."""
    network = {name: getattr(options, name) for name in NETWORK_SETTINGS}
    return {"model": options.model, **network, "classes": list(options.class_names)}


def _with_settings(options: Options, settings: dict[str, Any]) -> Options:
    network = {name: settings[name] for name in NETWORK_SETTINGS if name in settings}
    classes = tuple(settings.get("classes", options.class_names))
    return dataclasses.replace(options, **network, class_names=classes)


def stored_settings(model_dir: str) -> dict[str, Any] | None:
    """The settings that `store_settings` has written; None if there are none.

    Settings without a model are ignored: a training was stopped before its first checkpoint.

    Raises:
      UserError: they are damaged, or missing beside a checkpoint; or `model_dir` is no folder.
    """
    if os.path.isdir(model_dir) and not has_model(model_dir):
        return None
    stored = _read(model_dir)
    if stored is None and has_begun(model_dir):
        raise UserError(
            f"{model_dir} holds a checkpoint but no {SETTINGS}; restore it (the folder {BEST} may "
            "hold a copy), or choose another --model_dir"
        )
    return stored


def has_settings(folder: str) -> bool:
    """Whether a folder holds settings of a model, with the model or without."""
    try:
        return _read(folder) is not None
    except UserError:
        return False


def _read(model_dir: str) -> dict[str, Any] | None:
    """The settings in a folder, with or without a model; None if there are none."""
    if os.path.isfile(model_dir):
        raise UserError(f"{model_dir} is not a folder; choose another --model_dir")
    remedy = "restore it or train anew in another --model_dir"
    return read_json(Path(model_dir) / SETTINGS, _parsed, None, remedy)


def _parsed(stored: dict[str, Any]) -> dict[str, Any]:
    """Stored settings with values as they are declared; raises an error if they are of no model."""
    if stored["model"] not in MODELS:
        raise ValueError(stored["model"])
    return {name: _as_declared(name, value) for name, value in stored.items()}


def _as_declared(name: str, value: Any) -> Any:
    """A stored value; a number with decimals where the option has some, as not all editors keep."""
    has_decimals = name in NETWORK_SETTINGS and isinstance(getattr(Options, name), float)
    return float(value) if has_decimals and type(value) is int else value


def warm_started(options: Options) -> Options:
    """The options with the checkpoint that `--warm_start` names, and with its settings.

    The settings beside that checkpoint are adopted, except for the loss, the classes and the
    options that the user gave.

    Raises:
      UserError: see `checkpoint.starting_point`; the settings are damaged, or the user asks for
        another normalization than theirs.
    """
    source = starting_point(options.warm_start)
    folder = os.path.dirname(source)
    # Whoever keeps a checkpoint under another name has a folder without a model.
    stored = _read(folder) or {}
    requested = settings_of(options)
    normalization = stored.get("normalization", options.normalization)
    if "normalization" in options.given and normalization != options.normalization:
        # Averages that start anew are kept like those of the start, and would normalize nothing.
        raise UserError(
            f"--normalization {options.normalization} does not fit --warm_start {options.start}, "
            f"which has {normalization}; leave one of them out"
        )
    adopted = stored.keys() & requested.keys() - options.given - {"model", "loss", "classes"}
    settings = {
        name: stored[name] for name in adopted if type(stored[name]) is type(requested[name])
    }
    return dataclasses.replace(_with_settings(options, settings), warm_start=source)


def resolve_settings(options: Options) -> Options:
    """The options with the settings that are stored beside the model's checkpoints, if any are.

    Raises:
      UserError: the stored settings belong to the other script, contradict an option that the user
        gave, or are damaged.
    """
    model_dir, requested = options.model_dir, settings_of(options)
    stored = stored_settings(model_dir)
    if stored is None:
        return options
    path = Path(model_dir) / SETTINGS
    if stored["model"] != requested["model"]:
        raise UserError(
            f"{model_dir} holds a model of {stored['model']}.py, not of {requested['model']}.py; "
            f"choose another --model_dir or run {stored['model']}.py"
        )
    if stored.keys() != requested.keys():
        raise UserError(f"{path} is of another version of this program; train anew")
    for name, value in stored.items():
        if not _is_sound(name, value, requested[name]):
            raise UserError(f"{path} is damaged: {name} is {value!r}; restore it or train anew")
    for name in sorted(options.given & stored.keys()):
        if stored[name] != requested[name]:
            raise UserError(
                f"the model in {model_dir} was trained with --{name} {_spelled(stored[name])}, not "
                f"{_spelled(requested[name])}; leave the option out or choose another --model_dir"
            )
    return _with_settings(options, stored)


def _is_sound(name: str, value: Any, expected: Any) -> bool:
    """Whether a stored value has the type of the expected one and is one that can be chosen."""
    choices = choices_of(name) if name in NETWORK_SETTINGS else ()
    if choices and value not in choices:
        return False
    if isinstance(value, list):
        return isinstance(expected, list) and all(isinstance(item, str) for item in value)
    in_range = not isinstance(value, int | float) or 0 < value < math.inf
    return type(value) is type(expected) and in_range


def _spelled(value: Any) -> str:
    return f"({', '.join(value)})" if isinstance(value, list) else str(value)


def store_settings(options: Options) -> None:
    """Notes the network's settings beside its checkpoints.

    Raises:
      UserError: the folder cannot be written.
    """
    with writable(options.model_dir, "model_dir"):
        os.makedirs(options.model_dir, exist_ok=True)
        write_json(Path(options.model_dir) / SETTINGS, settings_of(options))


def copy_settings(model_dir: str, folder: Path) -> None:
    """Copies the settings of a model into another model's folder."""
    write_file(folder / SETTINGS, (Path(model_dir) / SETTINGS).read_bytes())
