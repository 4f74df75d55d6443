"""The weights of a network in one small file, without optimizer slots: `weights.npz`.

The file has NumPy's own format, a zip file of arrays with a CRC-32 of each. It holds numbers only,
so that reading it runs no code. Kernels are stored in 8 bits with a scale for each output channel;
vectors and the number of steps are stored as they are.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from colorization.errors import NO_MEMORY, UserError, reason
from colorization.files import atomic_write

FILE = "weights.npz"

_SCALE = ":scale"
_LARGEST = 127
_LFS_POINTER = b"version https://git-lfs"


def write(path: Path, values: dict[str, np.ndarray]) -> None:
    """Writes weights, whole or not at all; creates the folder if need be.

    Args:
      path: of the file.
      values: float32 weights by the names of their variables, and `global_step`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, ".npz") as temporary:
        np.savez_compressed(temporary, **compacted(values))


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads weights.

    Args:
      path: of the file.

    Returns:
      float32 weights by the names of their variables, and `global_step`, int64.

    Raises:
      UserError: the file is missing, damaged or only a Git LFS pointer.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(len(_LFS_POINTER))
        if start == _LFS_POINTER:
            raise UserError(
                f"{path} is only a pointer of Git LFS; fetch the file with git lfs pull"
            )
        if not start.startswith(b"PK"):
            raise ValueError("not a zip file")
        with np.load(path, allow_pickle=False) as stored:
            values = expanded({name: stored[name] for name in stored.files})
        if values["global_step"].shape != ():
            raise ValueError("global_step is no number")
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise ValueError(f"{name} holds values that are not finite")
    except MemoryError as error:
        raise UserError(f"{NO_MEMORY} to read {path}; free some") from error
    except (
        *(OSError, ValueError, TypeError, KeyError, EOFError, NotImplementedError),
        *(zipfile.BadZipFile, zlib.error, SyntaxError, RuntimeError),
    ) as error:
        raise UserError(
            f"{path} is damaged ({reason(error)}); get it again with git checkout, by "
            "another download or by --mode export --format weights"
        ) from error
    return values


def compacted(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Quantizes kernels to 8 bits; a step is a 127th of the largest weight of an output channel.

    The rounding error of each weight is carried over to the next one of its channel, so that the
    sum of any run of weights is off by less than a step. Plain rounding would undo a short training
    that started from quantized weights.

    Args:
      values: float32 weights by name; arrays of two dimensions or more are kernels, with the output
        channels last.

    Returns:
      For each kernel, int8 weights under its name, and float32 steps `[channels]` under its name
      with `:scale`; everything else unchanged.
    """
    arrays = {}
    for name, value in values.items():
        arrays[name] = value
        if value.ndim >= 2:
            scale = np.abs(value).max(axis=tuple(range(value.ndim - 1))) / np.float32(_LARGEST)
            scale[scale == 0] = 1
            sums = np.cumsum(value.reshape(-1, value.shape[-1]) / scale, axis=0, dtype=np.float64)
            steps = np.diff(np.floor(sums + 0.5), axis=0, prepend=0)
            steps = steps.clip(-_LARGEST, _LARGEST).reshape(value.shape)
            arrays[name] = steps.astype(np.int8)
            arrays[name + _SCALE] = scale
    return arrays


def expanded(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `compacted`; other floats of fewer bits become float32 as well.

    Raises:
      ValueError: a scale does not fit its kernel.
    """
    values = {}
    for name, array in arrays.items():
        if name.endswith(_SCALE):
            continue
        if name + _SCALE in arrays:
            array = array * arrays[name + _SCALE].astype(np.float32)
        is_float = np.issubdtype(array.dtype, np.floating)
        values[name] = array.astype(np.float32) if is_float else array
    return values
