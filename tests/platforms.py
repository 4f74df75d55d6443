"""Features that some systems lack, for tests that need them."""

import os
import signal
import sys

import psutil
import pytest

# Windows and macOS have only Unicode names, and Windows none with some characters.
any_names = pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="this system has only Unicode names"
)
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes or devices in folders")
no_root = pytest.mark.skipif(
    getattr(os, "geteuid", int)() == 0, reason="root, and whoever is on Windows, may read all"
)
movable = pytest.mark.skipif(os.name == "nt", reason="Windows moves no folders with open files")
# Programs in a Windows console are not told which signal another program sends them.
signals = pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to programs")

try:
    import resource
except ImportError:
    resource = None

# Seconds that only what hangs can take, however busy the machine is.
HANG = 1800

SIGPIPE = getattr(signal, "SIGPIPE", 13)


def peak_memory() -> int:
    """Bytes of memory that this process has used at most so far."""
    if resource is None:
        return psutil.Process().memory_info().peak_wset
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def link(path, target) -> None:
    """Makes a symbolic link; skips the test where the system forbids it."""
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("Windows lets only some users make links")
