"""Environment variables that hold for a while."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets variables for the duration of the body; then they are as before."""
    with restored(variables):
        os.environ.update(variables)
        yield


@contextlib.contextmanager
def restored(names: Iterable[str]) -> Iterator[None]:
    """Lets the body change variables; then they are as before."""
    former = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
