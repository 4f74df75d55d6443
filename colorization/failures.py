"""What to say when the machine, not the user, is at fault."""

from __future__ import annotations

import errno

import tensorflow as tf

_FULL = (errno.ENOSPC, errno.EDQUOT)
# How TensorFlow, which has one exception for whatever has run out, words those two.
_FULL_WORDS = ("No space left on device", "Disk quota exceeded")


def explain(error: BaseException, batch_size: int) -> str | None:
    """One line that says what happened and how to mend it.

    Args:
      error: what ended the run.
      batch_size: of the run.

    Returns:
      None for an error that is not known to be the machine's.
    """
    text = str(error)
    if (isinstance(error, OSError) and error.errno in _FULL) or (
        isinstance(error, tf.errors.OpError) and any(words in text for words in _FULL_WORDS)
    ):
        return (
            f"the disk is full ({_first_line(text)}); what was finished before is whole: "
            "free some space, then run the same command again"
        )
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        mend = f"lower --batch_size, now {batch_size}" if batch_size > 1 else "free some memory"
        return f"out of memory ({_first_line(text) or type(error).__name__}); {mend}"
    if "Restoring from checkpoint failed" in text:
        return (
            "the checkpoint does not fit the network that settings.json beside it describes; "
            "restore both from one backup, or train anew in another --model_dir"
        )
    return None


def _first_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line and "detected at node" not in line]
    return lines[0][:200] if lines else ""
