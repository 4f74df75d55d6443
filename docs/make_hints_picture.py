"""Draws the README's picture of hints: a photo as predicted, three strokes, and with them.

python docs/make_hints_picture.py models/color_global docs/hints.jpg
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from skimage import data

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from colorization.prediction.colorize import Colorizer

_MARGIN = 8
_CAPTION = 24
_STROKE = 14
# In pixels of scikit-image's astronaut: what the stroke says, and its way.
_STROKES = (
    ("#e0702c", [(60, 350), (110, 330), (160, 305), (245, 308), (330, 340)]),
    ("#a03038", [(50, 140), (75, 200)]),
    ("#808080", [(25, 180), (55, 235)]),
)


def make_picture(colorizer: Colorizer, photo: np.ndarray) -> Image.Image:
    """Three squares side by side, of uint8 RGB `[height, width, 3]`."""
    height, width, _ = photo.shape
    strokes = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(strokes)
    for colour, way in _STROKES:
        draw.line(way, colour, _STROKE, joint="curve")
    painted = Image.fromarray(np.repeat(colorizer.gray(photo)[..., None], 3, axis=2))
    painted.paste(strokes, mask=strokes)
    pictures = {
        "predicted": Image.fromarray(colorizer.colorize(photo)),
        "three strokes": painted,
        "with them": Image.fromarray(colorizer.colorize(photo, hints=np.asarray(strokes))),
    }
    step = width + _MARGIN
    size = (len(pictures) * step + _MARGIN, _CAPTION + height + _MARGIN)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for number, (caption, picture) in enumerate(pictures.items()):
        left = _MARGIN + number * step
        middle = (left + width / 2, _CAPTION / 2)
        draw.text(middle, caption, "black", anchor="mm", font_size=16)
        sheet.paste(picture, (left, _CAPTION))
    return sheet


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model_dir")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    colorizer = Colorizer(arguments.model_dir)
    make_picture(colorizer, data.astronaut()).save(arguments.output, quality=88)
