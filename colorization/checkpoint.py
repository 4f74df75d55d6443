"""What lies in a model's folder besides TensorFlow's own files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from colorization.errors import UserError

_SETTINGS = "settings.json"


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file under a temporary name, then renames it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def latest_checkpoint(model_dir: str) -> str:
    """The newest checkpoint.

    Raises:
      UserError: there is none.
    """
    checkpoint = tf.train.latest_checkpoint(model_dir)
    if checkpoint is None:
        raise UserError(
            f"no trained model in {model_dir}; train one with --mode train, "
            "or name its folder with --model_dir"
        )
    return checkpoint


def settled(model_dir: str, wanted: dict[str, Any], given: frozenset[str]) -> dict[str, Any]:
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
    path = Path(model_dir) / _SETTINGS
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if tf.train.latest_checkpoint(model_dir) is not None:
            raise UserError(
                f"{model_dir} holds a checkpoint but no {_SETTINGS}; "
                "it was not made by this program, choose another --model_dir"
            ) from None
        return wanted
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}); restore it or train anew") from error
    if not isinstance(stored, dict) or stored.get("model") not in ("color", "color_global"):
        raise UserError(f"{path} is damaged; restore it or train anew in another --model_dir")
    if stored["model"] != wanted["model"]:
        raise UserError(
            f"{model_dir} holds a model of {stored['model']}.py, not of {wanted['model']}.py; "
            f"choose another --model_dir or run {stored['model']}.py"
        )
    if stored.keys() != wanted.keys():
        raise UserError(f"{path} is of another version of this program; train anew")
    for name in sorted(given & stored.keys()):
        if stored[name] != wanted[name]:
            raise UserError(
                f"the model in {model_dir} was trained with --{name} {stored[name]}, "
                f"not {wanted[name]}; leave the option out or choose another --model_dir"
            )
    return stored


def store_settings(model_dir: str, settings: dict[str, Any]) -> None:
    """Notes the network's settings beside its checkpoints.

    Raises:
      UserError: the folder cannot be written.
    """
    try:
        os.makedirs(model_dir, exist_ok=True)
        write_json(Path(model_dir) / _SETTINGS, settings)
    except OSError as error:
        raise UserError(
            f"cannot write to {model_dir} ({error.strerror}); choose another --model_dir"
        ) from error
