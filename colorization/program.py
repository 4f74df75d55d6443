"""A program's start, with the import of TensorFlow, and its end, by itself or by a signal."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

from colorization.console import (
    captured_stderr,
    give_up_output,
    nobody_reads,
    open_closed_streams,
    print_error,
    ready_streams,
)
from colorization.errors import UserError

if TYPE_CHECKING:
    from types import FrameType

# Number of the signal for a pipe without a reader. Windows has such pipes, but not the signal.
_SIGPIPE = 13
# Errors of output that cannot be written.
_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

# Signals that ask a program to stop: from Ctrl-C, from a service manager, and from closing its
# window, on Windows and elsewhere.
_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP")
# More than callbacks of weak references and `__del__` take.
_CALLBACK_SECONDS = 0.1


class _NoKeras:
    """An import finder that finds no module of Keras."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name.startswith("keras."):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


@contextlib.contextmanager
def _without_keras() -> Iterator[None]:
    """Lets TensorFlow be imported in the body without Keras, which is still loaded on first use.

    Nothing here uses Keras, which takes a third of the import: since 2.16 it imports pandas and
    Matplotlib.
    """
    sys.meta_path.insert(0, _NoKeras)
    try:
        yield
    finally:
        sys.meta_path.remove(_NoKeras)


def import_tensorflow(verbose: bool) -> None:
    """Imports TensorFlow for the first time in a program.

    Args:
      verbose: show everything that TensorFlow logs. Otherwise only errors of its Python part are
        shown, and nothing of its C++ part, whose real failures raise exceptions.
    """
    # The two small scripts import TensorFlow before they call `exit_code`.
    open_closed_streams()
    # Programs started by a notebook inherit its Matplotlib backend, which may not be installed for
    # them. No window is opened here.
    if "IPython" not in sys.modules:
        os.environ["MPLBACKEND"] = "agg"
    # TensorFlow's estimators need its own Keras, whichever one the user prefers elsewhere.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    # Threads of NumPy's matrix products keep waiting busily for work, long after small ones.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # TensorFlow would take nearly all memory of each GPU that it sees, used or not, and leave none
    # to programs beside it.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if verbose:
        with _without_keras():
            import tensorflow as tf

        tf.get_logger().setLevel(logging.INFO)
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow 2.16 and later print a few lines before they read the level.
    try:
        with captured_stderr(), _without_keras():
            import tensorflow as tf
    # As above, nobody else would catch it.
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except ModuleNotFoundError as error:
        print_error(f"{os.path.basename(sys.argv[0])}: {missing_package(error)}")
        sys.exit(2)
    tf.get_logger().setLevel(logging.ERROR)


def missing_package(error: ModuleNotFoundError) -> str:
    """Says which package is missing in which Python, and what to do about it."""
    activate = r".venv\Scripts\activate" if os.name == "nt" else "source .venv/bin/activate"
    return (
        f"{error} for {sys.executable}; activate the environment that has it ({activate}), or run "
        "pip install -r requirements.txt"
    )


@contextlib.contextmanager
def eager_execution() -> Iterator[None]:
    """Runs TensorFlow's operations at once in the body, as by default.

    Notebooks with older programs turn that off, often for their Estimators, and it cannot be turned
    on again by anything public once there is a graph.
    """
    import tensorflow as tf

    if tf.executing_eagerly():
        yield
        return
    from tensorflow.python.eager import context

    with context.eager_mode():
        yield


@contextlib.contextmanager
def on_stop_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Sets a handler of the signals that ask the program to stop, for the duration of the body.

    Signals that are ignored from the start stay ignored, as nohup and shell scripts rely on.
    Nothing happens in other threads than the main one, which get no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in _STOP_SIGNALS if hasattr(signal, name)]
    handled = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    former_handlers = {number: signal.signal(number, handler) for number in handled}
    try:
        yield
    finally:
        for number, former_handler in former_handlers.items():
            signal.signal(number, former_handler)


@contextlib.contextmanager
def _not_lost_in_callbacks(stops: list[int]) -> Iterator[None]:
    """Sends a signal once more if the exception of its handler is lost, as `__del__` loses all.

    Args:
      stops: numbers of the signals that were received.
    """
    former_hook, pending = sys.unraisablehook, []

    def hook(lost: sys.UnraisableHookArgs) -> None:
        if stops and isinstance(lost.exc_value, SystemExit):
            # A moment later, the callback is over.
            again = threading.Timer(_CALLBACK_SECONDS, _send_again, [stops[-1]])
            again.daemon = True
            again.start()
            pending.append(again)
        else:
            former_hook(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = former_hook
        for again in pending:
            again.cancel()


def _send_again(number: int) -> None:
    if hasattr(signal, "pthread_kill"):
        # Only the thread that gets a signal is woken by it.
        signal.pthread_kill(threading.main_thread().ident, number)
    else:
        signal.raise_signal(number)


# Libraries, and the level below which what they log is of no use to users. tifffile warns of odd
# tags, which harm no pixel. Matplotlib, which Keras imports as well, tells of its cache of fonts.
_QUIET = {"tifffile": logging.CRITICAL, "matplotlib": logging.ERROR}


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Hides what libraries tell about odd photos, fonts and GPUs, for the duration of the body.

    Other filters of warnings stay, of libraries too that are first imported in the body.
    """
    former_filters = list(warnings.filters)
    # Pillow warns of odd tags and EXIF data, and of large pictures, whose limit decoding checks.
    for category in (UserWarning, RuntimeWarning):
        warnings.filterwarnings("ignore", category=category, module=r"PIL\.")
    # Estimator reads the options of a dataset, which several graphics processors share.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"tensorflow\.python\.data\.")
    own_filters = [one for one in warnings.filters if one not in former_filters]
    loggers = {logging.getLogger(name): level for name, level in _QUIET.items()}
    former_levels = {log: log.level for log in loggers}
    for log, level in loggers.items():
        log.setLevel(level)
    try:
        yield
    finally:
        warnings.filters[:] = [one for one in warnings.filters if one not in own_filters]
        for log, level in former_levels.items():
            log.setLevel(level)


def exit_code(work: Callable[[], int | None]) -> int:
    """Does the work of a program and returns its exit code.

    That is the result of `work`, where none stands for 0; 2 if it raises a `UserError`, which is
    printed; 141, for SIGPIPE, if standard output has lost its reader; or 2 if standard output
    cannot be written.

    Raises:
      SystemExit: with 128 + N, if signal N stops the program.
    """
    stops: list[int] = []

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        """Ends the program by an exception, so that nothing half-written is left."""
        stops.append(number)
        sys.exit(128 + number)

    with ready_streams(), on_stop_signals(stop), _not_lost_in_callbacks(stops), _quiet_libraries():
        try:
            code = work() or 0
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
        except SystemExit as end:
            # IPython before 8.28 fails to show one that was raised while an error was handled.
            end.__context__ = None
            raise
        except Exception as error:
            # Modules in C that are being imported turn the exception of `stop` into another.
            if stops:
                raise SystemExit(128 + stops[0]) from None
            if (code := _code_of(error)) is None:
                raise
            return code
        finally:
            give_up_output()


def _code_of(error: Exception) -> int | None:
    """The exit code for an error, which is printed if there is anything to say; None if unknown."""
    if isinstance(error, UserError):
        print_error(str(error))
        return 2
    if not isinstance(error, OSError):
        return None
    if isinstance(error, BrokenPipeError) or nobody_reads():
        return 128 + _SIGPIPE
    # Errors about standard output have no file name.
    if error.filename is not None or error.errno not in _WRITE_ERRORS:
        return None
    print_error(f"cannot write ({(error.strerror or '').lower()})")
    return 2
