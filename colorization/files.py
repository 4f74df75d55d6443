"""Files that appear whole or not at all, and folders that one process at a time writes to."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from colorization.errors import UserError

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def atomic_write(path: Path, ending: str = "") -> Iterator[Path]:
    """A temporary name to write to; put in place of `path` at the end, removed on failure.

    It ends in `ending`, for writers that go by that.
    """
    process = f"{os.getpid()}-{threading.get_ident()}"
    # Only the beginning of the name, which may be as long as names can be already.
    temporary = path.with_name(f".{path.name[:40]}.{process}.tmp{ending}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_left_behind(folder: Path) -> None:
    """Removes the temporary files below a folder whose processes are gone: they were killed."""
    for path in folder.rglob(".*.tmp*"):
        process, _, _ = path.name.rpartition(".tmp")[0].rpartition(".")[2].partition("-")
        if process.isdecimal() and not _is_running(int(process)):
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True


def write_file(path: Path, data: bytes) -> None:
    """Writes a file, its folder too if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, whole or not at all."""
    write_file(path, (json.dumps(value, indent=2) + "\n").encode())


@contextlib.contextmanager
def locked(file: Path, folder: str, work: str, option: str) -> Iterator[None]:
    """Keeps others from the same work in a folder for the duration of the body.

    The kernel holds the lock for this process and releases it whichever way the process ends, so
    that nothing stale is ever left; the file stays.

    Args:
      file: local; its folder is made if need be.
      folder: what is written to; for the messages, as are the others.
      work: what is done there, in a word.
      option: that names the folder.

    Raises:
      UserError: another process has the lock, or the file cannot be written.
    """
    with writable(folder, option):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    with open(descriptor, "r+", encoding="utf-8", errors="replace") as opened:
        try:
            # Not flock: child processes would inherit that, and outlive this one with it.
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise UserError(
                    f"another {work} is writing to {folder} ({opened.read(200).strip()}); "
                    f"wait for it, stop it or choose another --{option}"
                ) from None
            _log.warning(
                "%s is on a file system without locks: keep any other %s out of it", folder, work
            )
        opened.truncate()
        opened.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        opened.flush()
        yield


@contextlib.contextmanager
def writable(folder: str, option: str) -> Iterator[None]:
    """Turns what goes wrong when a folder is written to into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror}); choose another --{option}"
        ) from error


def require_writable(folder: str, option: str) -> None:
    """Finds out whether a folder can be made and written to, without making it.

    Raises:
      UserError: it cannot.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        raise UserError(f"cannot write to {folder}; make {existing} writable or change --{option}")
