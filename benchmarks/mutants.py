"""Sends damaged and odd pictures through prepare, train and predict: none lost, none wrong.

    python benchmarks/mutants.py [--count 1000] [--seed 1] [--output FOLDER]

The mutants are made from the bundled photos: cut short, with flipped bits, with headers that lie
about the size, with pieces doubled, swapped or of another file; a third are TIFF and PNG files of
random layouts. As many whole files of random layouts are coloured too, and have to keep their
lightness. Ends with exit code 1 if a process dies, prints a traceback, loses track of a picture,
colours another one than was stored or takes more than `--memory` MB.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from layouts import Sample, layouts, make
from PIL import Image
from skimage.color import rgb2lab

from colorization.data.bundled import bundled_photos

ROOT = Path(__file__).resolve().parent.parent

# Mean error of L* that is allowed: pixels are rounded, and sRGB cannot show all colours as light as
# they are.
MOST_ERROR = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory", type=int, default=4000, help="MB a process may take")
    parser.add_argument("--output", help="folder to leave everything in (default: none)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        folder = Path(options.output or temporary).absolute()
        make_mutants(folder, options.count, options.seed)
        photos, good = folder / "mutants", folder / "good"
        data = ["--train_data", folder / "mixed.txt", "--test_data", folder / "bundled" / "test"]
        model = ["--model_dir", folder / "model"]
        # Half of what is listed is good: a set that is mostly broken is refused, rightly.
        listed = [*sorted(photos.iterdir()), *sorted(good.iterdir())]
        (folder / "mixed.txt").write_text("".join(f"{path}\n" for path in listed))

        run(
            folder,
            "prepare",
            options.memory,
            "--input",
            photos,
            good,
            "--output",
            folder / "shards",
        )
        told = (folder / "prepare.out").read_text()
        figures = re.search(
            r"([\d,]+) photos, ([\d,]+) gray(?:, ([\d,]+) toned)? left out, ([\d,]+) unreadable",
            told,
        )
        counts = [int(figure.replace(",", "")) for figure in figures.groups("0")]
        print("prepare: {:,} used, {:,} gray, {:,} toned, {:,} refused".format(*counts))
        if sum(counts) != 2 * options.count:
            sys.exit(f"{2 * options.count} pictures were given, {sum(counts)} are accounted for")
        run(folder, "train", options.memory, *data, *model, "--batch_size", 2, "--max_steps", 2)
        run(
            folder, "predict", options.memory, "--input", photos, *model,
            "--output", folder / "pictures",
        )  # fmt: skip
        names = {path.stem for path in (folder / "pictures" / "predicted").iterdir()}
        complaints = (folder / "predict.err").read_text()
        missing = [
            path.name
            for path in photos.iterdir()
            if path.stem not in names and path.name not in complaints
        ]
        print(f"predict: {len(names)} coloured, {options.count - len(names)} refused by name")
        if missing:
            sys.exit(f"neither coloured nor named: {missing[:10]} of {len(missing)}")
        color_layouts(folder, options, model)


def color_layouts(folder: Path, options: argparse.Namespace, model: list) -> None:
    """Colours whole pictures of random layouts and compares their lightness."""
    samples = {}
    (folder / "layouts").mkdir()
    for number, layout in enumerate(layouts(options.count, options.seed)):
        ending = "png" if layout.file == "png" else "tif"
        samples[f"l{number:04}.{ending}"] = make(layout, number)
    for name, sample in samples.items():
        (folder / "layouts" / name).write_bytes(sample.data)
    output = folder / "colored_layouts"
    run(
        folder, "predict", options.memory, "--input", folder / "layouts", *model,
        "--output", output,
    )  # fmt: skip
    wrong, lost = [], []
    for name, sample in samples.items():
        picture = output / "predicted" / name
        if not picture.exists():
            lost.append(f"{name}: {sample.layout}")
        elif (error := lightness_error(picture, sample)) > MOST_ERROR:
            wrong.append(f"{name}: {sample.layout}: L* off by {error:.1f}")
    print(f"layouts: {len(samples):,} coloured, {len(lost)} lost, {len(wrong)} wrong")
    if lost or wrong:
        sys.exit("\n".join([*lost, *wrong]))


def lightness_error(picture: Path, sample: Sample) -> float:
    """Mean difference of L* between a coloured picture and what its file was made to show."""
    with Image.open(picture) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    return float(np.abs(rgb2lab(pixels) - rgb2lab(sample.shown))[..., 0].mean())


def make_mutants(folder: Path, count: int, seed: int) -> None:
    """Writes `mutants/` and, as many, small whole pictures, `good/`."""
    chance = random.Random(seed)
    for name in ("mutants", "good"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    originals = [
        path for path in sorted(bundled_photos(folder / "bundled").rglob("*")) if path.is_file()
    ]
    sources = []
    for path in originals:
        with Image.open(path) as photo:
            photo = photo.convert("RGB")
            photo.thumbnail((200, 200))
            for kind in ("jpeg", "png", "webp", "bmp", "tiff"):
                buffer = io.BytesIO()
                photo.save(buffer, kind)
                sources.append((kind, buffer.getvalue()))
    for layout in layouts(len(sources) // 2, seed):
        sources.append(("png" if layout.file == "png" else "tiff", make(layout).data))
    for number in range(count):
        kind, data = chance.choice(sources)
        other = chance.choice(sources)[1]
        mutant = chance.choice(MUTATIONS)(bytearray(data), other, chance)
        (folder / "mutants" / f"m{number:04}.{kind}").write_bytes(mutant)
        _, whole = chance.choice([source for source in sources if source[0] == "jpeg"])
        (folder / "good" / f"g{number:04}.jpeg").write_bytes(whole)


def cut(data: bytearray, other: bytes, chance: random.Random) -> bytes:
    return bytes(data[: chance.randrange(len(data))])


def flip_bits(data: bytearray, other: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice([1, 8, 64])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def flip_header(data: bytearray, other: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice([1, 4, 16])):
        data[chance.randrange(min(64, len(data)))] = chance.randrange(256)
    return bytes(data)


def lie_about_size(data: bytearray, other: bytes, chance: random.Random) -> bytes:
    """Writes an enormous width and height where the header has them."""
    side = chance.choice([0, 1, 30_000, 65_535, 2**31 - 1])
    if data[:4] == b"\x89PNG":
        data[16:24] = struct.pack(">II", side, side)
    elif data[:2] == b"\xff\xd8":
        for marker in (b"\xff\xc0", b"\xff\xc2"):
            at = data.find(marker)
            if at > 0:
                data[at + 5 : at + 9] = struct.pack(">HH", side & 0xFFFF, side & 0xFFFF)
    elif data[:2] == b"BM":
        data[18:26] = struct.pack("<ii", side, side)
    return bytes(data)


def shuffle(data: bytearray, other: bytes, chance: random.Random) -> bytes:
    a, b = sorted(chance.randrange(len(data)) for _ in range(2))
    return bytes(data[:a] + data[b:] + data[a:b])


def splice(data: bytearray, other: bytes, chance: random.Random) -> bytes:
    return bytes(data[: chance.randrange(len(data))]) + other[chance.randrange(len(other)) :]


def noise(data: bytearray, other: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice([0, 1, 100, 10_000]))


MUTATIONS = [cut, flip_bits, flip_header, lie_about_size, shuffle, splice, noise]


def run(folder: Path, mode: str, memory: int, *arguments: object) -> None:
    """Runs color.py and checks how it ends."""
    command = [sys.executable, ROOT / "color.py", "--mode", mode, *arguments]
    with open(folder / f"{mode}.out", "w") as out, open(folder / f"{mode}.err", "w") as err:
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    errors = (folder / f"{mode}.err").read_text()
    peak = usage.ru_maxrss / (1 if sys.platform == "darwin" else 1024)
    print(f"{mode}: exit code {code}, at most {peak:,.0f} MB", flush=True)
    # 1: done, and some pictures are named as unreadable.
    if code not in (0, 1) or "Traceback" in errors:
        sys.exit(f"{mode} ended with {code}:\n{errors[-2000:]}")
    if peak > memory:
        sys.exit(f"{mode} took {peak:,.0f} MB")


if __name__ == "__main__":
    main()
