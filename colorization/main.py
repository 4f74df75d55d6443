"""Entry point of `color.py` and `color_global.py`: the command line chooses a module of `modes`.

Nothing here imports TensorFlow before the command line has been checked.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from colorization.console import (
    give_up_output,
    import_tensorflow,
    log_to_console,
    nobody_reads,
    print_error,
    ready_streams,
)
from colorization.errors import UserError, explain
from colorization.options import parse

if TYPE_CHECKING:
    from colorization.model.layers import Network

# Number of the signal for a pipe that nobody reads any more. Windows has such pipes, but not the
# signal.
_SIGPIPE = 13


def run(model: str, network: Network) -> NoReturn:
    """Does what the command line says, then ends the program.

    Exit codes: 0 done, 1 done but for photos that could not be coloured, 2 the user has something
    to mend (one line says what), 128 + N stopped by signal N; 141, for SIGPIPE, if nobody reads
    standard output any more.

    Args:
      model: name of the script, `"color"` or `"color_global"`.
      network: its network.
    """
    with ready_streams():
        sys.exit(_exit_code(model, network))


def _exit_code(model: str, network: Network) -> int:
    try:
        _require_working_folder()
        options = parse(model, sys.argv[1:])
        if options.xla:
            # TensorFlow reads these flags when it first looks for devices. XLA on processors needs
            # them.
            flags = os.environ.get("TF_XLA_FLAGS", "")
            os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_cpu_global_jit"
        import_tensorflow(options.verbose)
        log_to_console()
        mode = import_module(f"colorization.modes.{options.mode}")
        mode.run(network, options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return 0
    # An ImportError says which package is missing, or which version of one.
    except (UserError, ImportError) as error:
        print_error(f"{model}.py: {error}")
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        if isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and nobody_reads()):
            return 128 + _SIGPIPE
        explanation = explain(error, options.batch_size)
        if explanation is None or options.verbose:
            raise
        print_error(f"{model}.py: {explanation}")
        return 2
    finally:
        give_up_output()


def _require_working_folder() -> None:
    """Finds out whether the folder that the program was started in is still there.

    Raises:
      UserError: it is not.
    """
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UserError("the working folder is gone; change to one that exists") from error
