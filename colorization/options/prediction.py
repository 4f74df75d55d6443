"""Options of colouring photos and of exporting a model."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from colorization.options.declaration import option
from colorization.options.numbers import FACTOR, VIBRANCE, whole_number

PICTURE_FORMATS = ("jpeg", "png", "webp", "tiff")
MODEL_FORMATS = ("savedmodel", "onnx", "tflite", "weights")


def _hint(text: str) -> tuple[str, str, str]:
    x, _, rest = text.partition(",")
    y, _, colour = rest.partition(",")
    if not colour:
        raise argparse.ArgumentTypeError(f"needs X,Y,COLOUR, not {text!r}")
    return x, y, colour


@dataclass(frozen=True)
class PredictionOptions:
    """Options of colouring photos and of exporting a model."""

    format: str | None = option(
        f"predict: {', '.join(PICTURE_FORMATS)} (default: the photo's own); "
        f"export: {', '.join(MODEL_FORMATS)} (default: savedmodel)",
        modes=("predict", "export"),
        choices=(*PICTURE_FORMATS, *MODEL_FORMATS),
        metavar="FORMAT",
    )
    quality: int = option(
        "of JPEG and WebP, 1 to 100 (default: 95)",
        95,
        modes=("predict",),
        type=whole_number(1, 100),
        metavar="N",
    )
    keep: str = option(
        "all: gray, coloured and true pictures and a page of them; predicted: only the coloured "
        "ones (default: all)",
        "all",
        modes=("predict",),
        choices=("all", "predicted"),
    )
    overwrite: bool = option(
        "colour photos anew whose pictures exist; otherwise they are skipped",
        False,
        modes=("predict",),
        action="store_true",
    )
    style: str | None = option(
        "global features come from this photo",
        modes=("predict",),
        models=("color_global",),
        metavar="PHOTO",
    )
    saturation: float = option(
        "livelier or paler colours: factor on the predicted chroma, beside the one that the "
        "model's evaluation found best; export: of all pictures to come (default: 1)",
        1.0,
        modes=("predict", "export"),
        type=FACTOR,
        metavar="X",
    )
    vibrance: float | None = option(
        "pulls the colours of a picture apart, those of pale ones more, from their mean; in CIE "
        "units (default: the model's, 0 after training)",
        modes=("export",),
        type=VIBRANCE,
        metavar="X",
    )
    hints: str | None = option(
        "strokes that say what colour something was: a PNG of the photo's size or proportions, "
        "transparent but for them; or a folder of such, named like the photos",
        modes=("predict",),
        metavar="PNG",
    )
    hint: tuple[tuple[str, str, str], ...] = option(
        "the same at one point, for one photo: X,Y in pixels or per cent, and a colour's name or "
        "code, such as 50%%,80%%,seagreen; may be repeated",
        (),
        modes=("predict",),
        action="append",
        type=_hint,
        metavar="X,Y,COLOUR",
    )
