"""Documents of Photoshop: their sections (Adobe Photoshop File Formats Specification)."""

from __future__ import annotations


def is_transparent(data: bytes) -> bool:
    """Whether the channel after the colours is transparency, and not a selection.

    A negative number of layers tells so ("Layer info").
    """
    start, end = _layers(data)
    return end > start + 4 and int.from_bytes(data[start + 4 : start + 6], "big", signed=True) < 0


def has_merged_picture(data: bytes) -> bool:
    """Whether there is more than zeros where all layers are merged, which is what Pillow reads."""
    _, end = _layers(data)
    return any(data[end:])


def _layers(data: bytes) -> tuple[int, int]:
    """Beginning and end of the layers, behind colour mode data and image resources."""
    at = 26
    for _ in range(2):
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    return at + 4, at + 4 + int.from_bytes(data[at : at + 4], "big")
