"""Options of the page that colours photos."""

from __future__ import annotations

from dataclasses import dataclass

from colorization.options.declaration import option
from colorization.options.numbers import whole_number


@dataclass(frozen=True)
class PageOptions:
    """Options of the page that colours photos."""

    host: str = option(
        "address to listen on; others than the default let other machines in (default: 127.0.0.1)",
        "127.0.0.1",
        modes=("serve",),
        metavar="HOST",
    )
    port: int = option(
        "port to listen on (default: 7860)",
        7860,
        modes=("serve",),
        type=whole_number(1, 65535),
        metavar="N",
    )
    public_url: str | None = option(
        "address that people open, where a proxy stands in front of the page, such as "
        "https://photos.example or https://example.org/colour",
        modes=("serve",),
        metavar="URL",
    )
    auth_file: str | None = option(
        "text file of user:password lines; only those are let in (default: the one in the "
        "environment variable COLORIZE_AUTH, else everyone)",
        modes=("serve",),
        metavar="FILE",
    )
