"""How much of a machine a container may use."""

import os

import psutil
import pytest

from colorization import machine


@pytest.fixture
def limits(tmp_path, monkeypatch):
    """Writes files of control groups, on a machine of 16 cores and 64 GiB."""
    monkeypatch.setattr(machine, "CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 16, raising=False)
    total = psutil.virtual_memory()._replace(total=2**36)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: total)

    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
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
        ({"cpu.max": "6400000 100000\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
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
        ({"memory.max": f"{2**32}\n"}, 2**32),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 2**36),
        ({"memory/memory.limit_in_bytes": f"{2**31}\n"}, 2**31),
    ],
)
def test_memory_is_that_of_the_container(limits, files, memory):
    limits(files)
    assert machine.total_memory() == memory
