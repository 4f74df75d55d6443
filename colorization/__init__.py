"""Code of both colorization models; `from colorization import Colorizer` colours photos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colorization.prediction.colorize import Colorizer

__all__ = ["Colorizer"]


def __getattr__(name: str) -> Any:
    # Imported only when it is asked for, because TensorFlow comes with it.
    if name == "Colorizer":
        from colorization.prediction.colorize import Colorizer

        return Colorizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
