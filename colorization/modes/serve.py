"""`--mode serve`: the page, until the program is stopped."""

from __future__ import annotations

import signal
import sys
import time

from colorization.console import STOP_SIGNALS
from colorization.data.bundled import gray_photos
from colorization.errors import UserError
from colorization.model.model_fn import Network
from colorization.options import Options
from colorization.training.settings import resolve_settings

try:
    from colorization.server.app import is_local, read_accounts, serving
    from colorization.server.jobs import Models
except ImportError as missing:
    raise UserError(
        f"--mode serve needs another package ({missing}); pip install -r requirements-serve.txt"
    ) from missing


def run(network: Network, options: Options) -> None:
    """Serves the page until the program is stopped."""
    accounts = read_accounts(options.auth_file)
    resolve_settings(options)
    models = Models(options.model_dir, options.precision)
    # Of SIGINT too: shells have programs in the background ignore it.
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    examples = gray_photos()
    address = {"host": options.host, "port": options.port}
    with serving(models, examples, accounts=accounts, **address) as url:
        print(f"Colouring photos at {url} (Ctrl-C ends it)", flush=True)
        if not accounts and not is_local(options.host):
            print("Everyone who reaches this machine may use it; --auth_file asks for a password.")
        while True:
            # On Windows, Ctrl-C cannot end a wait without a limit.
            time.sleep(1)
