"""The end of a training by `--patience`, which the same command does not train beyond."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from colorization.files import read_note, write_json
from colorization.options import Options
from colorization.training.evaluation import is_evaluated
from colorization.training.model_folder import PATIENCE

# The folder may be renamed, what a begun training started from is settled, and what is shown is of
# no matter.
_IMMATERIAL = {"model_dir", "warm_start", "from_scratch", "verbose"}


def store_end(options: Options, photos: tuple[int, int], step: int) -> None:
    """Stores beside a model that its training was ended at a step.

    Args:
      options: of the training.
      photos: number of those to train and to test on.
      step: the last one.

    Raises:
      OSError: the folder cannot be written to.
    """
    write_json(Path(options.model_dir) / PATIENCE, _note(options, photos, step))


def has_ended(options: Options, photos: tuple[int, int], step: int) -> bool:
    """Whether a training was ended where it is now, and nothing that it was given has changed."""
    if not options.patience or not is_evaluated(options.model_dir, step):
        return False
    # Without its note a training only goes on.
    stored = read_note(Path(options.model_dir) / PATIENCE)
    return stored == json.loads(json.dumps(_note(options, photos, step)))


def _note(options: Options, photos: tuple[int, int], step: int) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in options.given - _IMMATERIAL}
    return {"step": step, "photos": photos, "options": given}
