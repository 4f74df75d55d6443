"""Declarations of options, and the modes that options belong to."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

# The scripts, each of which has a network of its own.
MODELS = ("color", "color_global")
MODES = {
    "train": "train, checkpoint, evaluate now and then; goes on from the last checkpoint",
    "evaluate": "measure a checkpoint on --test_data",
    "predict": "colour --input (default: the test photos) into --output",
    "gallery": "make the page of an --output that several machines have coloured into",
    "export": "write the model for TensorFlow Serving, ONNX Runtime or TensorFlow Lite",
    "prepare": "turn the photos of --input into shards in --output that train without waiting",
    "serve": "a page to colour photos on, and the same as an API",
    "compare": "train both models alike; a page shows them side by side",
}
MODES_WITH_MODEL = ("train", "evaluate", "predict", "export", "serve", "compare")
MODES_WITH_PHOTOS = ("train", "evaluate", "predict", "compare")
MODES_OF_TRAINING = ("train", "compare")


def option(
    help: str,
    default: Any = None,
    *,
    modes: Sequence[str] = MODES_WITH_MODEL,
    models: Sequence[str] = MODELS,
    **argument: Any,
) -> Any:
    """A dataclass field that carries its own command-line declaration.

    Args:
      help: one line.
      default: the value when the option is not given.
      modes: the modes that accept the option.
      models: the scripts that have the option.
      **argument: passed on to `argparse.ArgumentParser.add_argument`.
    """
    metadata = {"modes": modes, "models": models, "argument": {"help": help, **argument}}
    return dataclasses.field(default=default, metadata=metadata)
