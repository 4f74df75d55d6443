"""Draws the picture of the general model in the README: photos of scikit-image, gray and coloured.

python docs/make_pretrained_picture.py docs/pretrained.jpg
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

_SIDE = 260
_MARGIN = 8
# Photos -> the left and upper corner of a square and its side, as shares of the shorter side.
_SQUARES = {
    "astronaut": (0.0, 0.0, 1.0),
    "chelsea": (0.25, 0.0, 1.0),
    "coffee": (0.25, 0.0, 1.0),
    "rocket": (0.2, 0.0, 1.0),
    "camera": (0.0, 0.0, 1.0),
}


def squares() -> list[np.ndarray]:
    """Squares of the photos in gray, uint8 `[side, side]`."""
    found = []
    for name, place in _SQUARES.items():
        gray = np.asarray(Image.fromarray(getattr(data, name)()).convert("L"))
        left, top, side = (int(share * min(gray.shape)) for share in place)
        found.append(gray[top : top + side, left : left + side])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--model_dir", help="folder of a model (default: the general one)")
    arguments = parser.parse_args()

    from colorization.program import import_tensorflow

    import_tensorflow(verbose=False)
    from colorization.prediction.colorize import Colorizer
    from colorization.training.general_model import general_model

    colorizer = Colorizer(arguments.model_dir or general_model("color_global"))
    photos = squares()
    step = _SIDE + _MARGIN
    sheet = Image.new("RGB", (len(photos) * step + _MARGIN, 2 * step + _MARGIN), "white")
    for number, gray in enumerate(photos):
        for row, picture in enumerate((gray, colorizer.colorize(gray))):
            square = Image.fromarray(picture).convert("RGB")
            square = square.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
            sheet.paste(square, (_MARGIN + number * step, _MARGIN + row * step))
    sheet.save(arguments.output, quality=90)


if __name__ == "__main__":
    main()
