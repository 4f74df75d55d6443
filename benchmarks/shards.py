"""Colours a folder by one process, by several with --shard, and by several of which one is killed.

    python benchmarks/shards.py PHOTOS --model_dir models/color_global [--processes 2] [--json FILE]

Prints photos per second, from the first finished photo to the last: starting up is left out. The
killed process is started anew. Ends with exit code 1 unless all three runs wrote the same bytes,
every photo is in the records once, and no temporary file is left.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VIEWS = ("gray", "predicted", "truth")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shards-") as scratch:
        whole, shared, killed = (Path(scratch) / name for name in ("whole", "shared", "killed"))
        finish([start(options, whole)])
        count = options.processes
        finish([start(options, shared, f"{index}/{count}") for index in range(count)])
        colour_with_a_kill(options, killed)
        figures = {
            "photos": len(lines(whole)),
            "photos_per_second_1": rate(whole),
            f"photos_per_second_{count}": rate(shared),
        }
        problems = [
            f"{folder.name}: {problem}"
            for folder in (shared, killed)
            for problem in differences(whole, folder)
        ]
    for name, value in figures.items():
        print(f"{name:24}{value:10.2f}")
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    print("\n".join(problems) or "the same bytes, nothing lost, nothing twice")
    sys.exit(bool(problems))


def start(options: argparse.Namespace, output: Path, shard: str = "0/1") -> subprocess.Popen:
    words = ["--input", *options.photos, "--model_dir", options.model_dir, "--output", str(output)]
    return subprocess.Popen(
        [sys.executable, ROOT / "color_global.py", "--mode", "predict", "--shard", shard, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        _, errors = process.communicate()
        # 1: photos that cannot be coloured, the same ones each time.
        if process.returncode not in (0, 1):
            sys.exit(errors.decode(errors="replace"))


def colour_with_a_kill(options: argparse.Namespace, output: Path) -> None:
    count = options.processes
    victim, *others = (start(options, output, f"{index}/{count}") for index in range(count))
    record = output / (f"finished-0-of-{count}.jsonl" if count > 1 else "finished.jsonl")
    while victim.poll() is None and (not record.exists() or len(record_lines(record)) < 3):
        time.sleep(0.01)
    if victim.poll() is not None:
        sys.exit("the process was done before it was killed; name more photos")
    victim.kill()
    victim.communicate()
    print(f"killed after {len(record_lines(record))} photos")
    finish([start(options, output, f"0/{count}"), *others])


def record_lines(record: Path) -> list[bytes]:
    return record.read_bytes().splitlines()


def lines(folder: Path) -> list[dict]:
    """What the records of a results folder say, but for a line that a kill has cut short."""
    found = []
    for record in folder.glob("finished*.jsonl"):
        for line in record_lines(record):
            try:
                found.append(json.loads(line))
            except ValueError:
                print(f"a line of {record.name} was cut short")
    return found


def rate(folder: Path) -> float:
    times = sorted(line["noted"] for line in lines(folder))
    return (len(times) - 1) / (times[-1] - times[0])


def differences(whole: Path, folder: Path) -> list[str]:
    problems = []
    for view in VIEWS:
        expected, found = contents(whole / view), contents(folder / view)
        problems += [f"{view}/{name} is lost" for name in sorted(expected.keys() - found)]
        problems += [f"{view}/{name} is too much" for name in sorted(found.keys() - expected)]
        differ = (name for name in sorted(expected.keys() & found) if expected[name] != found[name])
        problems += [f"{view}/{name} has other bytes" for name in differ]
    expected, found = (sorted(line["picture"] for line in lines(each)) for each in (whole, folder))
    if expected != found:
        problems.append(f"the records have {len(found)} lines for {len(expected)} photos")
    return problems


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


if __name__ == "__main__":
    main()
