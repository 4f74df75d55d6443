"""How much of a machine a container, or a job of a cluster, may use."""

import os

import psutil
import pytest

from colorization import machine


@pytest.fixture
def limits(tmp_path, monkeypatch):
    """Writes files of control groups and "own", on a machine of 16 cores and 64 GiB."""
    monkeypatch.setattr(machine, "CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(machine, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 16, raising=False)
    total = psutil.virtual_memory()._replace(total=2**36)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: total)

    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return write


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 16),
        ({"cpu.max": "max 100000\n"}, 16),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "10000 0\n"}, 16),
        ({"cpu.max": "100000\n"}, 16),
        ({"cpu.max": "6400000 100000\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"own": "0::/job\n", "cpu.max": "8 1\n", "job/cpu.max": "4 1\n"}, 4),
        ({"own": "0::/job\n", "cpu.max": "3 1\n", "job/cpu.max": "4 1\n"}, 3),
        (
            {
                "own": "3:cpu,cpuacct:/job\n1:name=systemd:/other\n",
                "cpu/job/cpu.cfs_quota_us": "200000\n",
                "cpu/job/cpu.cfs_period_us": "100000\n",
                "cpu/other/cpu.cfs_quota_us": "100000\n",
                "cpu/other/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
    ],
)
def test_cores_are_those_of_the_container(limits, files, cores):
    limits(files)
    assert machine.cores() == cores


def test_cores_are_those_that_the_process_is_bound_to(limits, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5}, raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 2, raising=False)
    assert machine.cores() == 2


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        ({}, 2**36),
        ({"memory.max": "max\n"}, 2**36),
        ({"memory.max": "-1\n"}, 2**36),
        ({"memory.max": ""}, 2**36),
        ({"memory.max": f"{2**32}\n"}, 2**32),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 2**36),
        ({"memory/memory.limit_in_bytes": f"{2**31}\n"}, 2**31),
        # Any of the groups on the way to the process's own may have a limit, and no other one.
        ({"own": "0::/a/b/c\n", "a/memory.max": f"{2**31}\n", "a/b/memory.max": "max\n"}, 2**31),
        ({"own": "0::/a/b\n", "a/b/memory.max": f"{2**31}\n", "memory.max": f"{2**32}\n"}, 2**31),
        ({"own": "0::/a\n", "b/memory.max": f"{2**31}\n", "a/b/memory.max": "1\n"}, 2**36),
        ({"own": "4:cpu:/a\n", "memory/a/memory.limit_in_bytes": f"{2**31}\n"}, 2**36),
        ({"own": "4:memory:/a b\n", "memory/a b/memory.limit_in_bytes": f"{2**31}\n"}, 2**31),
        # Version 2 beside version 1.
        ({"own": "4:memory:/b\n0::/a\n", "unified/a/memory.max": f"{2**31}\n"}, 2**31),
        # In containers: their own group at the root, under its path outside, or beside theirs.
        ({"own": "0::/\n", "memory.max": f"{2**31}\n"}, 2**31),
        ({"own": "4:memory:/d/1\n", "memory/memory.limit_in_bytes": f"{2**31}\n"}, 2**31),
        ({"own": "0::/../1\n", "memory.max": f"{2**31}\n"}, 2**31),
        ({"own": "no group\n", "memory.max": f"{2**31}\n"}, 2**31),
    ],
)
def test_memory_is_that_of_the_container(limits, files, memory):
    limits(files)
    assert machine.total_memory() == memory
