"""What is printed: progress bars, warnings and errors, but no start-up chatter of TensorFlow."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


@contextlib.contextmanager
def captured_stderr() -> Iterator[None]:
    """Holds back standard error, also from C++; shows it after all if the body fails."""
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


def import_tensorflow(verbose: bool) -> None:
    """Imports TensorFlow for the first time in a program.

    Args:
      verbose: show everything that TensorFlow logs. Otherwise only errors of its Python part are
        shown, and nothing of its C++ part: whatever really fails there comes back as an exception.
    """
    if verbose:
        import tensorflow as tf

        tf.get_logger().setLevel(logging.INFO)
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow 2.16 and later print a few lines before they have read the level.
    with captured_stderr():
        import tensorflow as tf
    tf.get_logger().setLevel(logging.ERROR)


def log_to_console() -> None:
    """Warnings go to standard error, above a progress bar if there is one."""
    from tqdm import tqdm

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tqdm.write(self.format(record), file=sys.stderr)

    logging.getLogger("colorization").addHandler(Handler())


def print_error(message: str) -> None:
    """In a line of its own, even where a progress bar stands."""
    try:
        from tqdm import tqdm
    except ImportError:  # which may be the error
        print(message, file=sys.stderr)
    else:
        tqdm.write(message, file=sys.stderr)


def progress_bar(total: int | None, what: str, unit: str, **settings) -> tqdm:
    """A progress bar with rate and time left; seldom redrawn where it cannot be overwritten."""
    from tqdm import tqdm

    class Bar(tqdm):
        def refresh(self, *args, **settings) -> None:
            # `tqdm.write` shows a bar before its delay is over, and `close` would not end its line.
            self.delay = 0
            super().refresh(*args, **settings)

    return Bar(
        total=total,
        desc=what,
        unit=unit,
        dynamic_ncols=True,
        mininterval=0.2 if sys.stderr.isatty() else 10,
        **settings,
    )


def printable(path: str) -> str:
    """A path as it is printed, in one line: control characters, such as newlines, escaped."""
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: repr(found[0])[1:-1], path)
