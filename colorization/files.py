"""Files that appear whole or not at all, and folders that one process at a time writes to."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
from filelock import FileLock, Timeout

from colorization.errors import UserError

# Beginning of the names of this program's temporary files and folders. The machine's name is part
# of it, because process numbers mean nothing on another machine.
_MACHINE = hashlib.blake2b(os.fsencode(socket.gethostname()), digest_size=4).hexdigest()
_NAME = f"colorize-{_MACHINE}-"
_PREFIX = f".{_NAME}"
# Containers may share a machine's name, but do not see each other's processes: there, what nobody
# has written to for an hour is left behind. Outside of containers, Linux numbers the namespace of
# processes so.
_NAMESPACE, _NO_CONTAINER, _SILENT_SECONDS = "/proc/self/ns/pid", 0xEFFFFFFC, 3600

# Errors of file systems that have no locks, such as some network shares.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

# Lock that is held while others are looked at or taken, and the seconds that this lasts at most on
# a slow network with many machines.
_ENTRANCE, _MOST_WAITING = ".entrance.lock", 60

_Meaning = TypeVar("_Meaning")

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def atomic_write(path: Path, ending: str = "") -> Iterator[Path]:
    """A temporary name for a file or folder; put in place of `path` at the end, removed on failure.

    Args:
      path: final name. A folder of that name must be empty or missing.
      ending: of the temporary name, for writers that go by that.
    """
    temporary = path.with_name(f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}.tmp{ending}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        _remove(temporary)
        if isinstance(error, OSError) and error.filename == str(temporary):
            # Nobody knows the temporary name; what refuses a new name is the folder.
            refused = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
            error.filename = str(path.parent if refused else path)
        raise


def remove_left_behind(folder: Path) -> None:
    """Removes what killed processes of this machine were writing below a folder."""
    _remove_of_dead(folder.rglob(f"{_PREFIX}*.tmp*"))


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for this process alone in the system's temporary one, which goes at the end.

    Those of killed processes go at the beginning.
    """
    # Gradio serves nothing from folders with a dot in front.
    _remove_of_dead(Path(tempfile.gettempdir()).glob(f"{_NAME}*.tmp"))
    with tempfile.TemporaryDirectory(
        prefix=f"{_NAME}{os.getpid()}-", suffix=".tmp", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _remove_of_dead(paths: Iterable[Path]) -> None:
    for path in paths:
        process = path.name.removeprefix(".").removeprefix(_NAME).partition("-")[0]
        if process.isdecimal() and _is_left_behind(path, int(process)):
            _remove(path)


def _is_left_behind(path: Path, process: int) -> bool:
    if process != os.getpid() and psutil.pid_exists(process):
        return False
    with contextlib.suppress(OSError):
        written = path.stat().st_mtime
        # A container that is started anew gives its program the same number each time.
        if process == os.getpid():
            return written < psutil.Process().create_time()
        return not _in_container() or written < time.time() - _SILENT_SECONDS
    return False


def _in_container() -> bool:
    with contextlib.suppress(OSError):
        return os.stat(_NAMESPACE).st_ino != _NO_CONTAINER
    return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        # Cleaning up must neither end the program nor hide an error that came before.
        with contextlib.suppress(OSError):
            path.unlink()


def write_file(path: str | Path, data: bytes) -> None:
    """Writes a file, its folder too if need be.

    Args:
      path: local, or anything that `tf.io.gfile` writes.
      data: all of it.

    Raises:
      OSError: it cannot be written.
      tf.errors.OpError: likewise, for what is not local.
    """
    if "://" in str(path):
        _write_remote(str(path), data)
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def _write_remote(path: str, data: bytes) -> None:
    import tensorflow as tf

    temporary = f"{path}.{_NAME}{os.getpid()}.tmp"
    with tf.io.gfile.GFile(temporary, "wb") as file:
        file.write(data)
    tf.io.gfile.rename(temporary, path, overwrite=True)


def write_json(path: str | Path, value: Any) -> None:
    """Writes a JSON file, whole or not at all."""
    write_file(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(
    path: Path, meaning: Callable[[Any], _Meaning], missing: _Meaning, mend: str
) -> _Meaning:
    """What a JSON file says.

    Args:
      path: of the file.
      meaning: turns its content into what is wanted, and fails where that makes no sense.
      missing: what there is where there is no file.
      mend: what helps where it is damaged.

    Raises:
      UserError: it is damaged, or cannot be read.
    """
    try:
        return meaning(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return missing
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); {mend}") from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is damaged; {mend}") from error


@contextlib.contextmanager
def locked(
    file: Path,
    folder: str,
    work: str,
    option: str,
    others: Callable[[], Iterable[Path]] = lambda: (),
    begin: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """Keeps others from the same work in a folder for the duration of the body.

    The system holds the lock for this process and releases it whichever way the process ends, so
    that nothing stale is ever left; the file may stay.

    Args:
      file: local; its folder is made if need be. Who has the lock stands in another file beside it.
      folder: what is written to; for the messages, as are the others.
      work: what is done there, in a word.
      option: that names the folder.
      others: gives the locks beside it that nobody may have meanwhile.
      begin: called with the lock held, before anybody else can get one of those beside it.

    Raises:
      UserError: another process has the lock or one of the others, or the file cannot be written.
    """

    def taken(lock: Path, seconds: float = 0) -> contextlib.AbstractContextManager[bool]:
        busy = (
            f"another {work} is writing to {folder} ({_owner(lock.with_suffix('.owner'))}); "
            f"wait for it, stop it or choose another --{option}"
        )
        return _taken(lock, busy, seconds)

    owner = file.with_suffix(".owner")
    with contextlib.ExitStack() as held:
        with writable(folder, option):
            file.parent.mkdir(parents=True, exist_ok=True)
            # One at a time looks at the others' locks, because looking takes them for a moment.
            with taken(file.parent / _ENTRANCE, _MOST_WAITING) as locks_work:
                for other in others():
                    with taken(other):
                        pass
                held.enter_context(taken(file))
                held.callback(_remove, owner)
                write_file(owner, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
                begin()
        if not locks_work:
            _log.warning(
                "%s is on a file system without locks: keep any other %s out of it", folder, work
            )
        yield


@contextlib.contextmanager
def _taken(file: Path, busy: str, seconds: float) -> Iterator[bool]:
    """Holds a lock for the duration of the body; False if the file system has no locks.

    Raises:
      UserError: `busy`, because somebody else has had it for so many seconds.
    """
    # A lock for each thread would let two threads of this process have it.
    lock = FileLock(file, thread_local=False)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise UserError(busy) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _owner(note: Path) -> str:
    """Who has a lock, in the words that it wrote down."""
    try:
        return note.read_text(encoding="utf-8", errors="replace")[:200].strip()
    except OSError:
        return "which has only begun"


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
    # An absent drive is its own parent.
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        raise UserError(f"cannot write to {folder}; make {existing} writable or change --{option}")
