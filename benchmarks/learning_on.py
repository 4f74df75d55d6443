"""Learning on from the general model against learning from nothing, in the same computing.

    python benchmarks/learning_on.py --set NAME TRAIN TEST PHOTOS [--set ...] [--steps 1000]

For each set, `color_global.py` is trained twice on PHOTOS of TRAIN, chosen by a fixed seed: from
nothing for --steps steps, of which 96 % are at half size, and from the general model for a quarter
of the steps, all at full size, which is what `--train_data` does by default. The table gives the
a*b* RMSE of their best checkpoints on TEST, beside that of the general model as it is and of the
best single colour, and the minutes that each took. Where learning on gains nothing, its best
checkpoint is the general model.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: object) -> float:
    """Runs `color_global.py`; minutes that it took."""
    begun = time.monotonic()
    command = [sys.executable, str(ROOT / "color_global.py"), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.monotonic() - begun) / 60


def figures(folder: Path) -> dict[str, float]:
    """Metrics of the checkpoint that is kept as the best."""
    return json.loads((folder / "best" / "evaluation.json").read_text())


def compare(train: list[str], test: str, steps: int) -> dict[str, float]:
    """Error of the general model before and after learning, and of the one from nothing."""
    rows = {}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        listed = scratch / "train.txt"
        listed.write_text("\n".join(train), encoding="utf-8")
        data = ["--train_data", listed, "--test_data", test, "--save_checkpoints_steps", steps]
        # One step that changes nothing measures the general model itself.
        still = ["--max_steps", 1, "--learning_rate", 1e-12, "--batch_size", 1]
        run(*data, *still, "--warm_start", "pretrained", "--model_dir", scratch / "as_it_is")
        rows["as it is"] = figures(scratch / "as_it_is")["ab_rmse"]
        rows["single colour"] = figures(scratch / "as_it_is")["ab_rmse_mean_colour"]
        ways = {
            "from nothing": ["--from_scratch", "--max_steps", steps],
            "learning on": ["--warm_start", "pretrained", "--max_steps", steps // 4],
        }
        for number, (way, arguments) in enumerate(ways.items()):
            folder = scratch / str(number)
            rows[f"{way}, minutes"] = run(*data, *arguments, "--model_dir", folder)
            rows[way] = figures(folder)["ab_rmse"]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ("NAME", "TRAIN", "TEST", "PHOTOS")
    parser.add_argument("--set", nargs=4, action="append", required=True, metavar=names)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()

    from colorization.data.photos import find_photos

    columns = ("single colour", "from nothing", "as it is", "learning on")
    print("| set | photos | " + " | ".join(columns) + " | minutes |")
    print("| --- " * (len(columns) + 3) + "|")
    for name, train, test, photos in options.set:
        paths = sorted(find_photos([train]))
        chosen = random.Random(1).sample(paths, min(int(photos), len(paths)))
        found = compare(chosen, test, options.steps)
        errors = " | ".join(f"{found[column]:.2f}" for column in columns)
        minutes = f"{found['from nothing, minutes']:.1f}, {found['learning on, minutes']:.1f}"
        print(f"| {name} | {len(chosen):,} | {errors} | {minutes} |", flush=True)


if __name__ == "__main__":
    main()
