"""Calls for many files at once, because network shares and remote storage are waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item, _Result = TypeVar("_Item"), TypeVar("_Result")

_THREADS = 16
# Most files that a thread takes at a time: one by one, millions would take gigabytes and minutes
# for the administration of the threads alone.
_MOST_AT_A_TIME = 32


def in_threads(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
    """Applies a function to each item in several threads; yields the results in order.

    The first error ends it.
    """
    at_a_time = max(1, min(_MOST_AT_A_TIME, len(items) // (4 * _THREADS)))

    def work(start: int) -> list[_Result]:
        return [function(item) for item in items[start : start + at_a_time]]

    with ThreadPoolExecutor(_THREADS) as pool:
        for results in pool.map(work, range(0, len(items), at_a_time)):
            yield from results
