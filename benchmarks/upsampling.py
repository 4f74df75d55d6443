"""How to enlarge chroma: true chroma at 112 x 112 brought back to full size, against the original.

    python benchmarks/upsampling.py PHOTOS [--grid]

Prints a*b* RMSE over all pixels of the colour photos, for bilinear, bicubic and guided enlarging.
"""

import argparse
import sys

import numpy as np
import tensorflow as tf

import lab_convert
import upsample
from colorization.data.photo_files import read_file
from colorization.data.photos import find_photos
from colorization.model import merge_ops
from colorization.prediction.colorize_folder import color_kind
from colorization.prediction.pictures import decode
from colorization.program import exit_code

SIZE = 112
RADII = (1, 2, 3, 4)
EPSILONS = (30.0, 100.0, 200.0, 300.0, 500.0, 1000.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--grid", action="store_true", help="all radii and epsilons")
    options = parser.parse_args()
    settings = [(merge_ops.GUIDE_RADIUS, merge_ops.GUIDE_EPSILON)]
    if options.grid:
        settings = [(radius, epsilon) for radius in RADII for epsilon in EPSILONS]

    squares: dict[str, float] = {}
    values = 0
    for path in find_photos(options.photos):
        pixels = decode(read_file(path)).pixels
        if color_kind(pixels) != "colour":
            continue
        lab = lab_convert.rgb_to_lab(pixels)[None]
        lightness, chroma = lab[..., :1], lab[..., 1:]
        height, width = pixels.shape[:2]
        seen = merge_ops.small_lightness(tf.constant(pixels), [2 * SIZE, 2 * SIZE])[None]
        small_guide = tf.nn.avg_pool2d(seen, 2, 2, "VALID")
        halved = tf.image.resize(pixels, [SIZE, SIZE], antialias=True) / 255
        small = lab_convert.rgb_to_chroma(tf.clip_by_value(halved, 0, 1))[None]
        results = {
            "bilinear": tf.image.resize(small, [height, width]),
            "bicubic": tf.image.resize(small, [height, width], "bicubic"),
        }
        for radius, epsilon in settings:
            name = f"guided, radius {radius}, epsilon {epsilon:g}"
            results[name] = upsample.guided(small, small_guide, lightness, radius, epsilon)
        for name, result in results.items():
            square = float(tf.reduce_sum(tf.square(result - chroma)))
            squares[name] = squares.get(name, 0) + square
        values += height * width * 2
    for name, square in sorted(squares.items(), key=lambda item: item[1]):
        print(f"{name:40}{np.sqrt(square / values):8.3f}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
