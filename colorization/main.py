"""Entry point of `color.py` and `color_global.py`: the command line chooses a module of `modes`.

Nothing here imports TensorFlow before the command line has been checked.
"""

from __future__ import annotations

import os
import sys
import tempfile
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from colorization.console import log_to_console, nobody_reads
from colorization.environment import restored
from colorization.errors import UserError, explain
from colorization.options import parse
from colorization.options.declaration import MODES_WITH_PHOTOS
from colorization.program import eager_execution, exit_code, import_tensorflow, missing_package

if TYPE_CHECKING:
    from colorization.model.layers import Network

# Variables that a run sets. A notebook, which runs other programs afterwards, gets back its own.
_VARIABLES = (
    *("KERAS_BACKEND", "TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL", "TF_XLA_FLAGS"),
    *("OPENBLAS_NUM_THREADS", "TF_FORCE_GPU_ALLOW_GROWTH"),
)


def run(model: str, network: Network) -> NoReturn:
    """Runs the command line and ends the program.

    Exit codes: 0 for success; 1 if some photos could not be coloured; 2 for an error that one line
    explains; and those of `program.exit_code`.

    Args:
      model: name of the script, `"color"` or `"color_global"`.
      network: its network.
    """
    with restored(_VARIABLES):
        sys.exit(exit_code(partial(_run, model, network)))


def _run(model: str, network: Network) -> int:
    try:
        _require_working_folder()
        _require_temporary_folder()
        options = parse(model, sys.argv[1:])
        if options.xla:
            # XLA on CPUs needs this flag, which TensorFlow reads when it first looks for devices.
            flags = os.environ.get("TF_XLA_FLAGS", "")
            os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_cpu_global_jit"
        import_tensorflow(options.verbose)
        with log_to_console(), eager_execution():
            mode = import_module(f"colorization.modes.{options.mode}")
            mode.run(network, options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return 0
    except ModuleNotFoundError as error:
        raise UserError(f"{model}.py: {missing_package(error)}") from error
    # An ImportError says which version of a package is missing.
    except (UserError, ImportError) as error:
        raise UserError(f"{model}.py: {error}") from error
    except Exception as error:
        batch_size = options.batch_size if options.mode in MODES_WITH_PHOTOS else 1
        explanation = None if nobody_reads() else explain(error, batch_size)
        if explanation is None or options.verbose:
            raise
        raise UserError(f"{model}.py: {explanation}") from error


def _require_working_folder() -> None:
    """Checks that the working folder still exists.

    Raises:
      UserError: it does not.
    """
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UserError("the working folder is gone; change to one that exists") from error


def _require_temporary_folder() -> None:
    """Checks that temporary files can be written, without which TensorFlow cannot be imported.

    Raises:
      UserError: they cannot.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise UserError(
            "no folder takes temporary files (/tmp, say): free some space there, make it writable, "
            "or name another folder in the variable TMPDIR"
        ) from error
