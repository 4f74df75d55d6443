"""All that decoding changes for the whole program that imports it, because it cannot do without."""

from __future__ import annotations

import contextlib
import importlib

from PIL import PngImagePlugin


def prepare_pillow() -> None:
    """Teaches Pillow HEIC and JPEG XL, where their packages are installed, and long profiles.

    Warnings and logs are left as they are: `program.exit_code` hides those about odd photos from
    the users of this suite's own programs.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_jxl")
    # The limit for decompressed chunks of PNG is meant for text, but it applies to profiles as
    # well, and those with tables have several megabytes.
    PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, 2**24)
