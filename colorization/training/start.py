"""The model that a training starts from, and the defaults that suit it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path

from colorization.errors import UserError
from colorization.files import read_json, write_json
from colorization.options import NETWORK_SETTINGS, Options
from colorization.training import checkpoint, weights
from colorization.training.general_model import PRETRAINED, general_model, located
from colorization.training.model_folder import BEST, START

# Options that make a network differ from the general model, so that its weights do not fit.
_NETWORK_OPTIONS = frozenset(NETWORK_SETTINGS) - {"loss"}
# Defaults for a network that is already trained; see benchmarks/README.md, "Learning on". All steps
# are at full size and take four times as long, so there are a quarter as many.
_LEARNING_RATE = 1e-4
_FEWER_STEPS = 4


def with_starting_point(options: Options, bundled: bool) -> Options:
    """The options with the folder to start training from, and the defaults that suit it.

    That is the general model, unless the options name another one, ask for none, or ask for a
    network of another shape. On the bundled photos, which are there to show learning, a training
    starts from nothing. A resumed training keeps its starting point.

    Args:
      options: of a training.
      bundled: whether the photos to train on are bundled.

    Raises:
      UserError: the general model is named but missing, or a resumed training had another starting
        point than the options ask for.
    """
    stored = _stored_start(options.model_dir)
    if stored is None:
        start, folder = _new_start(options, bundled)
    else:
        _require_same(options, stored)
        start = folder = stored
        # The model may have moved or be gone by now, and a resumed training does not need it.
        with contextlib.suppress(UserError):
            folder = located(options.warm_start or stored, options.model)
    if not start:
        return options
    return dataclasses.replace(options, warm_start=folder, start=start).with_defaults(
        learning_rate=_LEARNING_RATE,
        half_size_share=0.0,
        max_steps=max(1, options.max_steps // _FEWER_STEPS),
    )


def store(options: Options) -> None:
    """Stores beside a model what its training started from.

    Raises:
      OSError: the folder cannot be written to.
    """
    write_json(Path(options.model_dir) / START, {"start": options.start})


def _stored_start(model_dir: str) -> str | None:
    """What a training started from, "" for nothing; None if nothing was trained or stored."""
    if not checkpoint.has_begun(model_dir):
        return None
    remedy = "restore it, or train anew in another --model_dir"
    return read_json(Path(model_dir) / START, lambda content: str(content["start"]), None, remedy)


def _new_start(options: Options, bundled: bool) -> tuple[str, str | None]:
    """What a new training starts from: its name, "" for nothing, and its folder."""
    if options.warm_start:
        folder = located(options.warm_start, options.model)
        return _start_name(options.warm_start, options.model), folder
    if bundled or options.from_scratch:
        return "", None
    if shaping := sorted(options.given & _NETWORK_OPTIONS):
        names = ", ".join(f"--{name}" for name in shaping)
        print(f"Starting from nothing, for {names} may not fit the general model.")
        return "", None
    try:
        folder = general_model(options.model)
        weights.read(Path(folder) / weights.FILE)
    except UserError as error:
        print(f"Starting from nothing, for {error}")
        return "", None
    return PRETRAINED, folder


def _start_name(warm_start: str, model: str) -> str:
    """A name for a starting point that does not depend on how the user spells its path."""
    with contextlib.suppress(UserError, OSError):
        if os.path.samefile(located(warm_start, model), general_model(model)):
            return PRETRAINED
    # The general model may be gone when a training is resumed.
    if "://" in warm_start or (warm_start == PRETRAINED and not os.path.exists(warm_start)):
        return warm_start.rstrip("/")
    path = Path(os.path.realpath(warm_start.removesuffix(".index")))
    # A folder stands for the checkpoint in its folder of the best one.
    return str(path.parent if path.name == BEST else path)


def _require_same(options: Options, stored: str) -> None:
    # Earlier versions stored the file that stands for a checkpoint.
    stored = stored.removesuffix(".index")
    for option in options.given & {"warm_start", "from_scratch"}:
        start = _start_name(options.warm_start, options.model) if options.warm_start else ""
        # The starting point may have been moved, or named relative to another folder.
        found = any(map(os.path.exists, (stored, f"{stored}.index")))
        may_have_moved = stored not in ("", PRETRAINED) and not found
        if start != stored and not (may_have_moved and start):
            raise UserError(
                f"the training in {options.model_dir} began with {stored or 'nothing'}, not with "
                f"{start or 'nothing'}; leave --{option} out or choose another --model_dir"
            )
