"""Colour error of a trained model over the number of hints, and the time that hints take.

    python benchmarks/hints.py PHOTOS --model_dir models/color_global [--counts 1 3 10 30]

Hints are the true a*b* at random cells of the grid that chroma is predicted on, the same for every
run. The a*b* RMSE over the grid stands beside that of two ways to do without: the prediction as it
is, and everywhere the colour of the nearest hint. Photos without colour are left out.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from colorization.program import exit_code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--counts", nargs="+", type=int, default=[1, 3, 10, 30])
    parser.add_argument("--limit", type=int, help="so many photos, evenly from all")
    options = parser.parse_args()

    from colorization.program import import_tensorflow

    import_tensorflow(verbose=False)
    from colorization.data.photos import find_photos
    from colorization.prediction.colorize import Colorizer

    paths = find_photos(options.photos)
    if options.limit:
        paths = paths[:: -(-len(paths) // options.limit)]
    squares = {count: np.zeros(3) for count in options.counts}
    seconds: list[float] = []
    colorizer = Colorizer(options.model_dir)
    photos = 0
    for number, path in enumerate(paths):
        planes = _planes(colorizer, path)
        if planes is None:
            continue
        photos += 1
        order = np.random.default_rng(number).permutation(planes[0].size)
        for count in options.counts:
            squares[count] += _squares(*planes, order[:count], seconds)
    print(f"{photos} photos with colour; a solution takes {np.median(seconds):.3f} s (median)")
    print(f"{'hints':>6}{'prediction':>12}{'nearest hint':>14}{'with hints':>12}{'less by':>9}")
    for count in options.counts:
        alone, nearest, hinted = np.sqrt(squares[count] / photos)
        less = 1 - hinted / alone
        print(f"{count:6}{alone:12.2f}{nearest:14.2f}{hinted:12.2f}{less:9.0%}")


def _planes(colorizer, path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """L*, predicted and true a*b* on the grid; None of a photo without colour."""
    from PIL import Image

    from colorization.data.photo_files import read_file
    from colorization.decoding.decode import open_photo
    from colorization.lab import lab_numpy

    photo = open_photo(read_file(path))
    pixels = np.asarray(photo)
    small = colorizer.small_lightness(pixels)
    predicted = colorizer.predict(small, colorizer.whole_lightness(small))
    rows, columns, _ = predicted.shape
    # Of small photos too: what `resize` gives when there is nothing to average.
    reduced = np.asarray(photo.resize((columns, rows), Image.Resampling.BOX))
    if lab_numpy.is_gray(reduced):
        return None
    lightness = small.reshape(rows, 2, columns, 2).mean(axis=(1, 3))
    return lightness, predicted, lab_numpy.chroma(reduced)


def _squares(
    lightness: np.ndarray,
    predicted: np.ndarray,
    truth: np.ndarray,
    cells: np.ndarray,
    seconds: list[float],
) -> np.ndarray:
    """Mean squared errors of the prediction, of the nearest hint's colour, and with hints."""
    from colorization.prediction.propagation import propagate

    is_known = np.zeros(lightness.size, bool)
    is_known[cells] = True
    is_known = is_known.reshape(lightness.shape)
    begun = time.perf_counter()
    hinted = propagate(lightness, predicted, truth, is_known)
    seconds.append(time.perf_counter() - begun)
    y, x = np.indices(lightness.shape)[..., None]
    hint_y, hint_x = np.divmod(cells, lightness.shape[1])
    nearest = np.argmin((y - hint_y) ** 2 + (x - hint_x) ** 2, axis=-1)
    by_nearest = truth.reshape(-1, 2)[cells][nearest]
    return np.array([np.mean((one - truth) ** 2) for one in (predicted, by_nearest, hinted)])


if __name__ == "__main__":
    sys.exit(exit_code(main))
