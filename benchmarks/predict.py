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
Without a trained model it makes one of random weights: time and memory are the same.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

BATCH = 16

ONE_PHOTO = """
import re, sys
from colorization.console import import_tensorflow
import_tensorflow(verbose=False)
from colorization.prediction.colorize import Colorizer
coloured = Colorizer(sys.argv[1]).colorize_bytes(open(sys.argv[2], "rb").read())
# Not getrusage: its maximum is handed on by the process that started this one.
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

    from colorization.console import import_tensorflow

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
            "folder_vs_network": folder_rate(colorizer, trained, places, scratch, options.rounds),
        }
    for name, value in figures.items():
        print(f"{name:20}{value:10.2f}")
    if options.json:
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


def folder_rate(colorizer, trained, places: dict[str, str], scratch: str, rounds: int) -> float:
    import tensorflow as tf

    from colorization.data.photos import read_file
    from colorization.data.report import Report
    from colorization.prediction.colorize_folder import colorize_photos
    from colorization.prediction.pictures import decode
    from colorization.prediction.results import picture_names

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

    def folder() -> None:
        # A new one each time: replacing files waits for the disk.
        colorize_photos(
            colorizer,
            names,
            Path(tempfile.mkdtemp(dir=scratch)),
            Report(len(places)),
            lambda: None,
            workers=BATCH,
            quality=95,
        )

    rates: dict[str, list[float]] = {"network": [], "folder": []}
    network()
    for _ in range(rounds):
        for name, work in (("network", network), ("folder", folder)):
            start = time.perf_counter()
            work()
            rates[name].append(len(places) / (time.perf_counter() - start))
    alone, whole = (statistics.median(rates[name]) for name in ("network", "folder"))
    print(f"{len(places)} photos: {whole:.1f} a second, the network alone {alone:.1f}")
    return whole / alone


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
    main()
