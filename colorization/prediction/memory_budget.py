"""Memory that several threads share without taking more than there is."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class MemoryBudget:
    """Lets threads in as long as what they need fits; the others wait for one to leave."""

    def __init__(self, size: float):
        """Sets how many bytes all threads together may take."""
        self._size = size
        self._taken = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Waits until so many bytes are free, and takes them for the duration of the body.

        Who needs more than there is goes ahead alone.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + size <= self._size)
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()
