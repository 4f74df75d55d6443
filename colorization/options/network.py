"""Options that shape the network."""

from __future__ import annotations

from dataclasses import dataclass

from colorization.options.declaration import option
from colorization.options.numbers import FACTOR, whole_number


@dataclass(frozen=True)
class NetworkOptions:
    """Options that shape the network."""

    global_features: str = option(
        "single: one convolution before the dense layers; paper: four (default: single)",
        "single",
        models=("color_global",),
        choices=("single", "paper"),
    )
    global_channels: int = option(
        "channels of the single global convolution (default: 32)",
        32,
        models=("color_global",),
        type=whole_number(1, 4096),
        metavar="N",
    )
    normalization: str = option(
        "batch: of convolutions over the batch, of dense layers over the channels; or none "
        "(default: batch)",
        "batch",
        choices=("batch", "none"),
    )
    chroma_scale: float = option(
        "scale of the sigmoid code of a*b*, in CIE units (default: 20)",
        20.0,
        type=FACTOR,
        metavar="X",
    )
    precision: str = option(
        "of the layers; auto takes bfloat16 where a GPU or, on Linux, the processor is faster with "
        "it (default: auto)",
        "auto",
        choices=("auto", "float32", "bfloat16"),
    )
