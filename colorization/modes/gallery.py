"""`--mode gallery`: the page of a results folder, such as one that many machines wrote to."""

from __future__ import annotations

from pathlib import Path

from colorization.errors import UserError
from colorization.files import require_writable
from colorization.model.layers import Network
from colorization.options import Options
from colorization.pages.gallery import write_gallery_of_results
from colorization.pages.page import require_own_page


def run(network: Network, options: Options) -> None:
    """Writes the page and prints where it is."""
    output = Path(options.output)
    if not (output / "predicted").is_dir():
        raise UserError(f"no coloured pictures in {output}; name the --output of --mode predict")
    require_writable(options.output, "output")
    require_own_page(output)
    print(f"See them in {write_gallery_of_results(output, options.model)}")
