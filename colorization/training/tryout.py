"""Try-out models, trained on the bundled photos alone to show learning."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

from colorization.errors import UserError
from colorization.files import writable
from colorization.options import Options
from colorization.training import checkpoint
from colorization.training.model_folder import TRYOUT


def is_tryout(model_dir: str) -> bool:
    """Whether all training in a folder was on the bundled photos, whatever it started from."""
    return (Path(model_dir) / TRYOUT).exists()


def mark(model_dir: str, bundled: bool) -> None:
    """Marks a model as a try-out before its first checkpoint, or takes the mark away.

    Args:
      model_dir: its folder, which exists.
      bundled: whether the photos are the bundled ones.

    Raises:
      OSError: the folder cannot be written to.
    """
    path = Path(model_dir) / TRYOUT
    if not bundled:
        path.unlink(missing_ok=True)
    elif not checkpoint.has_begun(model_dir):
        path.touch()


@contextlib.contextmanager
def kept_apart(
    options: Options, own_photos: bool, *models: str, may_rename: bool = True
) -> Iterator[None]:
    """Keeps trainings on bundled photos and on others out of one default folder.

    Before a training on other photos, the folder of a try-out model is renamed. It gets its name
    back if that training ends before its first checkpoint. A model of other photos is left alone.

    Args:
      options: of the training in the body; a folder that the user named is never renamed.
      own_photos: whether it is on other photos than the bundled ones.
      models: subfolders that hold the models, if the default folder itself is none.
      may_rename: False if other machines may use the folder.

    Raises:
      UserError: the photos are bundled but the model is of others; or the folder is in use or
        cannot be renamed.
    """
    model_dir = options.model_dir
    folders = [str(Path(model_dir) / model) for model in models] or [model_dir]
    # A comparison that was stopped while it trained its first model has only that.
    trained = list(filter(checkpoint.has_model, folders))
    if "model_dir" in options.given or not trained:
        yield
        return
    are_tryouts = all(map(is_tryout, trained))
    if not own_photos and not are_tryouts:
        raise UserError(
            f"{model_dir} has seen other photos, as far as is known, and would see the bundled "
            "ones now; name photos with --train_data, or another folder with --model_dir"
        )
    if not (own_photos and are_tryouts):
        yield
        return
    if not may_rename:
        raise UserError(
            f"{model_dir} has seen the bundled photos alone; rename it, or name another folder "
            "with --model_dir"
        )
    renamed = _set_aside(model_dir, trained)
    try:
        yield
    finally:
        # Another training may have begun there, without a checkpoint so far.
        if any(map(checkpoint.has_model, folders)) or any(map(_is_in_use, folders)):
            print(f"The model of the bundled photos that was in {model_dir} is {renamed} now.")
        else:
            # The body has saved no checkpoint, so that nothing of value lies there.
            shutil.rmtree(model_dir, ignore_errors=True)
            renamed.rename(model_dir)


def _is_in_use(folder: str) -> bool:
    try:
        with checkpoint.locked(folder):
            return False
    except UserError:
        return True


def _set_aside(model_dir: str, folders: list[str]) -> Path:
    """Renames a folder that no training is writing to, and returns its new path."""
    for folder in folders:
        with checkpoint.locked(folder):
            pass
    numbers = itertools.chain([""], itertools.count(2))
    names = (f"{model_dir}_bundled{number}" for number in numbers)
    unused = next(name for name in names if not Path(name).exists())
    with writable(str(Path(model_dir).parent), "model_dir"):
        return Path(model_dir).rename(unused)
