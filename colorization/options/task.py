"""Options that say what to do."""

from __future__ import annotations

from dataclasses import dataclass

from colorization.options.declaration import MODES, option


@dataclass(frozen=True)
class TaskOptions:
    """Options that say what to do."""

    mode: str = option(
        "; ".join(f"{mode}: {what}" for mode, what in MODES.items()) + " (default: train)",
        "train",
        modes=tuple(MODES),
        choices=tuple(MODES),
        metavar="MODE",
    )
    model_dir: str | None = option(
        "folder of checkpoints and TensorBoard logs (default: models/MODEL; models/compare holds "
        "both)",
        metavar="FOLDER",
    )
    verbose: bool = option(
        "show everything that TensorFlow logs",
        False,
        modes=tuple(MODES),
        action="store_true",
    )
