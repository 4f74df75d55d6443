"""Trains, evaluates and predicts in turn for a long time; prints how memory and open files grow.

    python benchmarks/soak.py [--minutes 30] [--photos FOLDER]

A small network, so that most of the time goes where leaks would be: reading photos, graphs,
sessions, checkpoints. Ends with exit code 1 if, between the end of the warm-up (a quarter of the
rounds) and the last round, open files grow at all or memory by more than `--allowed` MB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil

from colorization.program import import_tensorflow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--photos", help="folder (default: the bundled photos)")
    parser.add_argument("--steps", type=int, default=50, help="of training in each round")
    parser.add_argument("--allowed", type=float, default=50, help="MB that memory may grow")
    options = parser.parse_args()
    import_tensorflow(verbose=False)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        sys.exit(soak(Path(folder), options))


def soak(folder: Path, options: argparse.Namespace) -> int:
    from colorization.data import dataset
    from colorization.data.bundled import bundled_photos
    from colorization.data.photos import find_photos
    from colorization.data.report import Report
    from colorization.estimator import tf_estimator
    from colorization.model.model_fn import make_model_fn
    from colorization.training import checkpoint

    def network(nn, lightness, params):
        return nn.output(nn.conv(nn.input(lightness), 8, "hidden", stride=2), 2, "output"), None

    paths = find_photos([options.photos or str(bundled_photos(folder / "photos"))])
    model_dir = str(folder / "model")
    params = {
        "chroma_scale": 8.0, "learning_rate": 1e-3, "learning_rate_schedule": "constant",
        "warmup_steps": 0, "max_steps": 10**9, "precision": "float32", "normalization": "batch",
    }  # fmt: skip
    estimator = tf_estimator.Estimator(
        make_model_fn(network),
        config=tf_estimator.RunConfig(model_dir, save_checkpoints_steps=options.steps // 2),
        params=params,
    )
    until = time.monotonic() + 60 * options.minutes
    seen: list[tuple[float, int]] = []
    photos = 0
    print("round   photos   memory MB   open files", flush=True)
    with checkpoint.locked(model_dir):
        while time.monotonic() < until:
            report = Report(len(paths))
            checkpoint.resume(model_dir)
            estimator.train(
                lambda report=report: dataset.train_dataset(paths, 8, len(seen), report),
                steps=options.steps,
            )
            estimator.evaluate(lambda report=report: dataset.eval_dataset(paths, 8, report))
            predicted = estimator.predict(
                lambda report=report: dataset.predict_dataset(paths, 8, report)
            )
            photos += 8 * options.steps + len(paths) + sum(1 for _ in predicted)
            seen.append((resident_megabytes(), open_files()))
            print(f"{len(seen):5} {photos:8,} {seen[-1][0]:11.0f} {seen[-1][1]:12}", flush=True)
    warm = len(seen) // 4
    memory, files = (last - first for first, last in zip(seen[warm], seen[-1], strict=True))
    print(f"Growth from round {warm + 1} to {len(seen)}: {memory:+.0f} MB, {files:+} open files.")
    return int(files > 0 or memory > options.allowed)


def open_files() -> int:
    process = psutil.Process()
    return process.num_handles() if psutil.WINDOWS else process.num_fds()


def resident_megabytes() -> float:
    return psutil.Process().memory_info().rss / 1e6


if __name__ == "__main__":
    main()
