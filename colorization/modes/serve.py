"""`--mode serve`: the page, until the program is stopped."""

from __future__ import annotations

import time

from colorization.data.bundled import gray_photos
from colorization.environment import environment
from colorization.errors import UserError
from colorization.model.layers import Network
from colorization.options import Options
from colorization.server.addresses import NO_PROXY, is_local, parse_public_url
from colorization.training.general_model import with_model
from colorization.training.settings import resolve_settings

try:
    # On import, Gradio creates a client, which fails for unknown kinds of proxies.
    with environment(NO_PROXY):
        from colorization.server.app import read_accounts, serving
        from colorization.server.jobs import Models
except ImportError as missing:
    raise UserError(
        f"--mode serve needs another package ({missing}); pip install -r requirements-serve.txt"
    ) from missing


def run(network: Network, options: Options) -> None:
    """Serves the page until the program is stopped."""
    accounts = read_accounts(options.auth_file)
    public_url = parse_public_url(options.public_url) if options.public_url else None
    options = with_model(options)
    resolve_settings(options)
    models = Models(options.model_dir, options.precision)
    examples = gray_photos()
    address = {"host": options.host, "port": options.port, "public_url": public_url}
    with serving(models, examples, accounts=accounts, **address) as url:
        print(f"Colouring photos at {url} (Ctrl-C ends it)", flush=True)
        reached = public_url.host if public_url and is_local(options.host) else options.host
        if not accounts and not is_local(reached):
            print("Everyone who reaches it there may use it; --auth_file asks for a password.")
        while True:
            # On Windows, Ctrl-C cannot end a wait without a limit.
            time.sleep(1)
