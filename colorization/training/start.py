"""What a training begins with and goes on by, and the defaults that suit it."""

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

# Options that give a network another shape or meaning than the general model has.
_SHAPE = frozenset(NETWORK_SETTINGS) - {"loss"}
# Defaults for a network that has learnt already; see benchmarks/README.md, "Learning on". A step at
# full size takes four times as long, hence a quarter of the steps.
_LEARNING_RATE = 1e-4
_SHARE_OF_STEPS = 4


def with_starting_point(options: Options, bundled: bool) -> Options:
    """The options with the folder to start training from, and the defaults that suit it.

    That is the general model, unless the options name another one, ask for none or for a network
    of another shape. Photos bundled with the suite are there to show learning: on them a training
    starts from nothing. A training that goes on keeps the start that it had.

    Args:
      options: of a training.
      bundled: whether the photos to train on are bundled.

    Raises:
      UserError: the general model is asked for by name and missing; or another start is asked for
        than a training had that would go on.
    """
    noted = _noted(options.model_dir)
    if noted is None:
        start, folder = _chosen(options, bundled)
    else:
        _require_same(options, noted)
        start = folder = noted
        # What a training has begun with may be gone by the time that it goes on.
        with contextlib.suppress(UserError):
            folder = located(noted, options.model)
    if not start:
        return options
    return dataclasses.replace(options, warm_start=folder, start=start).with_defaults(
        learning_rate=_LEARNING_RATE,
        half_size_share=0.0,
        max_steps=max(1, options.max_steps // _SHARE_OF_STEPS),
    )


def note(options: Options) -> None:
    """Notes beside a model what its training begins with.

    Raises:
      OSError: the folder cannot be written to.
    """
    write_json(Path(options.model_dir) / START, {"start": options.start})


def _noted(model_dir: str) -> str | None:
    """What a training began with, "" for nothing; None where there is none, or none tells."""
    if not checkpoint.has_checkpoint(model_dir):
        return None
    mend = "restore it, or train anew in another --model_dir"
    return read_json(Path(model_dir) / START, lambda noted: str(noted["start"]), None, mend)


def _chosen(options: Options, bundled: bool) -> tuple[str, str | None]:
    """What a new training begins with: its name, "" for nothing, and its folder."""
    if options.warm_start:
        folder = located(options.warm_start, options.model)
        return _name(options.warm_start, options.model), folder
    if bundled or options.from_scratch or options.given & _SHAPE:
        return "", None
    try:
        folder = general_model(options.model)
        weights.read(Path(folder) / weights.FILE)
    except UserError as error:
        print(f"Starting from nothing, for {error}")
        return "", None
    return PRETRAINED, folder


def _name(warm_start: str, model: str) -> str:
    """The same name for a start, however it is spelled."""
    with contextlib.suppress(UserError, OSError):
        if os.path.samefile(located(warm_start, model), general_model(model)):
            return PRETRAINED
    # The general model may be gone by the time that a training goes on.
    if "://" in warm_start or (warm_start == PRETRAINED and not os.path.exists(warm_start)):
        return warm_start.rstrip("/")
    path = Path(os.path.realpath(warm_start))
    # A folder stands for the checkpoint in its folder of the best one.
    return str(path.parent if path.name == BEST else path)


def _require_same(options: Options, noted: str) -> None:
    for asked in options.given & {"warm_start", "from_scratch"}:
        start = _name(options.warm_start, options.model) if options.warm_start else ""
        # What a training began with may have been moved since, or named from another folder.
        unknown = noted not in ("", PRETRAINED) and not os.path.exists(noted)
        if start != noted and not (unknown and start):
            raise UserError(
                f"the training in {options.model_dir} began with {noted or 'nothing'}, not with "
                f"{start or 'nothing'}; leave --{asked} out or choose another --model_dir"
            )
