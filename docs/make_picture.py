"""Draws the README's picture: gray, predicted and truth of a results folder.

python docs/make_picture.py results/color_global docs/results.jpg
"""

import argparse
import sys
from pathlib import Path

from PIL import Image, ImageDraw

_SIDE = 220
_MARGIN = 8
_CAPTION = 24
_KINDS = ("gray", "predicted", "truth")


def make_picture(results: Path) -> Image.Image:
    """Two triples a row, each photo cropped to a square, of all photos that have a truth."""
    names = sorted(path.relative_to(results / "truth") for path in (results / "truth").rglob("*.*"))
    names = names[: len(names) // 2 * 2]
    if not names:
        sys.exit(f"make_picture.py: fewer than two photos with a truth in {results}")
    step = _SIDE + _MARGIN
    width = 2 * len(_KINDS) * step + 3 * _MARGIN
    sheet = Image.new("RGB", (width, _CAPTION + len(names) // 2 * step + _MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for number, name in enumerate(names):
        left = _MARGIN + number % 2 * (len(_KINDS) * step + _MARGIN)
        top = _CAPTION + number // 2 * step
        for column, kind in enumerate(_KINDS):
            x = left + column * step
            if number < 2:
                draw.text((x + _SIDE / 2, _CAPTION / 2), kind, "black", anchor="mm", font_size=16)
            photo = Image.open(results / kind / name).convert("RGB")
            side = min(photo.size)
            x0, y0 = (photo.width - side) // 2, (photo.height - side) // 2
            square = photo.crop((x0, y0, x0 + side, y0 + side))
            sheet.paste(square.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), (x, top))
    return sheet


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    make_picture(arguments.results).save(arguments.output, quality=90)
