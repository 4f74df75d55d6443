"""Computes, not measures, what a training on many accelerators takes.

    python benchmarks/cluster_cost.py [--tflops 50] [--gbits 25] [--batch_size 256] [--photos 1e7]

A step of a worker is its computation, then its gradients to the parameter servers and the new
parameters back, one after the other (the runtime overlaps some of it; counting on that would
flatter). The parameter servers share the model evenly, each behind a link like a worker's:

    step = batch_size * flops_per_photo / rate + 2 * bytes * max(1, workers / servers) / bandwidth

Within one machine (`--gpus`) an all-reduce moves 2 * bytes * (n - 1) / n per processor instead.
"""

from __future__ import annotations

import argparse

from train_speed import necessary_flops

from colorization.program import import_tensorflow

CLUSTERS = ((1, 1), (8, 1), (8, 4), (8, 8), (64, 4), (64, 16), (64, 64))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tflops", type=float, default=50, help="that an accelerator sustains")
    parser.add_argument(
        "--gbits", type=float, default=25, help="per second, of each machine's link"
    )
    parser.add_argument("--nvlink", type=float, default=200, help="GB/s within a machine")
    parser.add_argument("--batch_size", type=int, default=256, help="of each worker")
    parser.add_argument("--photos", type=float, default=1e7)
    options = parser.parse_args()
    import_tensorflow(verbose=False)

    print("model                     parameters   MB of gradients")
    counts = parameters()
    for name, count in counts.items():
        print(f"{name:25} {count:11,} {count * 4 / 1e6:14.1f}")
    moved = 2 * 4 * counts["color_global"]

    flops = options.batch_size * necessary_flops("color_global", training=True)
    computing = flops / (options.tflops * 1e12)
    print(f"\ncolor_global, {computing * 1e3:.0f} ms of computation a step:")
    print("workers  servers  ms of transfer   photos/s  efficiency  minutes an epoch")
    rows = [
        (f"{n}", f"{s}", moved * max(1, n / s) / (options.gbits / 8 * 1e9)) for n, s in CLUSTERS
    ]
    rows.append(("8", "--gpus", moved * 7 / 8 / (options.nvlink * 1e9)))
    for workers, servers, transfer in rows:
        if workers == "1":
            transfer = 0.0
        rate = int(workers) * options.batch_size / (computing + transfer)
        efficiency = computing / (computing + transfer)
        minutes = options.photos / rate / 60
        print(
            f"{workers:>7} {servers:>8} {transfer * 1e3:15.0f} {rate:10,.0f} {efficiency:11.0%} "
            f"{minutes:17.1f}"
        )


def parameters() -> dict[str, int]:
    """Trainable parameters, counted in the networks themselves."""
    import tensorflow as tf

    import color
    import color_global
    from colorization.model.layers import Layers

    models = {
        "color": (color.network, {}),
        "color_global": (color_global.network, {"global_features": "single"}),
        "color_global, paper": (color_global.network, {"global_features": "paper"}),
    }
    counts = {}
    for name, (network, settings) in models.items():
        params = {"precision": "float32", "normalization": "batch", "global_channels": 32}
        with tf.Graph().as_default():
            settings = {**params, **settings}
            network(Layers(True, settings), tf.zeros([1, 224, 224, 1]), settings)
            variables = tf.compat.v1.trainable_variables()
            counts[name] = sum(variable.shape.num_elements() for variable in variables)
    return counts


if __name__ == "__main__":
    main()
