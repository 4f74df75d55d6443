"""The checkpoints in a model's folder: which of them is the newest, the best, or damaged."""

from __future__ import annotations

import contextlib
import glob
import logging
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from colorization import files
from colorization.errors import UserError
from colorization.files import private_folder, remove, remove_left_behind
from colorization.training import weights
from colorization.training.model_folder import BEST, CHECKPOINT, LOCK

# How the names of Adam's variables end.
_OPTIMIZER_SUFFIXES = ("/Adam", "/Adam_1", "beta1_power", "beta2_power")
# Raised on reading a checkpoint that is damaged, or that a training has just deleted.
_READ_ERRORS = (tf.errors.OpError, ValueError, RuntimeError, OSError)
_REMEDY = "restore it and settings.json from one backup, or train anew in another --model_dir"

_log = logging.getLogger(__name__)


def latest_checkpoint(model_dir: str, weights_only: bool = False) -> str:
    """The newest checkpoint that is whole.

    Args:
      model_dir: folder of the model.
      weights_only: see `newest_whole`.

    Raises:
      UserError: there is none.
    """
    checkpoint = newest_whole(model_dir, weights_only)
    if checkpoint is None:
        raise UserError(
            f"no trained model in {model_dir}; train one with --mode train, "
            "or name its folder with --model_dir"
        )
    return checkpoint


def best_checkpoint(model_dir: str) -> str:
    """The checkpoint to predict with: that of the lowest evaluation loss, else the newest.

    In a folder without checkpoints it is the file of weights, see `weights`. The optimizer's
    variables are not read, because prediction does not need them.

    Raises:
      UserError: there is none.
    """
    if holds_weights_only(model_dir):
        return os.path.join(model_dir, weights.FILE)
    try:
        best = newest_whole(os.path.join(model_dir, BEST), weights_only=True)
    except UserError as error:
        _log.warning("%s; using the newest in %s instead", error, model_dir)
        best = None
    return best or latest_checkpoint(model_dir, weights_only=True)


def holds_weights_only(model_dir: str) -> bool:
    """Whether a folder's model can be used, but not be trained further in this folder."""
    return not _has_checkpoint(model_dir) and os.path.isfile(os.path.join(model_dir, weights.FILE))


def is_weight(name: str) -> bool:
    """Whether a variable is used in prediction, unlike those of the optimizer."""
    return not name.endswith(_OPTIMIZER_SUFFIXES)


def tensors(
    checkpoint: str, is_wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, np.ndarray]:
    """Values in a checkpoint or a file of weights, by the names of the variables.

    Args:
      checkpoint: prefix of the one, or path of the other.
      is_wanted: whether to read the variable of a name from a checkpoint; by default all are read.

    Raises:
      UserError: it is damaged, or a training has deleted it.
    """
    if checkpoint.endswith(weights.FILE):
        return weights.read(Path(checkpoint))
    try:
        reader = tf.train.load_checkpoint(checkpoint)
        names = reader.get_variable_to_shape_map().keys()
        return {name: reader.get_tensor(name) for name in names if is_wanted(name)}
    except _READ_ERRORS as error:
        raise UserError(
            f"{checkpoint} cannot be read ({_error_summary(error)}); where a training has replaced "
            "it, run the same command again"
        ) from error


def best_tensors(model_dir: str) -> tuple[str, dict[str, np.ndarray]]:
    """The checkpoint to predict with, and its values without those of the optimizer.

    If a training replaces it while it is read, the newer one is taken.

    Raises:
      UserError: there is none.
    """
    while True:
        best = best_checkpoint(model_dir)
        try:
            return best, tensors(best, is_weight)
        except UserError:
            if best_checkpoint(model_dir) == best:
                raise


@contextlib.contextmanager
def restorable(values: dict[str, np.ndarray], folder: str | None = None) -> Iterator[str]:
    """Writes a temporary checkpoint, which exists for the duration of the body.

    Args:
      values: of the variables, see `tensors`.
      folder: the model's folder to write it to; by default the system's temporary one. `resume`
        removes what a killed process leaves there.

    Yields:
      The prefix of the checkpoint.
    """
    with contextlib.ExitStack() as stack:
        folder = folder or stack.enter_context(private_folder())
        temporary = stack.enter_context(
            tempfile.TemporaryDirectory(
                "_temp", f"{CHECKPOINT}-", folder, ignore_cleanup_errors=True
            )
        )
        prefix = os.path.join(temporary, f"{CHECKPOINT}-{values['global_step']}")
        _write(prefix, values)
        yield prefix


def _write(prefix: str, values: dict[str, np.ndarray]) -> None:
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(values),
        shape_and_slices=[""] * len(values),
        tensors=list(values.values()),
    )


def starting_point(source: str) -> str:
    """The checkpoint that a warm start takes: the best in a model's folder, or the one named.

    Raises:
      UserError: there is none, or it is damaged.
    """
    if os.path.isdir(source):
        return best_checkpoint(source)
    prefix = source.removesuffix(".index")
    if not os.path.exists(f"{prefix}.index"):
        raise UserError(
            f"no checkpoint at {source}; name a model's folder, or a checkpoint like "
            f"models/color_global/{CHECKPOINT}-1000"
        )
    damage = _damage(prefix)
    if damage:
        raise UserError(f"{source} is damaged ({damage}); name another checkpoint")
    return prefix


def newest_listed(model_dir: str) -> str | None:
    """The newest checkpoint in TensorFlow's list; None if there is none.

    The checkpoint itself is not read. It is known to be whole after `resume`, or when a training
    has just saved it.
    """
    checkpoints = _checkpoints(model_dir)
    return checkpoints[-1] if checkpoints else None


def newest_whole(model_dir: str, weights_only: bool = False) -> str | None:
    """The newest checkpoint that can be read to its last byte.

    A full disk or a crash may cut a save short. TensorFlow lists such a checkpoint but cannot
    restore it; a warning names it, and the next older one is tried. A checkpoint is read once, one
    tensor at a time; nothing is written.

    Args:
      model_dir: folder of the model.
      weights_only: skip the optimizer's variables, which are two thirds of a checkpoint.

    Returns:
      Its prefix, as `tf.train.latest_checkpoint` gives it, or None if there is no checkpoint.

    Raises:
      UserError: there are checkpoints, and all of them are damaged.
    """
    damaged, checkpoints = [], _checkpoints(model_dir)
    for checkpoint in reversed(checkpoints):
        damage = _damage(checkpoint, weights_only)
        if damage is None:
            for name, reason in damaged:
                _log.warning("%s is damaged (%s): using %s instead", name, reason, checkpoint)
            return checkpoint
        if _checkpoints(model_dir) != checkpoints:
            # A training has saved or deleted checkpoints since they were listed.
            return newest_whole(model_dir, weights_only)
        damaged.append((checkpoint, damage))
    if damaged:
        name, reason = damaged[0]
        raise UserError(
            f"no checkpoint in {model_dir} is whole; the newest, {name}, is damaged ({reason}): "
            "restore one from a backup or train anew in another --model_dir"
        )
    return None


def require_fitting(checkpoint: str, name: str | None) -> None:
    """Compares a checkpoint with the variables of the current graph.

    TensorFlow itself restores values of another shape without complaint.

    Args:
      checkpoint: its prefix.
      name: what messages call it, where it is a temporary copy.

    Raises:
      UserError: a shape differs.
    """
    shapes = tf.train.load_checkpoint(checkpoint).get_variable_to_shape_map()
    _require_shapes(name or checkpoint, shapes)


def restore(checkpoint: str, values: dict[str, np.ndarray], session: tf.compat.v1.Session) -> None:
    """Gives the variables of the current graph the values of a checkpoint, see `best_tensors`.

    Raises:
      UserError: one is missing or of another shape.
    """
    variables = tf.compat.v1.global_variables()
    shapes = {name: list(value.shape) for name, value in values.items()}
    _require_shapes(checkpoint, shapes)
    missing = sorted({variable.op.name for variable in variables} - shapes.keys())
    if missing:
        raise UserError(
            f"{checkpoint} does not fit its network: {missing[0]} is missing; {_REMEDY}"
        )
    # Feeding the initializers adds no operation to the graph, unlike assigning.
    feed = {variable.initializer.inputs[1]: values[variable.op.name] for variable in variables}
    session.run([variable.initializer for variable in variables], feed)


def _require_shapes(checkpoint: str, stored: dict[str, list[int]]) -> None:
    for variable in tf.compat.v1.global_variables():
        name, shape = variable.op.name, variable.shape.as_list()
        if stored.get(name, shape) != shape:
            raise UserError(
                f"{checkpoint} does not fit its network: {name} is {stored[name]}, not {shape}; "
                f"{_REMEDY}"
            )


def resume(model_dir: str) -> int:
    """Readies a folder for training to go on in it; the caller holds its lock.

    TensorFlow's list of checkpoints is cut off after the newest whole one, which training then
    restores, and the leftovers of interrupted saves and copies are removed.

    Returns:
      The step of that checkpoint, 0 if there is none.

    Raises:
      UserError: see `newest_whole`.
    """
    # The second is what TensorFlow leaves on a disk that becomes full.
    for pattern in (f"{CHECKPOINT}-*_temp", "graph.pbtxt.tmp*"):
        for leftover in Path(model_dir).glob(pattern):
            remove(leftover)
    remove_left_behind(Path(model_dir))
    whole = newest_whole(model_dir)
    if whole is None:
        return 0
    checkpoints = _checkpoints(model_dir)
    usable = checkpoints[: checkpoints.index(whole) + 1]
    state = _checkpoint_state(model_dir)
    if state is None or list(state.all_model_checkpoint_paths) != usable:
        tf.compat.v1.train.update_checkpoint_state(model_dir, whole, usable)
    return step_of(whole)


def discard(model_dir: str, checkpoint: str) -> None:
    """Removes a checkpoint, also from TensorFlow's list if others remain."""
    tf.compat.v1.train.remove_checkpoint(checkpoint)
    remaining = [path for path in _checkpoints(model_dir) if path != checkpoint]
    if remaining:
        tf.compat.v1.train.update_checkpoint_state(model_dir, remaining[-1], remaining)


def go_on_from_best(model_dir: str, step: int) -> str:
    """Makes the best checkpoint the newest one, as if it had been trained for more steps.

    Args:
      model_dir: folder of the model, whose lock the caller holds.
      step: number of steps that the copy counts as trained for.

    Returns:
      The best checkpoint, from which the copy was made.

    Raises:
      UserError: there is none.
      tf.errors.OpError: the copy cannot be written.
    """
    best = best_checkpoint(model_dir)
    copy = os.path.join(model_dir, f"{CHECKPOINT}-{step}")
    _write(copy, {**tensors(best), "global_step": np.int64(step)})
    tf.compat.v1.train.update_checkpoint_state(model_dir, copy, [*_checkpoints(model_dir), copy])
    return best


def has_model(model_dir: str) -> bool:
    """Whether a folder holds a model to use, of checkpoints or of weights, even a damaged one."""
    return has_begun(model_dir) or holds_weights_only(model_dir)


def has_begun(model_dir: str) -> bool:
    """Whether a folder holds any checkpoint of a training, be it only the best one."""
    return _has_checkpoint(model_dir) or _has_checkpoint(os.path.join(model_dir, BEST))


def _has_checkpoint(model_dir: str) -> bool:
    """Whether a folder holds any checkpoint, even a damaged one."""
    return bool(_checkpoints(model_dir))


def trained_steps(model_dir: str) -> int:
    """Steps that the newest whole checkpoint has been trained for; 0 if there is none."""
    whole = newest_whole(model_dir)
    return step_of(whole) if whole else 0


def step_of(checkpoint: str) -> int:
    """Steps that a checkpoint has been trained for; nothing else of it is read."""
    return int(tf.train.load_variable(checkpoint, "global_step"))


def _checkpoints(model_dir: str) -> list[str]:
    """Prefixes of the checkpoints in a folder, oldest first.

    Their order comes from TensorFlow's list. Only the names in it are used: its folders are wrong
    once a model has been moved, perhaps from Windows. A listed checkpoint may have been deleted. If
    all have been, or there is no list, as in a copy that was made during a training, the steps in
    the names of the others tell their order.
    """
    state, names = _checkpoint_state(model_dir), []
    if state is not None:
        *names, newest = (
            re.split(r"[/\\]", path)[-1]
            for path in (*state.all_model_checkpoint_paths, state.model_checkpoint_path)
        )
        names = [*(name for name in names if name != newest), newest]
    if not any(os.path.exists(os.path.join(model_dir, f"{name}.index")) for name in names):
        endings = (path.stem.rpartition("-")[2] for path in _index_files(model_dir))
        steps = sorted((ending for ending in endings if ending.isdigit()), key=int)
        names = [*(f"{CHECKPOINT}-{step}" for step in steps), *names]
    return [os.path.join(model_dir, name) for name in names]


def _checkpoint_state(model_dir: str) -> Any:
    """TensorFlow's list of checkpoints, a CheckpointState, or None if it is missing or damaged."""
    try:
        return tf.train.get_checkpoint_state(model_dir)
    except ValueError:
        return None


def _index_files(model_dir: str) -> Iterator[Path]:
    return Path(model_dir).glob(f"{CHECKPOINT}-*.index")


def _damage(checkpoint: str, weights_only: bool = False) -> str | None:
    """Describes the damage of a checkpoint; None if every tensor can be read and is finite.

    The optimizer's tensors are not read if `weights_only`. TensorFlow compares each tensor that it
    reads with its checksum. The sizes in the index are compared with the data first, so that a
    damaged index cannot make the process allocate more memory than the data takes.

    Raises:
      UserError: it must not be read.
    """
    folder, name = os.path.split(checkpoint)
    files_of_data = list(Path(folder).glob(f"{glob.escape(name)}.data-*"))
    index = Path(f"{checkpoint}.index")
    for path in (index, *files_of_data):
        if not path.exists():
            return f"{path.name} is missing"
        if not os.access(path, os.R_OK):
            raise UserError(f"cannot read {path} (permission denied); make it readable")
    try:
        reader = tf.train.load_checkpoint(checkpoint)
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        if "global_step" not in shapes:
            return "no global_step"
        if not all(dtype.is_floating or dtype.is_integer for dtype in dtypes.values()):
            return "holds something else than numbers"
        claimed_bytes = sum(math.prod(shape) * dtypes[name].size for name, shape in shapes.items())
        stored_bytes = sum(path.stat().st_size for path in files_of_data)
        if claimed_bytes > stored_bytes:
            return f"{stored_bytes:,} bytes where its index claims {claimed_bytes:,}"
        for variable in shapes:
            if weights_only and not is_weight(variable):
                continue
            if not np.isfinite(reader.get_tensor(variable)).all():
                return f"{variable} holds values that are not finite"
    except _READ_ERRORS as error:
        return _error_summary(error)
    return None


def _error_summary(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].split(" [[")[0]


@contextlib.contextmanager
def locked(model_dir: str) -> Iterator[None]:
    """Keeps other trainings out of a folder for the duration of the body, at whose end it is there.

    See `files.locked` and `files.staying`.
    """
    lock = Path(model_dir) / LOCK
    with (
        files.locked(lock, model_dir, "training", "model_dir"),
        files.staying(lock, model_dir, "training"),
    ):
        yield
