"""Options that name photos and where results go, and the shard that one machine of many takes."""

from __future__ import annotations

import argparse
import contextlib
import os
from dataclasses import dataclass

from colorization.errors import UserError
from colorization.options.declaration import MODES_OF_TRAINING, MODES_WITH_PHOTOS, option
from colorization.options.numbers import SHARE

_MAX_SHARDS = 100_000


def _shard(text: str) -> tuple[int, int]:
    with contextlib.suppress(ValueError):
        index, count = map(int, text.split("/"))
        if 0 <= index < count <= _MAX_SHARDS:
            return index, count
    raise argparse.ArgumentTypeError(
        f"needs I/N, N up to {_MAX_SHARDS} and I from 0 to N - 1, not {text!r}"
    )


def shard_of_job() -> tuple[int, int]:
    """The shard of a pod of a Kubernetes Indexed Job; elsewhere, the only shard.

    Raises:
      UserError: the number of shards is missing, or the numbers make no sense.
    """
    names = "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"
    index, count = (os.environ.get(name, "").strip() for name in names)
    if not index:
        return 0, 1
    if not count:
        raise UserError(
            "JOB_COMPLETION_INDEX is set and JOB_COMPLETIONS is not; set that to the completions "
            "of the job, or give --shard"
        )
    try:
        return _shard(f"{index}/{count}")
    except argparse.ArgumentTypeError as error:
        raise UserError(f"JOB_COMPLETION_INDEX/JOB_COMPLETIONS {error}") from None


@dataclass(frozen=True)
class PhotoOptions:
    """Options that name photos and where results go."""

    train_data: tuple[str, ...] = option(
        "folders (searched through, or prepared), globs, photos or text files of paths "
        "(default: data/train, else the photos bundled with scikit-image)",
        (),
        modes=MODES_OF_TRAINING,
        nargs="+",
        action="extend",
        metavar="PHOTOS",
    )
    test_data: tuple[str, ...] = option(
        "photos to test on, likewise (default: data/test, else some of --train_data, held out)",
        (),
        modes=MODES_WITH_PHOTOS,
        nargs="+",
        action="extend",
        metavar="PHOTOS",
    )
    input: tuple[str, ...] = option(
        "photos to colour (default: the test photos) or prepare, likewise",
        (),
        modes=("predict", "prepare"),
        nargs="+",
        action="extend",
        metavar="PHOTOS",
    )
    output: str | None = option(
        "folder for the coloured photos (default: results/MODEL), exported models "
        "(exports/MODEL), shards (data/prepared) or the comparison (results/compare)",
        modes=("predict", "gallery", "export", "prepare", "compare"),
        metavar="FOLDER",
    )
    split: float = option(
        "share of the photos to hold out into --output/test, the rest into --output/train",
        0.0,
        modes=("prepare",),
        type=SHARE,
        metavar="X",
    )
    shard: tuple[int, int] = option(
        "colour or prepare only part I of N, counted from 0; all parts may share one --output "
        "(default: 0/1, in a Kubernetes Indexed Job JOB_COMPLETION_INDEX/JOB_COMPLETIONS)",
        (0, 1),
        modes=("predict", "prepare"),
        type=_shard,
        metavar="I/N",
    )
