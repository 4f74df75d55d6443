"""Console output: progress bars, warnings and errors, without TensorFlow's start-up messages."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

if TYPE_CHECKING:
    from types import FrameType

    from tqdm import tqdm

_SECONDS_PER_LINE = 30
# Number of the signal for a pipe without a reader. Windows has such pipes, but not the signal.
_SIGPIPE = 13
# Errors of output that cannot be written.
_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_CURSOR_UP = "\x1b[A"

# Signals that ask a program to stop: from Ctrl-C, from a service manager, and from closing its
# window, on Windows and elsewhere.
_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP")


@contextlib.contextmanager
def ready_streams() -> Iterator[None]:
    """Keeps messages that cannot be shown from ending the body.

    Standard output may not support characters in photos' names, and standard error may be closed
    or full.
    """
    # Closed streams are opened on the null device. Otherwise a file opened later would get their
    # numbers, to which TensorFlow writes.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    former = sys.stderr
    sys.stderr = _ForgivingStream(io.StringIO() if former is None else former)
    try:
        yield
    finally:
        sys.stderr = former


class _ForgivingStream:
    """A stream whose writes may fail silently."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _LineStream(_ForgivingStream):
    """Writes a progress bar without a terminal, as a line for each of its states."""

    def write(self, text: str) -> int:
        # A bar below others moves the cursor up past them.
        line = text.replace(_CURSOR_UP, "").strip(" \r\n")
        if line:
            super().write(f"{line}\n")
        return len(text)


@contextlib.contextmanager
def captured_stderr() -> Iterator[None]:
    """Captures standard error, including C++'s; shows it only if the body fails."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except Exception:
            held_back.seek(0)
            os.write(original, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)


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
    # Programs started by a notebook inherit its Matplotlib backend, which may not be installed for
    # them. No window is opened here.
    if "IPython" not in sys.modules:
        os.environ["MPLBACKEND"] = "agg"
    # TensorFlow's estimators need its own Keras, whichever one the user prefers elsewhere.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    # Threads of NumPy's matrix products keep waiting busily for work, long after small ones.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if verbose:
        with _without_keras():
            import tensorflow as tf

        tf.get_logger().setLevel(logging.INFO)
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Matplotlib, which Keras imports, logs the building of its font cache, which is not used.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # TensorFlow 2.16 and later print a few lines before they read the level.
    try:
        with captured_stderr(), _without_keras():
            import tensorflow as tf
    # The two small scripts import TensorFlow before they call `exit_code`.
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    tf.get_logger().setLevel(logging.ERROR)


class _Console(logging.Handler):
    """Sends warnings to standard error, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


@contextlib.contextmanager
def log_to_console() -> Iterator[None]:
    """Shows warnings of the body only, because a notebook may run several programs."""
    handler, log = _Console(), logging.getLogger("colorization")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def print_error(message: str) -> None:
    """Prints an error on a line of its own, even where a progress bar stands."""
    try:
        from tqdm import tqdm
    except ImportError:  # which may be the error
        print(message, file=sys.stderr)
    else:
        tqdm.write(message, file=sys.stderr)


def progress_bar(total: int | None, description: str, unit: str, **settings) -> tqdm:
    """A progress bar with rate and time left; without a terminal, a line now and then."""
    from tqdm import tqdm

    on_terminal = _is_terminal(sys.stderr)
    if not on_terminal:
        # The initial state is not worth a line.
        settings["delay"] = 1

    class Bar(tqdm):
        def refresh(self, *args, **settings) -> None:
            # `tqdm.write` shows a bar even during its delay, but `close` would not end its line.
            self.delay = 0
            super().refresh(*args, **settings)

        def close(self) -> None:
            if self.leave:
                self.delay = 0
            super().close()

        # A bar that ends with an error leaves no line.

        def __exit__(self, kind: type | None, *error: Any) -> None:
            self.disable = self.disable or (kind is not None and not on_terminal)
            super().__exit__(kind, *error)

        def __del__(self) -> None:
            self.disable = self.disable or not on_terminal
            super().__del__()

    return Bar(
        total=total,
        desc=description,
        unit=unit,
        file=sys.stderr if on_terminal else _LineStream(sys.stderr),
        dynamic_ncols=on_terminal,
        ncols=None if on_terminal else 0,
        mininterval=0.2 if on_terminal else _SECONDS_PER_LINE,
        **settings,
    )


def _is_terminal(stream: TextIO) -> bool:
    """Whether bars can be drawn: not with an unknown width (0), or on a dumb terminal."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return False
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(stream.fileno()).columns > 0
    return True


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


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    """Ends the program by an exception, so that nothing half-written is left."""
    sys.exit(128 + number)


def exit_code(work: Callable[[], int]) -> int:
    """Does the work of a program and returns its exit code.

    That is the result of `work`; 141, for SIGPIPE, if standard output has lost its reader; or 2 if
    standard output cannot be written.

    Raises:
      SystemExit: with 128 + N, if signal N stops the program.
    """
    with ready_streams(), on_stop_signals(_exit):
        try:
            code = work()
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
        except OSError as error:
            if isinstance(error, BrokenPipeError) or nobody_reads():
                return 128 + _SIGPIPE
            # Errors about standard output have no file name.
            if error.filename is not None or error.errno not in _WRITE_ERRORS:
                raise
            print_error(f"cannot write ({(error.strerror or '').lower()})")
            return 2
        finally:
            give_up_output()


def nobody_reads() -> bool:
    """Whether standard output is a pipe without a reader."""
    # Windows reports an invalid argument.
    return _write_error() in (errno.EPIPE, errno.EINVAL)


def give_up_output() -> None:
    """Drops buffered output if standard output cannot be written."""
    if _write_error():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_error() -> int | None:
    """The number of the error that keeps standard output from being written."""
    # A missing or closed stream has no such error.
    with contextlib.suppress(AttributeError, ValueError):
        try:
            sys.stdout.flush()
        except OSError as error:
            return error.errno
    return None


def command_line(words: Sequence[str]) -> str:
    """A command quoted for the system's shell."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def printable(path: str) -> str:
    """A path with control characters, such as newlines, escaped, to print it in one line."""
    return re.sub(r"[\x00-\x1f\x7f]", lambda match: repr(match[0])[1:-1], path)


def a_few(paths: Sequence[str], formatted: Callable[[str], str] = printable) -> str:
    """The first three paths, formatted, and how many more there are."""
    rest = f" and {len(paths) - 3:,} more" if len(paths) > 3 else ""
    return ", ".join(map(formatted, paths[:3])) + rest


def counted(count: int, noun: str) -> str:
    """A number and its noun, such as "1 photo" or "2,000 photos"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
