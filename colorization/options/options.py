"""All options of one run, in one immutable object."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from colorization.options.network import NetworkOptions
from colorization.options.page import PageOptions
from colorization.options.photos import PhotoOptions
from colorization.options.prediction import PredictionOptions
from colorization.options.task import TaskOptions
from colorization.options.training import TrainingOptions

# Groups of options by their headings in --help, in its order.
GROUPS = {
    "what to do": TaskOptions,
    "photos": PhotoOptions,
    "prediction": PredictionOptions,
    "page": PageOptions,
    "training": TrainingOptions,
    "network": NetworkOptions,
}

# Options that decide what a checkpoint holds. They are stored beside it.
NETWORK_SETTINGS = ("global_features", "global_channels", "normalization", "chroma_scale", "loss")


@dataclass(frozen=True)
class Options(
    TaskOptions, PhotoOptions, PredictionOptions, PageOptions, TrainingOptions, NetworkOptions
):
    """All options of one run.

    A stored model's settings take the place of the defaults of `NETWORK_SETTINGS`, see
    `settings.resolve_settings`.

    Attributes beside the options themselves:
      model: name of the script.
      class_names: the folders that `classes` stands for.
      start: what a training starts from, `pretrained` or a path; "" for nothing.
      full_size_from: the step from which a stored model has been trained at full size.
      given: names of the options given on the command line.
    """

    model: str = ""
    class_names: tuple[str, ...] = ()
    start: str = ""
    full_size_from: int | None = None
    given: frozenset[str] = frozenset()

    def with_defaults(self, **values: Any) -> Options:
        """The options with other values for those not given on the command line."""
        unset = {name: value for name, value in values.items() if name not in self.given}
        return dataclasses.replace(self, **unset)

    @property
    def half_size_steps(self) -> int:
        """Number of steps at half size. They come first, and the last step is never one of them."""
        if self.full_size_from is not None:
            return self.full_size_from
        return int(self.half_size_share * self.max_steps)


def choices_of(name: str) -> Sequence[str]:
    """The values that an option may have; none if it has no fixed ones."""
    return Options.__dataclass_fields__[name].metadata["argument"].get("choices", ())
