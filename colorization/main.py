"""What `color.py` and `color_global.py` call: the command line to one module of `modes`.

Nothing here imports TensorFlow before the command line has been checked.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from colorization.console import import_tensorflow, log_to_console, print_error
from colorization.errors import UserError, explain
from colorization.options import parse

if TYPE_CHECKING:
    from colorization.model.model_fn import Network


def run(model: str, network: Network) -> NoReturn:
    """Does what the command line says, then ends the program.

    Exit codes: 0 done, 1 done but for photos that could not be coloured, 2 the user has something
    to mend (one line says what), 128 + N stopped by signal N; 141, for SIGPIPE, if nobody reads
    standard output any more.

    Args:
      model: name of the script, `"color"` or `"color_global"`.
      network: its network.
    """
    # Names of photos need not be what standard output can hold.
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = parse(model, sys.argv[1:])
        if options.xla:
            # Read once, when TensorFlow first looks for devices; processors ask for it.
            flags = os.environ.get("TF_XLA_FLAGS", "")
            os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_cpu_global_jit"
        import_tensorflow(options.verbose)
        log_to_console()
        mode = import_module(f"colorization.modes.{options.mode}")
        mode.run(network, options)
        if sys.stdout is not None:
            sys.stdout.flush()
    # An ImportError says which package is missing, or which version of one.
    except (UserError, ImportError) as error:
        print_error(f"{model}.py: {error}")
        sys.exit(2)
    except BrokenPipeError:
        # Nobody reads on; what is still to be written at the end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        explanation = explain(error, options.batch_size)
        if explanation is None or options.verbose:
            raise
        print_error(f"{model}.py: {explanation}")
        sys.exit(2)
    sys.exit(0)
