"""What fewer bits for a model's weights cost in colour error, and what they save.

    python benchmarks/weights.py PHOTOS --model_dir models/color_global [--json FILE]

The same network with its weights as the checkpoint holds them, with kernels in 16 bits, with those
of the dense layers alone in 8 bits (a scale for each output channel) and the others in 16, and with
all of them in 8 bits, which is what `--mode export --format weights` writes. a*b* RMSE at
112 x 112 over all photos with colour, at the same precision of computing, float32.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from predictions import predictions

from colorization.program import exit_code


def stored_ways(values: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Arrays of a file of weights by the way in which kernels are stored."""
    from colorization.training.weights import compacted

    dense = {name: value for name, value in values.items() if value.ndim == 2}
    half = {
        name: value.astype(np.float16) if value.ndim >= 2 else value
        for name, value in values.items()
    }
    return {
        "float32": values,
        "float16": half,
        "dense 8 bits, others float16": {**half, **compacted(dense)},
        "8 bits": compacted(values),
    }


def rmse(model_dir: str, photos: list[str]) -> float:
    """RMSE of a* and b* over all pixels of the photos at 112 x 112."""
    squares = count = 0
    for _, predicted, truth in predictions(model_dir, photos, precision="float32"):
        squares += np.square(predicted - truth, dtype=np.float64).sum()
        count += predicted.size
    return float(np.sqrt(squares / count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()

    from colorization.program import import_tensorflow

    import_tensorflow(verbose=False)
    from colorization.data.photos import find_photos
    from colorization.training import checkpoint, weights
    from colorization.training.model_folder import BEST, EVALUATION
    from colorization.training.settings import copy_settings

    photos = find_photos(options.photos)
    _, values = checkpoint.best_tensors(options.model_dir)
    figures = {}
    print(f"{'kernels as':32}{'MB':>8}{'a*b* RMSE':>12}{'more':>10}")
    for way, arrays in stored_ways(values).items():
        folder = Path(tempfile.mkdtemp())
        try:
            copy_settings(options.model_dir, folder)
            (folder / BEST).mkdir()
            shutil.copy(Path(options.model_dir) / BEST / EVALUATION, folder / BEST)
            file = folder / weights.FILE
            np.savez_compressed(file, **arrays)
            error, size = rmse(str(folder), photos), file.stat().st_size / 1e6
        finally:
            shutil.rmtree(folder)
        figures[way] = {"mb": size, "rmse": error}
        more = error / figures["float32"]["rmse"] - 1
        print(f"{way:32}{size:8.1f}{error:12.4f}{more:10.3%}", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    sys.exit(exit_code(main))
