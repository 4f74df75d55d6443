"""The settings that a network was trained with, stored beside its checkpoints."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from colorization.errors import UserError
from colorization.files import writable, write_file, write_json
from colorization.options import NETWORK_SETTINGS, Options
from colorization.training.checkpoint import BEST, has_checkpoint, starting_point

_SETTINGS = "settings.json"
_MOST_SETTINGS = 100_000  # characters; whatever is longer was not written by `store_settings`


def network_settings(model: str, options: Options) -> dict[str, Any]:
    """The settings that the command line asks for.

    Args:
      model: name of the script, `"color"` or `"color_global"`.
      options: of the run.
    """
    settings = {name: getattr(options, name) for name in NETWORK_SETTINGS}
    return {"model": model, **settings, "classes": []}


def stored_settings(model_dir: str) -> dict[str, Any] | None:
    """What `store_settings` noted; None where nothing is stored.

    Raises:
      UserError: it is damaged, or missing beside a checkpoint; `model_dir` is no folder.
    """
    path = Path(model_dir) / _SETTINGS
    try:
        with open(path, encoding="utf-8") as file:
            stored = json.loads(file.read(_MOST_SETTINGS))
    except FileNotFoundError:
        if has_checkpoint(model_dir):
            raise UserError(
                f"{model_dir} holds a checkpoint but no {_SETTINGS}; "
                "it was not made by this program, choose another --model_dir"
            ) from None
        return None
    except NotADirectoryError as error:
        raise UserError(f"{model_dir} is not a folder; choose another --model_dir") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path} ({error}); restore it or train anew") from error
    if not isinstance(stored, dict) or stored.get("model") not in ("color", "color_global"):
        raise UserError(f"{path} is damaged; restore it or train anew in another --model_dir")
    return stored


def starting_settings(source: str, wanted: dict[str, Any], given: frozenset[str]) -> dict[str, Any]:
    """What a warm start takes of the settings beside its checkpoint: those not asked for otherwise.

    Args:
      source: a model's folder or a checkpoint in it.
      wanted: settings of the network to train.
      given: names of the options that were asked for.

    Raises:
      UserError: see `checkpoint.starting_point`; or the settings are damaged.
    """
    folder = os.path.dirname(starting_point(source))
    stored = stored_settings(folder) if os.path.exists(os.path.join(folder, _SETTINGS)) else {}
    taken = stored.keys() & wanted.keys() - given - {"model", "loss", "classes"}
    return {name: stored[name] for name in taken if type(stored[name]) is type(wanted[name])}


def resolve_settings(
    model_dir: str, wanted: dict[str, Any], given: frozenset[str]
) -> dict[str, Any]:
    """Settings of a network, those stored beside its checkpoints coming first.

    Args:
      model_dir: folder of the model; need not exist yet.
      wanted: `model`, the script's name, and the network's options.
      given: names of the options that were asked for; the others are only defaults.

    Returns:
      The stored settings, or `wanted` where nothing is stored.

    Raises:
      UserError: what is stored belongs to the other script, contradicts an option that was asked
        for, or is damaged.
    """
    stored = stored_settings(model_dir)
    if stored is None:
        return wanted
    path = Path(model_dir) / _SETTINGS
    if stored["model"] != wanted["model"]:
        raise UserError(
            f"{model_dir} holds a model of {stored['model']}.py, not of {wanted['model']}.py; "
            f"choose another --model_dir or run {stored['model']}.py"
        )
    if stored.keys() != wanted.keys():
        raise UserError(f"{path} is of another version of this program; train anew")
    for name, value in stored.items():
        if (
            type(value) is not type(wanted[name])
            or (isinstance(value, int | float) and not 0 < value < math.inf)
            or (isinstance(value, list) and not all(isinstance(item, str) for item in value))
        ):
            raise UserError(f"{path} is damaged: {name} is {value!r}; restore it or train anew")
    for name in sorted(given & stored.keys()):
        if stored[name] != wanted[name]:
            raise UserError(
                f"the model in {model_dir} was trained with --{name} {_spelled(stored[name])}, "
                f"not {_spelled(wanted[name])}; leave the option out or choose another --model_dir"
            )
    return stored


def _spelled(value: Any) -> str:
    return f"({', '.join(value)})" if isinstance(value, list) else str(value)


def store_settings(model_dir: str, settings: dict[str, Any]) -> None:
    """Notes the network's settings beside its checkpoints.

    Raises:
      UserError: the folder cannot be written.
    """
    with writable(model_dir, "model_dir"):
        os.makedirs(model_dir, exist_ok=True)
        write_json(Path(model_dir) / _SETTINGS, settings)


def copy_to_best(model_dir: str) -> None:
    """Copies the settings into the folder of the best checkpoint, which is a model's folder too."""
    write_file(Path(model_dir) / BEST / _SETTINGS, (Path(model_dir) / _SETTINGS).read_bytes())
