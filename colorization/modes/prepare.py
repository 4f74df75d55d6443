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
    if data := _prepared_data(options.output, options.split):
        print(f"Next:\n  {command_line(['python', f'{options.model}.py', *data])}")


def _prepared_data(output: str, split: float) -> list[str]:
    """The options that name what was prepared to train and test on; says what is lacking."""
    train, test = output, None
    if split:
        train, test = (os.path.join(output, part) for part in ("train", "test"))
    has_train, has_test = bool(read_manifest(train)), bool(test and read_manifest(test))
    if not has_train and not has_test:
        print("There is nothing to train on; prepare photos in colour.")
        return []
    if not has_train:
        print(f"All of so few photos are held out; remove {output} for a smaller --split.")
        return []
    if test and not has_test:
        print(f"None of so few photos is held out; remove {output} for a larger --split.")
    return ["--train_data", train, *(["--test_data", test] if has_test else [])]
