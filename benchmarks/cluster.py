"""A TF_CONFIG cluster on this machine, one process and one log for each task.

    python benchmarks/cluster.py                        photos per second of 1, 2 and 4 workers
    python benchmarks/cluster.py --run SCRIPT ...       the same tasks run a script of yours, as in
    python benchmarks/cluster.py --workers 3 --run color.py --max_steps 50 --batch_size 2

The first form trains a small network. All processes share this machine's cores, so a worker does
not compute for long: it waits, as it would for an accelerator, `--wait` seconds a step. What is
measured is what the cluster itself costs: gradients to the parameter server and parameters back.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

    from colorization.estimator import tf_estimator
    from colorization.model.layers import Layers

ROOT = Path(__file__).resolve().parent.parent
SIZE = 8
LEARNING = {"learning_rate": 1e-3, "learning_rate_schedule": "constant", "warmup_steps": 0}


def main() -> None:
    arguments = sys.argv[1:]
    script = []
    if "--run" in arguments:
        cut = arguments.index("--run")
        arguments, script = arguments[:cut], arguments[cut + 1 :]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2, 4], help="chief counted in"
    )
    parser.add_argument("--ps", type=int, default=1)
    parser.add_argument("--sync", action="store_true", help="all workers in step")
    parser.add_argument("--steps", type=int, default=60, help="of each worker")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--wait", type=float, default=0.2, help="seconds of a step's computation")
    parser.add_argument("--channels", type=int, default=330, help="330: a million parameters")
    parser.add_argument("--logs", help="folder (default: a temporary one)")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.task:
        train_task(options)
        return
    logs = Path(options.logs or tempfile.mkdtemp(prefix="cluster-"))
    if script:
        command = [sys.executable, *script, *(["--sync"] if options.sync else [])]
        if "--model_dir" not in script:
            command += ["--model_dir", str(logs / "model")]
        ends = launch(command, options.workers[0], options.ps, logs, evaluator=True)
        for name, (code, seconds) in ends.items():
            print(f"{name:12} exit code {code} after {seconds:.0f} s, log {logs / name}.log")
        sys.exit(any(code for code, _ in ends.values()))

    print("workers   photos/s   efficiency")
    alone = None
    for workers in options.workers:
        folder = logs / f"{workers}-workers"
        command = [sys.executable, __file__, *arguments, "--task", str(folder)]
        ends = launch(command, workers, options.ps, folder, stagger=True)
        if any(code for code, _ in ends.values()):
            sys.exit(f"a task failed: {ends}; see the logs in {folder}")
        rate = json.loads((folder / "rate.json").read_text())
        alone = alone or rate / workers
        print(f"{workers:7} {rate:10.1f} {rate / workers / alone:11.0%}", flush=True)


def launch(
    command: list[str],
    workers: int,
    ps: int,
    logs: Path,
    *,
    evaluator: bool = False,
    stagger: bool = False,
) -> dict[str, tuple[int, float]]:
    """Runs a command as every task of a cluster, until all have ended or one has failed.

    The others are stopped then, because they would wait for it for ever.

    Args:
      command: the same for all; TF_CONFIG tells them apart.
      workers: the chief counted in.
      ps: parameter servers.
      logs: folder for their output.
      evaluator: whether there is one.
      stagger: start the other workers when the chief has made the variables: one that comes
        earlier looks for them again only after half a minute.

    Returns:
      Exit code and seconds until the end of each task that has ended by itself.
    """
    logs.mkdir(parents=True, exist_ok=True)
    jobs = {"ps": ps, "chief": 1, "worker": workers - 1}
    addresses = iter(free_addresses(sum(jobs.values())))
    spec = {job: [next(addresses) for _ in range(count)] for job, count in jobs.items() if count}
    start = time.monotonic()
    processes: dict[str, subprocess.Popen] = {}
    try:
        for job, count in [*jobs.items(), ("evaluator", int(evaluator))]:
            if stagger and job == "worker":
                wait_for(logs / "ready-chief-0", processes["chief-0"])
            for index in range(count):
                tf_config = {"cluster": spec, "task": {"type": job, "index": index}}
                with open(logs / f"{job}-{index}.log", "w") as log:
                    processes[f"{job}-{index}"] = subprocess.Popen(
                        command,
                        env={**os.environ, "TF_CONFIG": json.dumps(tf_config)},
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
        ends: dict[str, tuple[int, float]] = {}
        while len(ends) < len(processes) and not any(code for code, _ in ends.values()):
            time.sleep(0.2)
            for name, process in processes.items():
                if name not in ends and process.poll() is not None:
                    ends[name] = process.returncode, time.monotonic() - start
        return ends
    finally:
        for process in processes.values():
            process.kill()


def free_addresses(count: int) -> list[str]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def wait_for(path: Path, process: subprocess.Popen | None = None) -> None:
    while not path.exists():
        if process and process.poll() is not None:
            return
        time.sleep(0.02)


def train_task(options: argparse.Namespace) -> None:
    """One task of the measurement."""
    from colorization.program import import_tensorflow

    import_tensorflow(verbose=False)
    from colorization.estimator import tf_estimator
    from colorization.model.model_fn import make_model_fn
    from colorization.training import cluster

    folder = Path(options.task)
    config = cluster.read_cluster(options.sync and trainers() > 1, None)
    if config.task_type == "ps":
        cluster.serve_parameters(config)
        return
    workers = config.num_worker_replicas
    sync = options.sync and workers > 1
    steps = options.steps * (1 if sync else workers)
    trained = tf_estimator.Estimator(
        make_model_fn(_slow_network(options)),
        config=config.replace(
            model_dir=str(folder / "model"),
            save_checkpoints_steps=10**9,
            experimental_max_worker_delay_secs=0,
        ),
        params={
            **LEARNING, "max_steps": steps, "sync": sync, "chroma_scale": 8.0,
            "precision": "float32", "normalization": "none",
        },
    )  # fmt: skip

    def examples() -> tf.data.Dataset:
        return _examples(options.batch_size, config.global_id_in_cluster)

    photos = options.batch_size * (workers if sync else 1)
    tf_estimator.train_and_evaluate(
        trained,
        tf_estimator.TrainSpec(
            examples, max_steps=steps, hooks=[_begin_together(folder, config, photos)]
        ),
        tf_estimator.EvalSpec(examples, steps=1),
    )
    cluster.report_finished(config)


def _slow_network(options: argparse.Namespace) -> Callable:
    """A small network that waits in each step, as if it were a large one."""
    import numpy as np
    import tensorflow as tf

    def network(nn: Layers, lightness: tf.Tensor, params: dict) -> tuple[tf.Tensor, None]:
        def wait() -> np.float32:
            time.sleep(options.wait)
            return np.float32(0)

        x = nn.input(lightness) + tf.ensure_shape(tf.numpy_function(wait, [], tf.float32), [])
        x = nn.conv(x, options.channels, "conv1", stride=4)
        x = nn.conv(x, options.channels, "conv2")
        return tf.image.resize(nn.output(x, 2, "output"), [SIZE // 2, SIZE // 2]), None

    return network


def _examples(batch_size: int, seed: int) -> tf.data.Dataset:
    """One random batch, again and again."""
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(seed)
    chroma = random.uniform(-50, 50, [batch_size, SIZE // 2, SIZE // 2, 2])
    lightness = random.uniform(0, 100, [batch_size, SIZE, SIZE, 1]).astype(np.float32)
    features = {"lightness": lightness, "path": np.array(["photo"] * batch_size)}
    labels = {"chroma": chroma.astype(np.float32)}
    return tf.data.Dataset.from_tensors((features, labels)).repeat()


def _begin_together(
    folder: Path, config: tf_estimator.RunConfig, photos: int
) -> tf.compat.v1.train.SessionRunHook:
    """A hook that begins when all workers are ready; the chief's notes the rate from then on.

    Args:
      folder: of the measurement.
      config: of this task.
      photos: that all workers together see in a step.
    """
    import tensorflow as tf

    class Together(tf.compat.v1.train.SessionRunHook):
        def begin(self) -> None:
            self._step = tf.compat.v1.train.get_global_step()

        def after_create_session(self, session, coord) -> None:
            (folder / f"ready-{config.task_type}-{config.task_id}").touch()
            while len(list(folder.glob("ready-*"))) < config.num_worker_replicas:
                time.sleep(0.02)
            self._from = int(session.run(self._step)), time.perf_counter()

        def end(self, session) -> None:
            steps = int(session.run(self._step)) - self._from[0]
            rate = steps * photos / (time.perf_counter() - self._from[1])
            if config.is_chief:
                (folder / "rate.json").write_text(json.dumps(rate))

    return Together()


def trainers() -> int:
    """Workers in this task's cluster, the chief counted in."""
    return 1 + len(json.loads(os.environ["TF_CONFIG"])["cluster"].get("worker", []))


if __name__ == "__main__":
    main()
