"""Checks that concern several options at once, or an option and the mode."""

from __future__ import annotations

import os
from typing import Any

from colorization.errors import UserError
from colorization.options.prediction import MODEL_FORMATS, PICTURE_FORMATS

# Pairs of options of which only one may be given, and why.
_ALTERNATIVES = (
    ("input", "test_data", "both name photos to colour"),
    ("warm_start", "from_scratch", "contradict each other"),
    ("minutes", "max_steps", "both say how long to train"),
    ("hint", "hints", "both say what colour it was"),
)


def require_consistent(values: dict[str, Any], mode: str) -> None:
    """Refuses options that contradict each other, and values that make no sense in the mode.

    Args:
      values: of the options on the command line, by name.
      mode: the mode they are given for.

    Raises:
      UserError: an option contradicts another one, or its value makes no sense.
    """
    if values.get("global_features") == "paper" and "global_channels" in values:
        raise UserError("--global_channels belongs to --global_features single, not to paper")
    for first, second, why in _ALTERNATIVES:
        if first in values and second in values:
            raise UserError(f"--{first} and --{second} {why}; give one of them")
    if mode == "prepare" and "input" not in values:
        raise UserError("--mode prepare needs --input; name the photos to prepare")
    formats = MODEL_FORMATS if mode == "export" else PICTURE_FORMATS
    if values.get("format", formats[0]) not in formats:
        raise UserError(
            f"--format {values['format']} means nothing in --mode {mode}; "
            f"choose from {', '.join(formats)}"
        )
    for name, value in values.items():
        if value == "" or (isinstance(value, tuple) and "" in value):
            raise UserError(f"--{name} is empty; name something or leave it out")
    for name in ("model_dir",) if mode == "prepare" else ("model_dir", "output"):
        if "://" in values.get(name, ""):
            raise UserError(
                f"--{name} {values[name]}: --mode {mode} takes folders of this machine only; mount "
                "it, or name another and copy that"
            )
    writes_model = mode == "export" and values.get("format") == "weights"
    for name in ("model_dir", "output") if writes_model else ("model_dir",):
        # TensorFlow looks for checkpoints with glob patterns.
        special = sorted(set(values.get(name, "")) & (set("*[\\") - {os.sep}))
        if special:
            raise UserError(
                f"--{name} {values[name]}: TensorFlow finds no checkpoints in folders with "
                f"{' or '.join(special)} in their path; name another"
            )
