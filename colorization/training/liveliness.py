"""What makes a model's predictions livelier, as its best evaluation has measured it."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import NamedTuple

from colorization.training import weights
from colorization.training.evaluation import SATURATION_LIMITS, best_evaluation
from colorization.training.model_folder import BEST, CHECKPOINT, EVALUATION

_log = logging.getLogger(__name__)

_LIVELINESS_FIGURES = ("saturation", "vibrance", "added_saturation")


class Liveliness(NamedTuple):
    """Settings that make predictions livelier.

    A network predicts the mean of the colours that are possible, which is pale.

    Attributes:
      saturation: factor on the predicted chroma.
      vibrance: see `trained_network.livelier`; in CIE units.
    """

    saturation: float
    vibrance: float


def stored_liveliness(model_dir: str) -> Liveliness:
    """The liveliness that the model's best evaluation measured, see `metrics`.

    Returns:
      The saturation, within `SATURATION_LIMITS`, times the factor that an export has added; and the
      vibrance, limited to 0..20. Without a stored evaluation they are 1 and 0, with a warning if
      there should be one.
    """
    folder = Path(model_dir)
    stored = best_evaluation(folder)
    if stored is None and _should_have_evaluation(folder):
        _log.warning(
            "%s of %s is missing or damaged: colours may be paler than they should; restore the "
            "whole folder, or give --saturation",
            EVALUATION,
            folder,
        )

    def limited(name: str, low: float, high: float, default: float) -> float:
        value = (stored or {}).get(name, default)
        return min(max(value, low), high) if math.isfinite(value) else default

    added = limited("added_saturation", 1e-3, 1e3, 1.0)
    return Liveliness(
        limited("saturation", *SATURATION_LIMITS, 1.0) * added, limited("vibrance", 0.0, 20.0, 0.0)
    )


def liveliness_figures(source: Path, steps: int) -> dict[str, float]:
    """The figures that `stored_liveliness` reads, as far as a starting point has them.

    Args:
      source: a model's folder, which stands for its best checkpoint, or the prefix of a checkpoint.
      steps: that the checkpoint has been trained for. Only the best one of a folder has figures.
    """
    is_folder = source.is_dir()
    stored = best_evaluation(source if is_folder else source.parent) or {}
    if not is_folder and stored.get("global_step") != steps:
        return {}
    return {name: stored[name] for name in _LIVELINESS_FIGURES if name in stored}


def _should_have_evaluation(folder: Path) -> bool:
    """Whether a model must have been evaluated: as a file of weights, or for a best checkpoint."""
    is_evaluated = (folder / weights.FILE).exists() or (folder / BEST / EVALUATION).exists()
    return is_evaluated or folder.name == BEST or any((folder / BEST).glob(f"{CHECKPOINT}-*.index"))
