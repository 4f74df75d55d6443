"""Colouring photos beside the usual way: scikit-image's conversions, the same network, Pillow.

    python benchmarks/predict.py PHOTOS [--model_dir models/color_global] [--precision float32]
        [--json FILE] [--rounds 3]

Reports, all in one run with the model loaded before:
  speedup_12mp       12-megapixel JPEG to JPEG, median time of the usual way / of this program
  memory_12mp_mb     peak memory of a process that colours one 12-megapixel JPEG, TensorFlow
                     included
  memory_50mp_mb     the same, 50 megapixels
  folder_vs_network  photos per second of a folder, pictures written / of the network alone on the
                     same number of photos in batches of 16, at the same precision
  predicted_vs_network  the same with --keep predicted
and, of single photos of 0.2, 2 and 12 megapixels, where the time goes: milliseconds of
processor time.
Without a trained model it makes one of random weights: time and memory are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from colorization.program import exit_code

BATCH = 16

ONE_PHOTO = """
import re, sys
from colorization.program import import_tensorflow
import_tensorflow(verbose=False)
from colorization.prediction.colorize import Colorizer
coloured = Colorizer(sys.argv[1]).colorize_bytes(open(sys.argv[2], "rb").read())
# The maximum of getrusage would be handed on by the process that started this one.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--model_dir")
    parser.add_argument("--json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    options = parser.parse_args()

    from colorization.program import import_tensorflow

    import_tensorflow(verbose=False)
    from colorization.data.photos import find_places
    from colorization.prediction.colorize import Colorizer
    from colorization.prediction.trained_network import TrainedNetwork

    places = find_places(options.photos)
    paths = list(places)
    with tempfile.TemporaryDirectory() as scratch:
        model_dir = options.model_dir or random_model(f"{scratch}/model")
        large = {12: (4000, 3000), 50: (8660, 5774)}
        files = {size: f"{scratch}/{size}.jpg" for size in large}
        for size, pixels in large.items():
            enlarge(paths[0], pixels, files[size])
        colorizer = Colorizer(model_dir, precision=options.precision)
        trained = TrainedNetwork(model_dir, precision=options.precision)
        figures = {
            "speedup_12mp": speedup(colorizer, files[12], options.rounds),
            "memory_12mp_mb": memory(model_dir, files[12]),
            "memory_50mp_mb": memory(model_dir, files[50]),
            **folder_rates(colorizer, trained, places, scratch, options.rounds),
        }
        sizes = {"0.2": (516, 387), "2": (1632, 1224), "12": large[12]}
        table = {
            size: profile(colorizer, paths[0], pixels, Path(scratch), options.rounds)
            for size, pixels in sizes.items()
        }
    for name, value in figures.items():
        print(f"| `{name}` | {value:.2f} |")
    print(f"\n| ms | {' | '.join(f'{size} MP' for size in table)} |\n| --- | --- | --- | --- |")
    for stage in table["12"]:
        print(f"| {stage} | {' | '.join(f'{times[stage]:.1f}' for times in table.values())} |")
    if options.json:
        figures["profile_ms"] = table
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")


def speedup(colorizer, path: str, rounds: int) -> float:
    data = Path(path).read_bytes()
    colorizer.colorize_bytes(data)
    times: dict[str, list[float]] = {"usual": [], "ours": []}
    for _ in range(rounds):
        for name, colour in (
            ("usual", lambda: usual_way(colorizer, data)),
            ("ours", lambda: colorizer.colorize_bytes(data)),
        ):
            start = time.perf_counter()
            colour()
            times[name].append(time.perf_counter() - start)
    usual, ours = (statistics.median(times[name]) for name in ("usual", "ours"))
    print(f"12 megapixels: {ours:.2f} s, the usual way {usual:.2f} s")
    return usual / ours


def usual_way(colorizer, data: bytes) -> bytes:
    import numpy as np
    from PIL import Image
    from skimage.color import lab2rgb, rgb2lab
    from skimage.transform import resize

    picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    lightness = rgb2lab(picture)[..., :1]
    small = resize(lightness, (224, 224)).astype(np.float32)
    chroma = colorizer.predict(small, small)
    chroma = resize(chroma, picture.shape[:2])
    rgb = lab2rgb(np.concatenate([lightness, chroma], axis=-1))
    with io.BytesIO() as file:
        Image.fromarray((rgb * 255 + 0.5).astype(np.uint8)).save(file, "JPEG", quality=95)
        return file.getvalue()


def memory(model_dir: str, path: str) -> float:
    root = Path(__file__).resolve().parent.parent
    result = subprocess.run(
        [sys.executable, "-c", ONE_PHOTO, str(Path(model_dir).resolve()), path],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(result.stdout)


def folder_rates(
    colorizer, trained, places: dict[str, str], scratch: str, rounds: int
) -> dict[str, float]:
    import tensorflow as tf

    from colorization.data.photo_files import read_file
    from colorization.data.report import Report
    from colorization.prediction.colorize_folder import colorize_photos
    from colorization.prediction.picture_names import picture_names
    from colorization.prediction.pictures import decode

    smalls = [colorizer.small_lightness(decode(read_file(path)).pixels) for path in places]
    names = picture_names(places)
    with tf.Graph().as_default() as graph:
        predict, load = trained.build()
        batch = tf.compat.v1.placeholder(tf.float32, [None, 224, 224, 1])
        chroma = predict(batch, batch)
        session = tf.compat.v1.Session(graph=graph)
        load(session)

    def network() -> None:
        for start in range(0, len(smalls), BATCH):
            session.run(chroma, {batch: smalls[start : start + BATCH]})

    def folder(keep: str) -> None:
        # A new one each time: replacing files waits for the disk.
        colorize_photos(
            colorizer,
            names,
            Path(tempfile.mkdtemp(dir=scratch)),
            Report(len(places)),
            lambda: None,
            workers=BATCH,
            quality=95,
            keep=keep,
        )

    works = {
        "network": network,
        "folder": lambda: folder("all"),
        "predicted": lambda: folder("predicted"),
    }
    rates: dict[str, list[float]] = {name: [] for name in works}
    network()
    for _ in range(rounds):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            rates[name].append(len(places) / (time.perf_counter() - start))
    medians = {name: statistics.median(rates[name]) for name in works}
    print(f"{len(places)} photos, a second: {medians}")
    return {
        f"{name}_vs_network": medians[name] / medians["network"] for name in ("folder", "predicted")
    }


def profile(
    colorizer, path: str, size: tuple[int, int], scratch: Path, rounds: int
) -> dict[str, float]:
    """Milliseconds of a processor for each thing that is done with one photo; medians."""
    photo = scratch / f"{size[0]}.jpg"
    enlarge(path, size, str(photo))
    # The first time, memory is new and graphs are made ready.
    runs = [stage_times(colorizer, photo) for _ in range(rounds + 1)][1:]
    return {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}


def stage_times(colorizer, path: Path) -> dict[str, float]:
    from unittest import mock

    from colorization.data.photo_files import Version, read_file, size_and_time
    from colorization.files import write_file
    from colorization.lab import merge_numpy
    from colorization.prediction.colorize_folder import _scores, color_kind
    from colorization.prediction.pictures import decode, encode
    from colorization.prediction.results import add_finished

    times: dict[str, float] = {}

    def timed(stage: str, work, *arguments):
        # Processor time of all threads, whatever else this machine does meanwhile.
        start = time.process_time()
        result = work(*arguments)
        times[stage] = times.get(stage, 0) + 1e3 * (time.process_time() - start)
        return result

    data = timed("reading", read_file, str(path))
    photo = timed("decoding", decode, data)
    small = timed("small lightness", colorizer.small_lightness, photo.pixels)
    chroma = timed("network", colorizer.predict, small, small)
    merge_strip = merge_numpy._merge_strip
    with (
        # One thread, so that times add up.
        mock.patch.object(merge_numpy, "_THREADING_PIXELS", photo.pixels.size),
        mock.patch.object(
            merge_numpy, "_merge_strip", lambda *strip: timed("merging", merge_strip, *strip)
        ),
    ):
        predicted = timed("enlarging", colorizer.merge, photo.pixels, small, chroma)
    times["enlarging"] -= times["merging"]
    pictures = {"truth": data}
    gray = timed("gray", colorizer.gray, photo.pixels)
    timed("has it colour?", color_kind, photo.pixels)
    scores = timed("scores", _scores, predicted, photo.pixels)
    for view, pixels in (("gray", gray), ("predicted", predicted)):
        pictures[view] = timed(f"encoding {view}", encode, pixels, photo, "JPEG", 95)
    folder = path.parent / "profile"
    for view, encoded in pictures.items():
        timed(f"writing {view}", write_file, folder / view / path.name, encoded)

    def record() -> None:
        version = Version(*size_and_time(str(path)), hashlib.sha256(data).hexdigest())
        add_finished(folder, path.name, str(path), version, scores)

    timed("record", record)
    times["all"] = sum(times.values())
    return times


def enlarge(path: str, size: tuple[int, int], target: str) -> None:
    from PIL import Image

    picture = Image.open(path).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    picture.save(target, quality=92)


def random_model(folder: str, model: str = "color_global") -> str:
    """Stores a model of random weights and returns its folder."""
    import dataclasses
    import importlib

    import tensorflow as tf

    from colorization.model.layers import Layers
    from colorization.options import Options
    from colorization.training.settings import store_settings

    network = importlib.import_module(model).network
    options = Options(model=model, model_dir=folder)
    store_settings(options)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.train.get_or_create_global_step()
        params = {**dataclasses.asdict(options), "precision": "float32"}
        network(Layers(False, params), tf.zeros([1, 224, 224, 1]), params)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, f"{folder}/model.ckpt", global_step=0)
    return folder


if __name__ == "__main__":
    sys.exit(exit_code(main))
