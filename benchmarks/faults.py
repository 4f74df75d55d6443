"""Kills training, preparing and predicting at random moments, resumes, and looks for damage.

    python benchmarks/faults.py [--kills 20] [--modes train prepare predict] [--seed 1]

Each kill is SIGKILL, which no process can do anything about. Ends with exit code 1 at the first
thing lost, doubled or half-written, and says what.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from colorization.training.checkpoint import newest_whole, trained_steps

ROOT = Path(__file__).resolve().parent.parent
SAVE_SECONDS = 2
KEPT = 5
# Blocks of eight photos, so that there are many moments between two of them.
_PREPARE = """
import sys
from colorization.program import import_tensorflow
import_tensorflow(False)
from colorization.data.photos import find_photos
from colorization.data.prepare import prepare
prepare(find_photos([sys.argv[1]]), sys.argv[2], photos_per_shard=8)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="of each mode")
    parser.add_argument("--modes", nargs="+", default=["train", "prepare", "predict"])
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    options = parser.parse_args()
    # A resumed training writes its graph again.
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    moments = random.Random(options.seed)
    checks = {"train": check_training, "prepare": check_preparing, "predict": check_predicting}
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        for mode in options.modes:
            place = Path(folder) / mode
            place.mkdir()
            checks[mode](place, options.kills, moments)


def require(condition: bool, what: str) -> None:
    if not condition:
        sys.exit(f"DAMAGE: {what}")


def make_photos(folder: Path, count: int, size: int) -> None:
    folder.mkdir()
    for number in range(count):
        coarse = np.random.default_rng(number).integers(0, 256, [4, 4, 3], np.uint8)
        picture = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:04}.jpg", quality=95)


def script(*arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "color.py"), *map(str, arguments)]


def run(command: list[str], kill_after: float | None = None) -> int:
    """Runs a command, or kills it; its exit code. Its own complaints are shown."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        _, errors = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
    require("Traceback" not in errors, errors)
    return process.returncode


def seconds_to_run(command: list[str]) -> float:
    start = time.monotonic()
    require(run(command) == 0, f"{command} failed undisturbed")
    return time.monotonic() - start


def check_training(folder: Path, kills: int, moments: random.Random) -> None:
    """Killed while it computes, saves and starts; at most the last `SAVE_SECONDS` are lost."""
    make_photos(folder / "photos", 6, 64)
    model = folder / "model"

    def command(max_steps: int) -> list[str]:
        data = ["--train_data", folder / "photos", "--test_data", folder / "photos"]
        often = ["--save_checkpoints_secs", SAVE_SECONDS, "--save_checkpoints_steps", 10**6]
        rest = ["--batch_size", 1, "--keep_checkpoint_max", KEPT, "--model_dir", model]
        return script(*data, *often, *rest, "--max_steps", max_steps)

    start_up = seconds_to_run(command(1))
    step, killed, lost = 1, 0, []
    while killed < kills:
        started = time.time()
        code = run(command(10**6), kill_after=moments.uniform(0, 2.5 * start_up + 2 * SAVE_SECONDS))
        require(code == -9, f"training ended by itself with exit code {code}")
        killed += 1
        whole = newest_whole(str(model))
        require(whole is not None, "no checkpoint is left")
        reached = trained_steps(str(model))
        require(reached >= step, f"after step {step} came step {reached}")
        # The kill has cost the time since training last saved, if it had got so far.
        saved = os.path.getmtime(f"{whole}.index")
        lost.append(time.time() - saved if saved > started else 0)
        step = reached
    require(run(command(step + 5)) == 0, "training cannot go on")
    require(trained_steps(str(model)) == step + 5, "not all steps were done")
    indices = [path.stem for path in model.glob("*.index")]
    require(len(indices) <= KEPT + kills, f"too many checkpoints are kept: {indices}")
    require(not list(model.glob("*_temp*")), "half-written checkpoints are left")
    curves = EventAccumulator(str(model), size_guidance={"scalars": 0}).Reload()
    for tag in curves.Tags()["scalars"]:
        seen = [event.step for event in curves.Scalars(tag)]
        require(seen == sorted(set(seen)), f"the curve {tag} has doubles: {seen}")
    print(
        f"train: killed {killed} times, on to step {step + 5} without damage; a kill cost "
        f"{np.median(lost):.1f} s of work (median), {max(lost):.1f} s at most",
        flush=True,
    )


def check_preparing(folder: Path, kills: int, moments: random.Random) -> None:
    """The result is byte for byte that of an undisturbed run."""
    make_photos(folder / "photos", 400, 96)

    def command(output: Path) -> list[str]:
        return [sys.executable, "-c", _PREPARE, str(folder / "photos"), str(output)]

    seconds = seconds_to_run(command(folder / "undisturbed"))
    expected = contents(folder / "undisturbed")
    killed = rounds = 0
    while killed < kills:
        output = folder / f"killed-{rounds}"
        rounds += 1
        while killed < kills and run(command(output), moments.uniform(0, seconds)) == -9:
            killed += 1
        require(run(command(output)) == 0, "preparing cannot go on")
        found = contents(output)
        require(found == expected, f"{output}: {difference(found, expected)}")
    paths = [
        tf.train.Example.FromString(record.numpy()).features.feature["path"].bytes_list.value[0]
        for record in tf.data.TFRecordDataset(sorted(map(str, output.glob("*.tfrecord*"))))
    ]
    require(len(paths) == len(set(paths)) == 400, f"{len(paths)} records, {len(set(paths))} photos")
    print(f"prepare: killed {killed} times, each time all files as without a kill", flush=True)


def check_predicting(folder: Path, kills: int, moments: random.Random) -> None:
    """Every picture is whole or not there; what is finished is not touched again."""
    make_photos(folder / "photos", 60, 96)
    model = folder / "model"
    data = ["--train_data", folder / "photos", "--test_data", folder / "photos"]
    training = script(*data, "--model_dir", model, "--batch_size", 1, "--max_steps", 1)
    require(run(training) == 0, "training failed")

    def command(output: Path) -> list[str]:
        files = ["--input", folder / "photos", "--output", output]
        return script("--mode", "predict", "--model_dir", model, *files)

    seconds = seconds_to_run(command(folder / "undisturbed"))
    expected = contents(folder / "undisturbed")
    killed = rounds = 0
    while killed < kills:
        output = folder / f"killed-{rounds}"
        rounds += 1
        finished: dict[Path, int] = {}
        while killed < kills and run(command(output), moments.uniform(0, seconds)) == -9:
            killed += 1
            for path in output.rglob("*.[jp]*g"):
                if not path.name.startswith("."):
                    Image.open(path).load()
                if path.parent.name == "predicted" and not path.name.startswith("."):
                    changed = path.stat().st_mtime_ns
                    require(finished.setdefault(path, changed) == changed, f"{path} written again")
        require(run(command(output)) == 0, "predicting cannot go on")
        found = contents(output)
        require(found.keys() == expected.keys(), difference(found, expected))
        pictures = [name for name in expected if name.startswith("predicted")]
        require(all(found[name] == expected[name] for name in pictures), "pictures differ")
    print(f"predict: killed {killed} times, each time all pictures as without a kill", flush=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def difference(found: dict[str, bytes], expected: dict[str, bytes]) -> str:
    differing = [name for name in found.keys() & expected.keys() if found[name] != expected[name]]
    return (
        f"missing {sorted(expected.keys() - found.keys())[:5]}, "
        f"too many {sorted(found.keys() - expected.keys())[:5]}, differing {sorted(differing)[:5]}"
    )


if __name__ == "__main__":
    main()
