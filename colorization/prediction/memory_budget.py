"""Memory that several threads share without taking more than there is."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from colorization.decoding.large_files import rough_pixels
from colorization.machine import total_memory

# Shares of the memory for the files and for the pictures of all photos in work. The rest is for
# TensorFlow, the model, and what else runs here.
_FILES_SHARE, _PICTURES_SHARE = 1 / 8, 3 / 8
# Memory that a photo takes while it is decoded, merged and encoded.
_BYTES_PER_PIXEL = 16


class MemoryBudget:
    """Lets threads in as long as what they need fits; the others wait for one to leave."""

    def __init__(self, size: float):
        """Sets how many bytes all threads together may take."""
        self._size = size
        self._taken = 0
        self._changed = threading.Condition()

    @classmethod
    def of_files(cls) -> MemoryBudget:
        """Memory for the files of photos, as large as this machine has it."""
        return cls(_FILES_SHARE * total_memory())

    @classmethod
    def of_pictures(cls) -> MemoryBudget:
        """Memory for the pictures of photos, likewise."""
        return cls(_PICTURES_SHARE * total_memory())

    def taken_to_colour(self, data: bytes) -> contextlib.AbstractContextManager[None]:
        """Waits for the memory that it takes to colour a photo, of which this is the file."""
        return self.taken(_BYTES_PER_PIXEL * rough_pixels(data))

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
