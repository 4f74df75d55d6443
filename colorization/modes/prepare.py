"""`--mode prepare`: writes photos to shards, so that training need not open them again."""

from __future__ import annotations

import os

from colorization.console import command_line, progress_bar
from colorization.data.photos import find_photos
from colorization.data.prepare import UNREADABLE, is_finished, prepare
from colorization.data.shards import read_manifest
from colorization.files import require_writable
from colorization.model.layers import Network
from colorization.options import Options


def run(network: Network, options: Options) -> None:
    """Turns photos into shards, so that training on them need not open each photo again."""
    require_writable(options.output, "output")
    paths = find_photos(options.input)
    is_only_shard = options.shard == (0, 1)
    with progress_bar(
        len(paths) if is_only_shard else None, "preparing", " photos", delay=0.5
    ) as bar:
        report = prepare(
            paths, options.output, options.split, progress=bar.update, shard=options.shard
        )
    print(
        f"Prepared {report}." if report else f"{options.output} was prepared before; nothing to do."
    )
    if not is_finished(options.output, options.split):
        print("The last shard to be done joins all of them; nothing can be trained on them before.")
        return
    if report and report.unreadable:
        print(f"All unreadable photos: {os.path.join(options.output, UNREADABLE)}")
    data = ["--train_data", options.output]
    if options.split:
        train, test = (os.path.join(options.output, part) for part in ("train", "test"))
        data = ["--train_data", train, "--test_data", test]
        if not read_manifest(test):
            print(
                f"None of so few photos is held out; remove {options.output} for a larger --split."
            )
            data = data[:2]
    print(f"Next:\n  {command_line(['python', f'{options.model}.py', *data])}")
