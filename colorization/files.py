"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path, ending: str = "") -> Iterator[Path]:
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
    with replacing(path) as temporary:
        temporary.write_bytes(data)
