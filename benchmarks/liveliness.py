"""What livelier colours cost: squared error against colourfulness.

    python benchmarks/liveliness.py PHOTOS... --model_dir models/color_global [--json FILE]

Of a model as it colours photos, and with other saturations and vibrances: a*b* RMSE at 112 x 112
over all photos with colour, beside that at the saturation which is best for these photos without
vibrance; and colourfulness (Hasler and Süsstrunk) at 224 x 224, as a share of the photos' own. The
last rows are the vibrances that take RMSE to 2 % above the best, for some saturations.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from predictions import predictions

from colorization.program import exit_code

# Share of RMSE that liveliness may cost, and multiples of the best saturation to share it with.
ALLOWED = 0.02
MULTIPLES = (1.0, 1.05, 1.1, 1.15, 1.2)


class Measure:
    """RMSE and colourfulness of predictions made livelier, from those that are not."""

    def __init__(self, lightness: np.ndarray, predicted: np.ndarray, truth: np.ndarray):
        import tensorflow as tf

        from colorization.model.metrics import colourfulness
        from colorization.model.model_fn import to_rgb

        self._arrays = lightness, predicted, truth
        products = np.einsum("nhwc,nhwc->", truth, predicted, dtype=np.float64)
        self.best = products / np.square(predicted, dtype=np.float64).sum()
        self._colourfulness = tf.function(
            lambda lightness, chroma: colourfulness(to_rgb(lightness, chroma)),
            reduce_retracing=True,
        )
        _, self.colourful = self(1.0, 0.0, of_truth=True)
        self.least, _ = self(self.best, 0.0)

    def __call__(self, saturation: float, vibrance: float, of_truth: bool = False):
        """a*b* RMSE, and mean colourfulness."""
        from colorization.prediction.trained_network import livelier

        lightness, predicted, truth = self._arrays
        squares, colourful = [], []
        for start in range(0, len(truth), 32):
            some = np.s_[start : start + 32]
            chroma = truth[some] if of_truth else np.float32(saturation) * predicted[some]
            chroma = np.asarray(livelier(chroma, vibrance))
            squares.append(np.square(chroma - truth[some]).sum(dtype=np.float64))
            colourful.append(self._colourfulness(lightness[some], chroma).numpy())
        rmse = np.sqrt(sum(squares) / truth.size)
        return float(rmse), float(np.concatenate(colourful).mean())

    def vibrance_for(self, saturation: float, rmse: float) -> float | None:
        """The vibrance that takes RMSE so far; None if the saturation alone goes beyond."""
        low, high = 0.0, 20.0
        if self(saturation, low)[0] > rmse:
            return None
        for _ in range(8):
            middle = (low + high) / 2
            low, high = (middle, high) if self(saturation, middle)[0] < rmse else (low, middle)
        return low

    def row(self, what: str, saturation: float, vibrance: float) -> dict[str, object]:
        rmse, colourful = self(saturation, vibrance)
        return {
            "what": what,
            "saturation": round(saturation, 3),
            "vibrance": round(vibrance, 2),
            "rmse": round(rmse, 3),
            "more_percent": round(100 * (rmse / self.least - 1), 2),
            "colourfulness": round(colourful / self.colourful, 3),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()

    from colorization.program import import_tensorflow

    import_tensorflow(verbose=False)
    from colorization.data.photos import find_photos
    from colorization.training.liveliness import stored_liveliness

    stored = stored_liveliness(options.model_dir)
    plain = {"saturation": 1 / stored.saturation, "vibrance": 0.0}
    batches = predictions(options.model_dir, find_photos(options.photos), **plain)
    measure = Measure(*map(np.concatenate, zip(*batches, strict=True)))
    rows = [
        measure.row("best saturation", measure.best, 0.0),
        measure.row("as it colours", *stored),
        measure.row("as it colours, --saturation 1.1", 1.1 * stored.saturation, stored.vibrance),
    ]
    for multiple in MULTIPLES:
        saturation = multiple * measure.best
        vibrance = measure.vibrance_for(saturation, (1 + ALLOWED) * measure.least)
        if vibrance is not None:
            rows.append(measure.row(f"{multiple:g} times the best", saturation, vibrance))
    print(f"{'':32}{'saturation':>10}{'vibrance':>10}{'RMSE':>8}{'more':>8}{'colourful':>11}")
    for row in rows:
        print(
            f"{row['what']:32}{row['saturation']:10.3f}{row['vibrance']:10.2f}{row['rmse']:8.2f}"
            f"{row['more_percent']:+7.1f}%{row['colourfulness']:11.2f}"
        )
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(exit_code(main))
