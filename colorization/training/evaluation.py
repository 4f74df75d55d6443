"""Evaluations that training stores, and which checkpoint is the best by them."""

from __future__ import annotations

import logging
import math
import os
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

from colorization.files import atomic_write, read_note, remove, write_json
from colorization.training.model_folder import BEST, CHECKPOINT, EVALUATION

# The step of the newest checkpoint that was evaluated, whether it is the best one or not.
_EVALUATED_STEP = "evaluated_step"
# The error of a colourless guess in the newest evaluation, where photos were missing from it, and
# the step that was evaluated so.
_INCOMPLETE, _INCOMPLETE_STEP = "incomplete_loss_no_colour", "incomplete_step"
# Least and most measured saturation that is applied, because an untrained model measures nonsense.
SATURATION_LIMITS = 0.5, 2.0
# Differences between errors of a colourless guess that are no other photos.
_ROUNDING = 1e-4

_log = logging.getLogger(__name__)


def stored_evaluation(folder: Path) -> dict[str, float] | None:
    """The metrics of the checkpoint in a folder; `evaluations_since` counts those that came after.

    Returns:
      None if none are stored, or where they were not written by a training.
    """
    try:
        evaluation = {name: float(value) for name, value in read_note(folder / EVALUATION).items()}
    except (ValueError, TypeError, AttributeError):
        return None
    return evaluation if {"loss", "evaluations_since"} <= evaluation.keys() else None


def best_evaluation(model_dir: Path) -> dict[str, float] | None:
    """The metrics of a model's best checkpoint, whose own folder is a model's folder itself.

    Returns:
      None if training has stored none.
    """
    return stored_evaluation(model_dir / BEST) or stored_evaluation(model_dir)


def same_photos(first: dict[str, float], second: dict[str, float]) -> bool:
    """Whether two evaluations used the same photos, judged by the errors of a colourless guess."""
    return all(
        math.isclose(first.get(name, math.nan), second.get(name, math.nan), rel_tol=_ROUNDING)
        for name in ("loss_no_colour", "ab_rmse_no_colour")
    )


def keep_if_best(
    model_dir: str, checkpoint: str, metrics: dict[str, Any], is_complete: bool
) -> int:
    """Copies a checkpoint into `best` if its evaluation loss is the lowest so far.

    An earlier best on other test photos does not count. But an evaluation that lacks photos which
    could not be opened does not replace a best one with others: they may lie on a disk that is away
    for a moment. It does if it lacks the same photos as the evaluation of an earlier step.

    Args:
      model_dir: folder of the model.
      checkpoint: prefix of the one evaluated.
      metrics: of the evaluation, `loss` and `global_step` among them.
      is_complete: whether all photos could be opened.

    Returns:
      Number of evaluations since the best one. It is 0 if this is the best one, or if there is
      none because training has deleted the checkpoint.
    """
    folder = Path(model_dir) / BEST
    figures = {name: float(value) for name, value in metrics.items()}
    evaluated = {_EVALUATED_STEP: figures["global_step"]}
    best = stored_evaluation(folder)
    before = best.pop(_INCOMPLETE, math.nan) if best else math.nan
    step_before = best.pop(_INCOMPLETE_STEP, -math.inf) if best else -math.inf
    if best and not same_photos(best, figures):
        guess = figures.get("loss_no_colour", math.nan)
        lacks_the_same = math.isclose(before, guess, rel_tol=_ROUNDING)
        if not is_complete and not (lacks_the_same and step_before < figures["global_step"]):
            _log.warning(
                "step %d was measured without photos that cannot be read, so that it is not "
                "compared with the best checkpoint",
                figures["global_step"],
            )
            incomplete = {_INCOMPLETE: guess, _INCOMPLETE_STEP: figures["global_step"]}
            # The same step need not be measured a third time.
            write_json(
                folder / EVALUATION, {**best, **incomplete, **(evaluated if lacks_the_same else {})}
            )
            return int(best["evaluations_since"])
        # What the two lose on the photos that both have measured is not stored.
        _log.warning(
            "step %d was measured on other photos than the best checkpoint before, which it "
            "replaces without a comparison",
            figures["global_step"],
        )
        best = None
    is_best = best is None or figures["loss"] < best["loss"]
    if not (is_best and _copy(checkpoint, folder)):
        if best is None:
            return 0
        since = int(best["evaluations_since"]) + 1
        write_json(folder / EVALUATION, {**best, "evaluations_since": since, **evaluated})
        return since
    name = os.path.basename(checkpoint)
    best_prefix = str(folder / name)
    tf.compat.v1.train.update_checkpoint_state(str(folder), best_prefix, [best_prefix])
    write_json(folder / EVALUATION, {**figures, "evaluations_since": 0, **evaluated})
    # Earlier best checkpoints are removed, or remain until the next time if somebody reads them.
    for file in folder.glob(f"{CHECKPOINT}-*"):
        if not file.name.startswith(f"{name}."):
            remove(file)
    return 0


def count_anew(model_dir: str) -> None:
    """Stores that no evaluation has come since the best one, as another stage begins."""
    folder = Path(model_dir) / BEST
    if best := stored_evaluation(folder):
        write_json(folder / EVALUATION, {**best, "evaluations_since": 0})


def is_evaluated(model_dir: str, step: int) -> bool:
    """Whether training has evaluated the checkpoint of a step, or a later one."""
    stored = stored_evaluation(Path(model_dir) / BEST)
    # Earlier versions did not note the step.
    return stored is not None and stored.get(_EVALUATED_STEP, math.inf) >= step


def _copy(checkpoint: str, folder: Path) -> bool:
    """Copies a checkpoint; returns False if training has deleted it meanwhile."""
    folder.mkdir(exist_ok=True)
    index = Path(f"{checkpoint}.index")
    # The index is copied last, because a checkpoint counts only with its index. TensorFlow deletes
    # the index first for the same reason.
    try:
        for source in [*index.parent.glob(f"{index.stem}.data*"), index]:
            with atomic_write(folder / source.name) as target:
                shutil.copyfile(source, target)
    except FileNotFoundError:
        return False
    return True
