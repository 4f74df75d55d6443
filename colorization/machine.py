"""What of this machine the program may use: in a container, the machine may have much more."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

import psutil

# Files with the limits of a container, below this folder, in control groups of version 2 and 1:
# microseconds of processor time and the period that they are for, and bytes of memory.
CONTROL_GROUPS = Path("/sys/fs/cgroup")
_PROCESSOR_TIME = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
_MEMORY = ("memory.max", "memory/memory.limit_in_bytes")


def cores() -> int:
    """Number of processor cores that this process may keep busy; at least 1."""
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on
        count = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):  # on Linux
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count()
    count = count or 1
    for names in _PROCESSOR_TIME:
        # Without a limit, the file says "max", or -1 in version 1.
        with contextlib.suppress(OSError, ValueError):
            texts = ((CONTROL_GROUPS / name).read_text() for name in names)
            time, period = map(int, " ".join(texts).split())
            if time > 0 and period > 0:
                count = min(count, math.ceil(time / period))
    return count


def total_memory() -> int:
    """Bytes of memory that this process and all beside it in its container may take."""
    total = psutil.virtual_memory().total
    for name in _MEMORY:
        # Without a limit, the file says "max", or a number larger than any memory in version 1.
        with contextlib.suppress(OSError, ValueError):
            limit = int((CONTROL_GROUPS / name).read_text())
            total = min(total, limit) if limit > 0 else total
    return total
