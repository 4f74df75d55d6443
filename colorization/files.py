"""Files that appear whole or not at all, and folders that one process writes to at a time."""

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

# Prefix of this program's temporary files and folders. It includes the machine's name, because
# process numbers mean nothing on another machine.
_MACHINE = hashlib.blake2b(os.fsencode(socket.gethostname()), digest_size=4).hexdigest()
_NAME = f"colorize-{_MACHINE}-"
_PREFIX = f".{_NAME}"
# Containers may share a machine's name without seeing each other's processes. There, files that
# nobody has written to for an hour count as left behind. Outside of containers, the namespace of
# processes has this fixed number on Linux.
_NAMESPACE, _NO_CONTAINER, _IDLE_SECONDS = "/proc/self/ns/pid", 0xEFFFFFFC, 3600

# Errors of file systems that have no locks, such as some network shares. The last one comes from
# those that remove no open file, as locking tries to.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBUSY)

# Lock that is held while others are checked or taken, and the longest that this takes, in seconds,
# on a slow network with many machines.
_ENTRANCE, _MAX_WAITING_SECONDS = ".entrance.lock", 60

_Parsed = TypeVar("_Parsed")

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def atomic_write(path: Path, ending: str = "") -> Iterator[Path]:
    """A temporary name for a file or folder, which replaces `path` at the end.

    Args:
      path: final name. A folder of that name must be empty or missing.
      ending: of the temporary name, for writers that depend on it.
    """
    temporary = path.with_name(f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}.tmp{ending}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        remove(temporary)
        if isinstance(error, OSError) and error.filename == str(temporary):
            # The user does not know the temporary name. It is the folder that refuses new files.
            refused = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
            error.filename = str(path.parent if refused else path)
        raise


@contextlib.contextmanager
def replacing(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """A temporary folder, whose files replace those of another one when all are written.

    Args:
      folder: the other one; made if need be.
      names: of the files that belong together, in the order in which they are replaced. Where the
        temporary folder has none of a name, that of the other one is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_left_behind(folder)
    temporary = folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}.tmp"
    temporary.mkdir()
    try:
        yield temporary
        for name in names:
            if (temporary / name).exists():
                (folder / name).parent.mkdir(exist_ok=True)
                # Part of the other folder may be a link to another disk.
                with atomic_write(folder / name) as target:
                    shutil.move(temporary / name, target)
            else:
                (folder / name).unlink(missing_ok=True)
    finally:
        remove(temporary)


def remove_left_behind(folder: Path) -> None:
    """Removes what killed processes of this machine were writing below a folder."""
    _remove_abandoned(folder.rglob(f"{_PREFIX}*.tmp*"))


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A temporary folder of this process, removed at the end.

    Folders of killed processes are removed first.
    """
    # Gradio serves no files from hidden folders.
    _remove_abandoned(Path(tempfile.gettempdir()).glob(f"{_NAME}*.tmp"))
    with tempfile.TemporaryDirectory(
        prefix=f"{_NAME}{os.getpid()}-", suffix=".tmp", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _remove_abandoned(paths: Iterable[Path]) -> None:
    for path in paths:
        process = path.name.removeprefix(".").removeprefix(_NAME).partition("-")[0]
        if process.isdecimal() and _is_left_behind(path, int(process)):
            remove(path)


def _is_left_behind(path: Path, process: int) -> bool:
    if process != os.getpid() and psutil.pid_exists(process):
        return False
    with contextlib.suppress(OSError):
        written = path.stat().st_mtime
        # A restarted container gives its program the same number each time.
        if process == os.getpid():
            return written < psutil.Process().create_time()
        return not _in_container() or written < time.time() - _IDLE_SECONDS
    return False


def _in_container() -> bool:
    with contextlib.suppress(OSError):
        return os.stat(_NAMESPACE).st_ino != _NO_CONTAINER
    return False


def remove(path: Path) -> None:
    """Removes a file or a folder, as far as that is possible.

    Windows, for one, removes no file that somebody has opened.
    """
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        # Cleaning up must neither end the program nor hide an earlier error.
        with contextlib.suppress(OSError):
            path.unlink()


def files_below(folder: Path) -> Iterator[str]:
    """Paths below a folder of all that is no folder, broken links as well, with forward slashes."""
    top = str(folder)
    # `Path.rglob` and `Path.glob` of Python 3.11 remember all that they find, and a `Path` of each
    # file takes ten times as long as listing them.
    for parent, _, names in os.walk(top):
        below = parent[len(top) :].replace(os.sep, "/").strip("/")
        for name in names:
            yield f"{below}/{name}" if below else name


def write_file(path: str | Path, data: bytes) -> None:
    """Writes a file; creates its folder if need be.

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
    path: Path, parse: Callable[[Any], _Parsed], default: _Parsed, remedy: str
) -> _Parsed:
    """Reads a JSON file.

    Args:
      path: of the file.
      parse: converts its content, and raises an error for nonsense.
      default: returned if there is no file.
      remedy: advice for the message about a damaged file.

    Raises:
      UserError: it is damaged, or cannot be read.
    """
    try:
        # Of bytes, Python finds out the encoding, which editors may change.
        return parse(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return default
    except PermissionError as error:
        raise UserError(f"cannot read {path} (permission denied); make it readable") from error
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); {remedy}") from error
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise UserError(f"{path} is damaged; {remedy}") from error


def read_note(path: Path) -> Any:
    """The value in a JSON file that one can do without: None if it is damaged or missing."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


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

    The system releases the lock however the process ends, so that it is never stale; its file may
    stay.

    Args:
      file: the local lock file, whose folder is created if need be. A file beside it names the
        owner of the lock.
      folder: the folder that is written to; for messages, like the next two.
      work: a word for the work.
      option: the option that names the folder.
      others: returns the other locks in the folder of `file` that must be free.
      begin: called with the lock held, before anybody can take another lock in that folder.

    Raises:
      UserError: another process has the lock or one of the others, or the file cannot be written.
    """

    def held(lock: Path, seconds: float = 0) -> contextlib.AbstractContextManager[bool]:
        busy = (
            f"another {work} is writing to {folder} ({_owner(lock.with_suffix('.owner'))}); "
            f"wait for it, stop it or choose another --{option}"
        )
        return _lock_held(lock, busy, seconds)

    owner = file.with_suffix(".owner")
    with contextlib.ExitStack() as locks:
        with writable(folder, option):
            file.parent.mkdir(parents=True, exist_ok=True)
            # Only one process checks other locks at a time, because checking takes them briefly.
            with held(file.parent / _ENTRANCE, _MAX_WAITING_SECONDS) as locks_work:
                for other in others():
                    with held(other):
                        pass
                locks.enter_context(held(file))
                locks.callback(remove, owner)
                write_file(owner, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
                begin()
        if not locks_work:
            _log.warning(
                "%s is on a file system without locks: keep any other %s out of it", folder, work
            )
        yield


@contextlib.contextmanager
def staying(lock: Path, folder: str, work: str) -> Iterator[None]:
    """Requires that a folder is still there at the end of the body.

    Args:
      lock: a file in the folder, which `locked` holds.
      folder, work: see `locked`.

    Raises:
      UserError: the folder was moved, removed or unmounted, however the body ended.
    """

    def require(cause: Exception | None) -> None:
        # The folder itself may have been made anew by what was written to it since.
        if not lock.exists():
            raise UserError(
                f"{folder} was moved, removed or unmounted during the {work}, which is incomplete; "
                "put it back and run the same command again"
            ) from cause

    try:
        yield
    except Exception as error:
        require(error)
        raise
    require(None)


@contextlib.contextmanager
def _lock_held(file: Path, busy: str, seconds: float) -> Iterator[bool]:
    """Holds a lock for the duration of the body; False if the file system has no locks.

    Raises:
      UserError: `busy`; another process has held the lock for so many seconds.
    """
    # A thread-local lock could be taken by two threads of this process. Without locks of the file
    # system, filelock would take a file for one, which outlives a process that is killed.
    lock = FileLock(file, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise UserError(busy) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        file.touch()
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _owner(note: Path) -> str:
    """The owner of a lock, as it has described itself."""
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
        _require_no_dangling_link(Path(folder), option)
        raise UserError(
            f"cannot write to {folder} ({error.strerror}); choose another --{option}"
        ) from error


def _require_no_dangling_link(path: Path, option: str) -> None:
    """Raises a `UserError` if a path is a link to what does not exist."""
    if path.is_symlink() and not path.exists():
        raise UserError(
            f"{path} is a link to {os.readlink(path)}, which does not exist; mount its disk, or "
            f"change --{option}"
        )


def require_writable(folder: str, option: str) -> None:
    """Checks that a folder can be created and written to, without creating it.

    Remote folders are not looked at.

    Raises:
      UserError: it cannot.
    """
    if "://" in folder:
        return
    existing = Path(folder).absolute()
    # An absent drive is its own parent.
    while not existing.exists() and existing != existing.parent:
        _require_no_dangling_link(existing, option)
        existing = existing.parent
    if existing.is_file():
        raise UserError(f"{existing} is a file; name a folder in --{option}")
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        raise UserError(f"cannot write to {folder}; make {existing} writable or change --{option}")
