"""The general models that ship with the suite, for users without a model of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from pathlib import Path

from colorization.errors import UserError
from colorization.options import MODELS, Options
from colorization.training import checkpoint, settings
from colorization.training.evaluation import stored_evaluation
from colorization.training.model_folder import BEST
from colorization.training.tryout import is_tryout

# Name for `--warm_start`, and beginning of the names for `--model_dir`.
PRETRAINED = "pretrained"

# Folder of the general models, beside the package.
_PLACE = Path(__file__).resolve().parents[2] / PRETRAINED

_log = logging.getLogger(__name__)


def with_model(options: Options, own_photos: bool = True) -> Options:
    """The options with the folder of a model: the user's own, or a general one.

    Args:
      options: of a run that needs a trained model.
      own_photos: whether it is for other photos than the bundled ones, see `own_or_general`.

    Raises:
      UserError: there is no model; says how to get one.
    """
    if "model_dir" in options.given:
        folder = located(options.model_dir, options.model)
    else:
        folder = own_or_general(options.model_dir, options.model, own_photos)
    return dataclasses.replace(options, model_dir=folder)


def general_model(model: str) -> str:
    """The folder of a general model.

    Args:
      model: the script that it belongs to, `"color"` or `"color_global"`.

    Raises:
      UserError: it is missing; says how to get it.
    """
    folder = _PLACE / model
    # Without its evaluation the model's colours would be too pale, without any warning.
    if checkpoint.holds_weights_only(str(folder)) and stored_evaluation(folder / BEST):
        return str(folder)
    root = _PLACE.parent
    remedy = "download the program again"
    if not (root / "pyproject.toml").exists():
        remedy = "it comes along where the program is installed with pip install -e"
    elif (root / ".git").exists():
        remedy = (
            f"git -C {root} checkout --ignore-skip-worktree-bits HEAD -- {PRETRAINED} brings it"
        )
    raise UserError(
        f"there is no general model in {folder}: {remedy}, "
        "or name a trained model's folder with --model_dir"
    )


def general_models() -> dict[str, str]:
    """Folders of the general models that exist, by names such as `pretrained/color`."""
    folders = {}
    for model in MODELS:
        with contextlib.suppress(UserError):
            folders[f"{PRETRAINED}/{model}"] = general_model(model)
    return folders


def located(folder: str, model: str) -> str:
    """Turns the name of a general model into its folder; other folders stay as they are.

    A model of that name in the working folder comes first.

    Args:
      folder: as the user names it: `pretrained`, `pretrained/color` or anything else.
      model: the script whose model `pretrained` alone is.

    Raises:
      UserError: see `general_model`.
    """
    path = Path(folder)
    if path == Path(PRETRAINED) and not settings.stored_settings(folder):
        return general_model(model)
    if path.parent == Path(PRETRAINED) and path.name in MODELS and not path.exists():
        return general_model(path.name)
    return folder


def own_or_general(model_dir: str, model: str, own_photos: bool = True) -> str:
    """The folder of the user's own model, or of the general one where there is none yet.

    A model that was trained on the bundled photos alone is used for other photos only where the
    general one is missing.

    Args:
      model_dir: folder of the user's own model.
      model: the script that it belongs to.
      own_photos: whether it is for other photos than the bundled ones.

    Raises:
      UserError: there is neither, or the folder may not be read; says what to do.
    """
    try:
        has_model = checkpoint.has_model(model_dir)
    except PermissionError as error:
        # The working folder may be one that only others may read.
        raise UserError(
            f"cannot look for your own model in {Path(model_dir).absolute()} (permission denied); "
            "work in another folder, or name a model with --model_dir"
        ) from error
    if has_model and not (own_photos and is_tryout(model_dir)):
        return model_dir
    try:
        folder = general_model(model)
    except UserError as error:
        if has_model:
            return model_dir
        raise UserError(
            f"no trained model in {model_dir}, train one with --mode train; and {error}"
        ) from error
    why = f"{model_dir} has seen the bundled photos alone (--model_dir {model_dir} takes it)"
    if not has_model:
        why = f"No model of your own in {model_dir} yet"
    _log.warning("%s: taking the general one, %s.", why, folder)
    return folder
