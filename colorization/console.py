"""Console output: progress bars, warnings, errors and commands, on streams that may fail."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm

_SECONDS_PER_LINE = 30
_CURSOR_UP = "\x1b[A"


@contextlib.contextmanager
def ready_streams() -> Iterator[None]:
    """Keeps messages that cannot be shown from ending the body.

    Standard output may not support characters in photos' names, and standard error may be closed
    or full.
    """
    open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    former = sys.stderr
    sys.stderr = _StandardError(io.StringIO() if former is None else former)
    try:
        yield
    finally:
        sys.stderr = former


def open_closed_streams() -> None:
    """Opens closed standard streams on the null device.

    Otherwise a file opened later would get their numbers, to which TensorFlow writes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


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


class _StandardError(_ForgivingStream):
    """Standard error, which equals the stream below.

    The log handler of absl, which TensorFlow brings, writes to that one. When all handlers are
    closed, it closes it as well, unless it equals standard error.
    """

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._stream

    def __hash__(self) -> int:
        return hash(self._stream)


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
    flush = getattr(sys.stderr, "flush", lambda: None)  # without a stream where it is closed
    flush()
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
            flush()
            os.dup2(original, 2)
            os.close(original)


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
        # Each class would start a thread that never ends, and looks after bars that `miniters`
        # keeps waiting for many more updates at once.
        monitor_interval = 0

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
        miniters=1,
        **settings,
    )


def _is_terminal(stream: TextIO) -> bool:
    """Whether bars can be drawn: not with an unknown width (0), or on a dumb terminal."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return False
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(stream.fileno()).columns > 0
    return True


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
