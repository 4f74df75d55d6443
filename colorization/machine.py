"""What of this machine the program may use: in a container or job, the machine may have more."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

# The folder of the control groups, and the file that says which of them this process is in.
CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def _limits(controller: str, count: int, *files: tuple[str, ...]) -> Iterator[tuple[int, ...]]:
    """The numbers that limit this process, in its own control group and in all that hold that one.

    A batch system, a service manager or a container sets them in any of these. What a container
    does not see of its own path is no folder, and is passed over.

    Args:
      controller: the folder of version 1 that the limits are in.
      count: of the numbers that state a limit; sandboxes have empty files.
      *files: names of the files that state a limit together, of version 2 and of version 1.
        Without a limit, one says "max", or in version 1 -1 or a number larger than any memory.
    """
    groups = {"": "/", controller: "/"}
    with contextlib.suppress(OSError):
        own = os.fsdecode(_OWN_GROUPS.read_bytes())
        # Version 2 has one group for all controllers, in a line that names none.
        for controllers, path in re.findall(r"^\d+:(.*?):(.*)$", own, re.MULTILINE):
            groups |= dict.fromkeys(controllers.split(","), path)
    # Beside groups of version 1, those of version 2 are in a folder of their own.
    for root, path in (
        (CONTROL_GROUPS, groups[""]),
        (CONTROL_GROUPS / "unified", groups[""]),
        (CONTROL_GROUPS / controller, groups[controller]),
    ):
        group = root / path.lstrip("/")
        for folder in (group, *group.parents[: len(group.parts) - len(root.parts)]):
            for names in files:
                with contextlib.suppress(OSError, ValueError):
                    texts = [(folder / name).read_text() for name in names]
                    numbers = tuple(map(int, " ".join(texts).split()))
                    if len(numbers) == count:
                        yield numbers


def cores() -> int:
    """Number of processor cores that this process may keep busy; at least 1."""
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on
        count = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):  # on Linux
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count()
    count = count or 1
    processor_time = ("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    for microseconds, period in _limits("cpu", 2, *processor_time):
        if microseconds > 0 and period > 0:
            count = min(count, math.ceil(microseconds / period))
    return count


def total_memory() -> int:
    """Bytes of memory that this process may take, with all beside it under the same limit."""
    limits = _limits("memory", 1, ("memory.max",), ("memory.limit_in_bytes",))
    total = psutil.virtual_memory().total
    return min([total, *(limit for (limit,) in limits if limit > 0)])
