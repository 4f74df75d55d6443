"""Colour error of a trained model over the size at which its network sees the photos.

    python benchmarks/working_size.py PHOTOS --model_dir models/color_global [--sizes 192 224 320]

Squashed to 224 x 224, as in training, beside photos at their own proportions with the longer side
of N pixels; a*b* RMSE of the pictures against the photos, over all photos with colour. As in the
gallery, some 128 x 128 evenly spaced pixels of each count.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--sizes", nargs="+", type=int, default=[192, 224, 256, 320, 448])
    options = parser.parse_args()

    from colorization.console import import_tensorflow

    import_tensorflow(verbose=False)
    from colorization.data.photos import find_places
    from colorization.data.report import Report
    from colorization.prediction.colorize import Colorizer
    from colorization.prediction.colorize_folder import colorize_photos
    from colorization.prediction.results import picture_names

    names = picture_names(find_places(options.photos))
    print(f"{'longer side':24}{'a*b* RMSE':>10}")
    for size in (None, *options.sizes):
        colorizer = Colorizer(options.model_dir, working_size=size)
        with tempfile.TemporaryDirectory() as scratch:
            scores = colorize_photos(
                colorizer,
                names,
                Path(scratch),
                Report(len(names)),
                lambda: None,
                workers=os.cpu_count() or 1,
                quality=95,
            )
        errors = [of_one["rmse"] for of_one in scores.values() if of_one]
        rmse = math.sqrt(sum(error**2 for error in errors) / len(errors))
        print(f"{'squashed to 224 x 224' if size is None else size:<24}{rmse:10.2f}", flush=True)


if __name__ == "__main__":
    main()
