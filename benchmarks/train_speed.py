"""Photos per second of training and prediction, beside PyTorch and the processor's own limit.

    pip install -r benchmarks/requirements.txt
    python benchmarks/train_speed.py [--json FILE] [--batch_size 16] [--rounds 5]
        [--models color_global] [--precisions float32]

Everything is measured in turn, round by round, in one run; figures are medians over the rounds.
"Share of peak" counts the multiplications that the network needs, upsampling fused with its
convolution, against the rate of large matrix products in the same precision. What TensorFlow runs
has a process for each row, so that memory is that of one; PyTorch has one for all.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

MODELS = ("color", "color_global")
PRECISIONS = ("float32", "bfloat16")
MATRIX = 2048
# Products one after the other, which take as long as a step of prediction.
MATRIX_PRODUCTS = 16
TRAINING = {
    "normalization": "batch",
    "global_features": "single",
    "global_channels": 32,
    "chroma_scale": 8.0,
    "learning_rate": 1e-3,
    "learning_rate_schedule": "constant",
    "warmup_steps": 0,
    "max_steps": 1000,
}
# What is measured: "TensorFlow" or "PyTorch", and the request to its worker.
Variant = tuple[str, tuple[str, str, str]]


def tensorflow_worker(requests: Connection, batch: int) -> None:
    """Answers (kind, model, precision) with the seconds of one step."""
    import importlib

    from colorization.program import import_tensorflow

    import_tensorflow(verbose=False)
    import numpy as np
    import tensorflow as tf
    from predict import random_model

    from colorization.estimator import tf_estimator
    from colorization.model.model_fn import make_model_fn
    from colorization.prediction.trained_network import TrainedNetwork

    tf1 = tf.compat.v1
    random = np.random.default_rng(1)
    photos = 100 * random.random([batch, 224, 224, 1], np.float32)
    code = random.random([batch, 112, 112, 2], np.float32)

    def make_step(kind: str, model: str, precision: str) -> Callable:
        with tf.Graph().as_default():
            session = tf1.Session()
            if kind == "matrix":
                operands = tf.random.normal([2, MATRIX, MATRIX]) / MATRIX**0.5
                operands = tf1.get_variable("x", initializer=tf.cast(operands, precision))
                product = operands[0]
                for _ in range(MATRIX_PRODUCTS):
                    product = tf.matmul(product, operands[1])
                run = product[0, 0]
            elif kind == "train":
                features = {"lightness": variable("lightness", photos)}
                labels = {"chroma": variable("chroma", 100 * code - 50)}
                params = {**TRAINING, "precision": precision}
                model_fn = make_model_fn(importlib.import_module(model).network)
                run = model_fn(features, labels, tf_estimator.ModeKeys.TRAIN, params, None).train_op
            else:
                with tempfile.TemporaryDirectory() as folder:
                    trained = TrainedNetwork(random_model(folder, model), precision=precision)
                lightness = variable("lightness", photos)
                predict, load = trained.build()
                run = predict(lightness, lightness)[0, 0, 0]
            session.run(tf1.global_variables_initializer())
            if kind == "predict":
                load(session)
            return session.make_callable(run)

    def variable(name: str, value: np.ndarray) -> tf.Tensor:
        # A constant would be folded into what depends on nothing else.
        return tf1.get_variable(name, initializer=value, trainable=False) + 0.0

    _answer(requests, make_step)


def torch_worker(requests: Connection, batch: int) -> None:
    """Answers (kind, model, precision) with the seconds of one step, kind ending in its form."""
    from torch_twin import make_step

    def step(kind: str, model: str, precision: str) -> Callable:
        what, form = kind.split("_")
        return make_step(model, precision, what == "train", batch, form == "compile")

    _answer(requests, step)


def _answer(requests: Connection, make_step: Callable) -> None:
    steps = {}
    while (request := requests.recv()) is not None:
        if request not in steps:
            steps[request] = make_step(*request)
            # Graph optimization, compilation and memory allocation.
            for _ in range(2):
                steps[request]()
        start = time.perf_counter()
        steps[request]()
        took = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        requests.send((took, peak))


def necessary_flops(model: str, training: bool) -> float:
    """Floating-point operations for one photo: two for each multiplication that is needed.

    Training takes every product three times, but for the gradient of the photo itself.
    """
    layers = [
        (112, 9 * 1, 64),
        (112, 9 * 64, 128),
        (56, 9 * 128, 128),
        (56, 9 * 128, 256),
        (28, 9 * 256, 256),
        (28, 9 * 256, 512),
        (28, 9 * 512, 512),
        (28, 9 * 512, 256),
        (28, 9 * 256, 128),
        # Each of four outputs takes 2 x 2 of the 4 x 4 weights.
        (56, 4 * 128, 64),
        (56, 9 * 64, 64),
        (112, 4 * 64, 32),
        (112, 9 * 32, 2),
    ]
    if model == "color_global":
        layers += [
            (28, 9 * 512, 32),
            (1, 28 * 28 * 32, 1024),
            (1, 1024, 512),
            (1, 512, 256),
            (28, 256, 256),
            (1, 256, 256),
        ]
    products = [2 * side**2 * inputs * outputs for side, inputs, outputs in layers]
    return 3 * sum(products) - products[0] if training else sum(products)


def variants_of(arguments: argparse.Namespace) -> list[Variant]:
    """Everything that is to be measured."""
    variants = [("TensorFlow", ("matrix", "", one)) for one in arguments.precisions]
    for model, precision, kind in itertools.product(
        arguments.models, arguments.precisions, ("train", "predict")
    ):
        variants.append(("TensorFlow", (kind, model, precision)))
        variants += [("PyTorch", (f"{kind}_{f}", model, precision)) for f in ("eager", "compile")]
    return variants


def measure(
    variants: list[Variant], batch_size: int, rounds: int
) -> tuple[dict[Variant, float], dict[Variant, float]]:
    """Median seconds of a step, and the memory of its process at most, in MB."""
    context = multiprocessing.get_context("spawn")

    def start(worker: Callable) -> Connection:
        ours, theirs = context.Pipe()
        context.Process(target=worker, args=(theirs, batch_size), daemon=True).start()
        return ours

    torch = start(torch_worker)
    pipes = {
        variant: start(tensorflow_worker) if variant[0] == "TensorFlow" else torch
        for variant in variants
    }
    times: dict[Variant, list[float]] = {variant: [] for variant in variants}
    peaks = {}
    for round_number in range(rounds):
        for variant in variants:
            print(f"\rround {round_number + 1}/{rounds} {variant[1]}" + " " * 20, end="",
                  file=sys.stderr, flush=True)  # fmt: skip
            pipes[variant].send(variant[1])
            took, peaks[variant] = pipes[variant].recv()
            times[variant].append(took)
    print(file=sys.stderr)
    for pipe in {*pipes.values()}:
        pipe.send(None)
    for process in multiprocessing.active_children():
        process.join()
    return {variant: statistics.median(took) for variant, took in times.items()}, peaks


def print_speed(arguments: argparse.Namespace, seconds: dict[Variant, float]) -> dict[str, float]:
    """Prints the table of photos per second; returns the ratios of the last model."""
    flops = 2 * MATRIX**3 * MATRIX_PRODUCTS
    peak = {one: flops / seconds["TensorFlow", ("matrix", "", one)] for one in arguments.precisions}
    print(f"batch {arguments.batch_size}; matrix products: ", end="")
    print(", ".join(f"{p} {rate / 1e9:.0f} GFLOP/s" for p, rate in peak.items()))
    print(f"{'photos/s':38}{'ours':>8}{'eager':>8}{'compile':>9}{'ratio':>7}{'share of peak':>15}")
    ratios = {}
    for model, kind, precision in itertools.product(
        arguments.models, ("train", "predict"), arguments.precisions
    ):
        ours = seconds["TensorFlow", (kind, model, precision)]
        eager = seconds["PyTorch", (f"{kind}_eager", model, precision)]
        compiled = seconds["PyTorch", (f"{kind}_compile", model, precision)]
        ratio = min(eager, compiled) / ours
        flops = necessary_flops(model, kind == "train") * arguments.batch_size
        share = flops / ours / peak[precision]
        rates = [arguments.batch_size / took for took in (ours, eager, compiled)]
        print(
            f"{model + ' ' + kind + ' ' + precision:38}{{:8.2f}}{{:8.2f}}{{:9.2f}}".format(*rates)
            + f"{ratio:7.2f}{share:15.2f}"
        )
        if model == arguments.models[-1]:
            ratios[f"{kind}_vs_torch_{precision}"] = ratio
            if kind == "train":
                ratios[f"share_of_peak_{precision}"] = share
    return ratios


def main() -> None:
    """Measures in turn and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="file for the ratios")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    arguments = parser.parse_args()

    seconds, peaks = measure(variants_of(arguments), arguments.batch_size, arguments.rounds)
    ratios = print_speed(arguments, seconds)
    memory = {
        f"{request[1]} {request[2]}": megabytes
        for (framework, request), megabytes in peaks.items()
        if framework == "TensorFlow" and request[0] == "train"
    }
    ratios["peak_memory_mb"] = max(memory.values())
    print("peak memory of training: ", end="")
    print(", ".join(f"{name} {megabytes:.0f} MB" for name, megabytes in memory.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(ratios, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
