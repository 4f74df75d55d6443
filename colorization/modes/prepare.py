"""`--mode prepare`: photos to shards, so that training need not open each photo again."""

from __future__ import annotations

import os
import shlex

from colorization.console import progress_bar
from colorization.data.photos import find_photos
from colorization.data.prepare import UNREADABLE, prepare
from colorization.files import require_writable
from colorization.model.model_fn import Network
from colorization.options import Options


def run(network: Network, options: Options) -> None:
    """Turns photos into shards, so that training on them need not open each photo again."""
    require_writable(options.output, "output")
    paths = find_photos(options.input)
    with progress_bar(len(paths), "preparing", " photos", delay=0.5) as bar:
        report = prepare(paths, options.output, options.split, progress=bar.update)
    print(
        f"Prepared {report}." if report else f"{options.output} was prepared before; nothing to do."
    )
    if report and report.unreadable:
        print(f"All unreadable photos: {os.path.join(options.output, UNREADABLE)}")
    data = ["--train_data", options.output]
    if options.split:
        train, test = (os.path.join(options.output, part) for part in ("train", "test"))
        data = ["--train_data", train, "--test_data", test]
    print(f"Next:\n  {shlex.join(['python', f'{options.model}.py', *data])}")
