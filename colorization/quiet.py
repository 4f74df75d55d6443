"""TensorFlow without its start-up chatter."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator


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
