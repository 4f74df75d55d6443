"""The evaluation that is stored with a model's best checkpoint: its metrics."""

from __future__ import annotations

import json
import math
from pathlib import Path

from colorization.training.model_folder import BEST, EVALUATION


def best_saturation(model_dir: str) -> float:
    """The factor on the predicted chroma that the model's best evaluation found, see `metrics`.

    Returns:
      The factor, limited to 0.5..2, because that of a model which has learnt nothing yet means
      nothing. 1 where none is stored, as by earlier versions.
    """
    stored = stored_evaluation(Path(model_dir) / BEST) or {}
    factor = stored.get("saturation", 1.0)
    return min(max(factor, 0.5), 2.0) if math.isfinite(factor) else 1.0


def stored_evaluation(folder: Path) -> dict[str, float] | None:
    """The metrics of the checkpoint in a folder, with `evaluations_since` it was the best.

    Returns:
      None where none are stored, or what is stored was not written by a training.
    """
    try:
        stored = json.loads((folder / EVALUATION).read_bytes())
        evaluation = {name: float(value) for name, value in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return evaluation if {"loss", "evaluations_since"} <= evaluation.keys() else None


def same_photos(first: dict[str, float], second: dict[str, float]) -> bool:
    """Whether two evaluations were on the same photos: the baselines tell."""
    return all(
        math.isclose(first.get(name, math.nan), second.get(name, math.nan), rel_tol=1e-4)
        for name in ("loss_no_colour", "ab_rmse_no_colour")
    )
