"""Errors, and their explanation to the user in one line."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import struct
from collections.abc import Iterable, Iterator


class UserError(Exception):
    """An error that the user can fix; its message says in one line what is wrong, and how."""


class UnreadablePhoto(Exception):
    """A file that is no picture or is damaged; the message says why in a few words."""


class UnreadableFilm(Exception):
    """A file that is no film, or one that cannot be read; the message says why in a few words."""


# Message about a photo that needs more memory than there is.
NO_MEMORY = "not enough memory"
# Exceptions whose messages are about a program, not about a file.
_ABOUT_CODE = (ArithmeticError, AttributeError, LookupError, TypeError, struct.error)


@contextlib.contextmanager
def within_memory() -> Iterator[None]:
    """Turns a lack of memory into an error about one photo instead of the whole run.

    Raises:
      UnreadablePhoto: there is not enough.
    """
    try:
        yield
    except MemoryError as error:
        raise UnreadablePhoto(NO_MEMORY) from error


def damage(error: Exception) -> str:
    """One line about a file that a decoder has failed on, with any exception."""
    message = " ".join(str(error).split()) or type(error).__name__
    # libjxl's message is advice for those who build it.
    if isinstance(error.__cause__ or error, _ABOUT_CODE) or "build `libjxl`" in message:
        message = "cut short or changed"
    return f"damaged: {message}"


def reason(error: Exception) -> str:
    """Describes an error in a few words.

    The errors of remote file systems have a `message`, but no common type.
    """
    if isinstance(error, MemoryError):
        return NO_MEMORY
    words = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    return (words or type(error).__name__).lower().splitlines()[0]


# Errors about a single file, not about a disk.
_UNUSABLE = (
    *(errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EILSEQ, errno.EFBIG),
    # On network shares, another program has it open.
    *(errno.EBUSY, errno.ETXTBSY),
)
# Those of disks that fail or are taken out, and of network shares that go away or want a new
# password. Not all of them are known to each system.
_FAILURES = (
    *("EIO", "ENODEV", "ENXIO", "ENOMEDIUM", "EUCLEAN", "EBADMSG", "EREMOTEIO"),
    *("ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
    *("ENETRESET", "ECONNRESET", "ECONNABORTED", "ECONNREFUSED", "ESHUTDOWN", "ENOLINK", "ENONET"),
    *("ECOMM", "ENOKEY", "EKEYEXPIRED", "EKEYREVOKED", "EKEYREJECTED"),
)
# Errors of what may not be written.
_OF_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
# Errors of disks, what they mean, and what helps.
_OF_DISKS = (
    ((errno.ENOSPC, errno.EDQUOT), "the disk is full", "free some space"),
    ((errno.EFBIG,), "the disk, or a limit, takes no file as large as this", "choose another disk"),
    (
        tuple(getattr(errno, name) for name in _FAILURES if hasattr(errno, name)),
        "a disk or network share has failed",
        "see that it works",
    ),
)


def trouble_of_disk(error: BaseException) -> str | None:
    """What is wrong with a disk, in a few words; None if the error is not about a disk."""
    code = error.errno if isinstance(error, OSError) else None
    return next((meaning for codes, meaning, _ in _OF_DISKS if code in codes), None)


def why_not_coloured(error: Exception, name: str) -> str:
    """A few words on why a photo or film was not coloured.

    Args:
      error: the error that was raised.
      name: name of the coloured picture or film.

    Raises:
      OSError: the error itself, if it is not about a single file.
    """
    if isinstance(error, MemoryError):
        return NO_MEMORY
    if not isinstance(error, OSError):
        return str(error)
    if error.errno not in _UNUSABLE:
        raise error
    return f"cannot write {name}: {reason(error)}"


def explain(error: BaseException, batch_size: int) -> str | None:
    """One line that says what happened and how to fix it.

    Args:
      error: the error that ended the run.
      batch_size: of the run.

    Returns:
      None for an error that is not known to come from the machine.
    """
    import tensorflow as tf

    text = str(error)
    for codes, meaning, remedy in _OF_DISKS:
        words = _words_of_tensorflow(codes)
        if (isinstance(error, OSError) and error.errno in codes) or (
            isinstance(error, tf.errors.OpError | RuntimeError)
            and any(word in text for word in words)
        ):
            return (
                f"{meaning} ({_telling_line(text, *words)}); what was finished before is whole: "
                f"{remedy}, then run the same command again"
            )
    if (
        isinstance(error, OSError)
        and error.errno in (*_UNUSABLE, *_OF_RIGHTS)
        and error.filename is not None
    ):
        return (
            f"cannot use {os.fsdecode(error.filename)} ({(error.strerror or '').lower()}); "
            "mend that or name another path"
        )
    words = _words_of_tensorflow(_OF_RIGHTS)
    if isinstance(error, tf.errors.OpError | RuntimeError) and any(word in text for word in words):
        return f"cannot use {_telling_line(text, *words)}; mend that or name another path"
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        remedy = f"lower --batch_size, now {batch_size}" if batch_size > 1 else "free some memory"
        return f"out of memory ({_telling_line(text, 'OOM') or type(error).__name__}); {remedy}"
    if isinstance(error, RuntimeError) and "can't start new thread" in text:
        return (
            "the limit of threads is reached; what was finished before is whole: raise the limit "
            "(ulimit -u, or that of the container's processes) or end other programs, then run "
            "the same command again"
        )
    if "Restoring from checkpoint failed" in text:
        return (
            "the checkpoint does not fit the network that settings.json beside it describes; "
            "restore both from one backup, or train anew in another --model_dir"
        )
    return None


def _words_of_tensorflow(codes: Iterable[int]) -> list[str]:
    """How TensorFlow's messages tell errors of the system.

    It uses one exception for many of them, and another where it writes events. Their meaning stands
    behind a path and a semicolon, but that of errors between the machines of a cluster does not.
    """
    return [f"; {os.strerror(code)}" for code in codes]


def _telling_line(text: str, *words: str) -> str:
    """The first line with one of the words, else the first one after TensorFlow's heading."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in words)]
    other_lines = [line for line in lines if line != "Graph execution error:"]
    line = (telling or other_lines or [""])[0]
    # TensorFlow adds the names of its operations.
    return re.sub(r"\{\{.*?\}\} *| *\[Op:\w+\]", "", line)[:300]
