"""How many photos a second each way of feeding the network gives, side by side in one run.

python benchmarks/pipeline.py FOLDER [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from colorization.machine import cores
from colorization.program import exit_code

ROOT = Path(__file__).resolve().parent.parent
BATCH_SIZE = 16
SEED = 1

# Batches that may lie ready when nobody has taken any for a while.
_PILED_UP = 16

# Child processes: what they print comes back as JSON.
_PREPARE = """
import json, resource, time
from colorization.program import import_tensorflow
import_tensorflow(False)
from colorization.data.photos import find_photos
from colorization.data.prepare import prepare
paths = find_photos([folder])
start = time.perf_counter()
report = prepare(paths, output)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
print(json.dumps({"rate": len(paths) / seconds, "peak_mb": peak, "report": str(report)}))
"""
_FIRST_BATCH = """
import json, time
import tensorflow as tf
start = time.perf_counter()
from colorization.data import dataset
from colorization.data import shards
from colorization.data.report import Report
data = shards.find_data([folder])
batches = iter(dataset.train_dataset(data, 16, 1, Report(len(data))))
next(batches)
print(json.dumps(time.perf_counter() - start))
del batches
"""


def with_scikit_image(path: str) -> int:
    """The usual alternative: one photo, to the same example."""
    import numpy as np
    from PIL import Image
    from skimage.color import rgb2lab

    random = np.random.default_rng(0)
    with Image.open(path) as photo:
        photo.draft("RGB", (256, 256))
        photo = photo.convert("RGB").resize((256, 256), Image.Resampling.BILINEAR)
    picture = np.asarray(photo)
    top, left = random.integers(0, 33, 2)
    crop = picture[top : top + 224, left : left + 224]
    crop = crop[:, ::-1] if random.random() < 0.5 else crop
    lab = rgb2lab(crop).astype(np.float32)
    if (np.abs(lab[..., 1:]) < 1).all():
        return 0
    chroma = lab[..., 1:].reshape(112, 2, 112, 2, 2).mean((1, 3))
    return len(lab[..., :1]) + len(chroma)


def child(program: str, **values: str) -> object:
    """Runs a program in a process of its own and returns what it prints."""
    program = "".join(f"{name} = {value!r}\n" for name, value in values.items()) + program
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def rate(photos: int, work: Callable[[], object]) -> float:
    """Photos per second."""
    start = time.perf_counter()
    work()
    return photos / (time.perf_counter() - start)


@contextlib.contextmanager
def stages(
    paths: list[str], prepared: str, pool: multiprocessing.pool.Pool
) -> Iterator[dict[str, Callable[[], float]]]:
    """Ways to measure: name -> a function that gives photos per second, once per call."""
    import tensorflow as tf

    from colorization.data import dataset, shards
    from colorization.data.report import Report

    def batches(data) -> tf.data.Dataset:
        report = Report(len(data))
        return dataset.train_dataset(data, BATCH_SIZE, SEED, report)

    def consume(data: tf.data.Dataset) -> None:
        for _ in data:
            pass

    decoded = tf.data.Dataset.from_tensor_slices(paths).map(
        lambda path: tf.shape(tf.io.decode_jpeg(tf.io.read_file(path), channels=3)),
        # An epoch is over before AUTOTUNE has found this out.
        num_parallel_calls=cores(),
    )
    steps = len(paths) // BATCH_SIZE
    # Endless, as in training; what piled up while others were measured is passed over first.
    endless = {"cached": iter(batches(paths))}
    share, dataset.CACHE_SHARE_OF_MEMORY = dataset.CACHE_SHARE_OF_MEMORY, 0.0
    endless["straight"] = iter(batches(paths))
    dataset.CACHE_SHARE_OF_MEMORY = share
    endless["prepared"] = iter(batches(shards.find_data([prepared])))

    def steady(name: str, epochs: int = 1) -> float:
        consume(itertools.islice(endless[name], _PILED_UP))
        work = itertools.islice(endless[name], epochs * steps)
        return rate(epochs * steps * BATCH_SIZE, lambda: consume(work))

    # Two epochs, since gray photos make epochs shorter than the list of photos.
    consume(itertools.islice(endless["cached"], 2 * steps))
    try:
        yield {
            "decode": lambda: rate(len(paths), lambda: consume(decoded)),
            "pillow": lambda: rate(
                len(paths), lambda: pool.map(with_scikit_image, paths, chunksize=BATCH_SIZE)
            ),
            "straight": lambda: steady("straight"),
            "prepared": lambda: steady("prepared"),
            "cached": lambda: steady("cached", epochs=4),
        }
    finally:
        # Its threads must be gone before Python is.
        endless.clear()


_NAMES = {
    "decode": "bare decoding",
    "pillow": f"Pillow + scikit-image, {cores()} processes",
    "straight": "straight from the folder",
    "prepared": "prepared shards",
    "cached": "cached in memory",
}


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", metavar="FOLDER", help="of JPEG photos")
    parser.add_argument("--json", metavar="FILE", help="where to write the ratios")
    parser.add_argument("--repetitions", type=int, default=7, metavar="N")
    options = parser.parse_args()

    from colorization.data.photos import find_photos
    from colorization.program import import_tensorflow

    paths = find_photos([options.folder])
    with (
        tempfile.TemporaryDirectory() as folder,
        multiprocessing.get_context("spawn").Pool(cores()) as pool,
    ):
        prepared = os.path.join(folder, "prepared")
        preparation = child(_PREPARE, folder=options.folder, output=prepared)
        first_batch = statistics.median(child(_FIRST_BATCH, folder=prepared) for _ in range(3))
        import_tensorflow(False)
        rates: dict[str, list[float]] = {}
        with stages(paths, prepared, pool) as measures:
            for measure in measures.values():
                measure()
            for _ in range(options.repetitions):
                for name, measure in measures.items():
                    rates.setdefault(name, []).append(measure())

    def ratio(name: str, other: str) -> float:
        # Ratios of neighbours in time, so that what else the machine does weighs on both.
        pairs = zip(rates[name], rates[other], strict=True)
        return statistics.median(mine / others for mine, others in pairs)

    figures = {
        "straight_vs_decode": ratio("straight", "decode"),
        "straight_vs_pillow": ratio("straight", "pillow"),
        "prepared_vs_straight": ratio("prepared", "straight"),
        "cached_vs_straight": ratio("cached", "straight"),
        "prepare_peak_mb": preparation["peak_mb"],
        "first_batch_seconds": first_batch,
    }
    print(f"{len(paths):,} photos, {cores()} cores, {options.repetitions} repetitions")
    print(f"{'':36}{'photos/s':>10}{'x straight':>12}")
    for name, text in _NAMES.items():
        print(f"{text:36}{statistics.median(rates[name]):10.0f}{ratio(name, 'straight'):12.2f}")
    print(f"{'--mode prepare':36}{preparation['rate']:10.0f}")
    print(f"straight: {figures['straight_vs_decode']:.2f} x bare decoding, ", end="")
    print(f"{figures['straight_vs_pillow']:.2f} x Pillow + scikit-image")
    print(f"first batch of prepared shards after {first_batch:.2f} s beyond importing TensorFlow")
    print(f"prepare: {preparation['report']}; at most {preparation['peak_mb']:.0f} MB")
    if options.json:
        temporary = Path(f"{options.json}.unfinished")
        temporary.write_text(json.dumps(figures, indent=2) + "\n")
        temporary.replace(options.json)


if __name__ == "__main__":
    sys.exit(exit_code(main))
