"""Takes the README's pictures of the page, the gallery and TensorBoard, in Chromium.

    python color_global.py --mode train      # on the bundled photos
    python color_global.py --mode predict
    python color_global.py --mode compare --max_steps 200
    python docs/make_screenshots.py

Needs requirements-dev.txt and Debian's packages chromium and chromium-driver.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from PIL import Image
from selenium import webdriver

from colorization.data.bundled import gray_photos

_ROOT = Path(__file__).resolve().parent.parent

_WIDTH, _HEIGHT = 1200, 800
_MOST_BYTES = 300_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_dir", type=Path, default=Path("models/color_global"))
    parser.add_argument("--results", type=Path, default=Path("results/color_global"))
    parser.add_argument("--comparison", type=Path, default=Path("results/compare"))
    parser.add_argument("--output", type=Path, default=_ROOT / "docs")
    options = parser.parse_args()
    shown = (options.results / "index.html", options.comparison / "index.html", options.model_dir)
    for path in (*shown, options.output):
        if not path.exists():
            parser.error(f"{path} does not exist; run first what this file names at its beginning")
    with opened_browser() as browser:
        take_page(browser, options.output / "page.jpg")
        take_gallery(browser, options.results, options.output / "gallery.jpg")
        take_comparison(browser, options.comparison, options.output / "compare.jpg")
        take_tensorboard(browser, options.model_dir, options.output / "tensorboard.jpg")


@contextlib.contextmanager
def opened_browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    # The size of what is shown, whatever frame the window has.
    set_height(browser, _HEIGHT)
    try:
        yield browser
    finally:
        browser.quit()


def set_height(browser: webdriver.Chrome, height: int) -> None:
    size = {"width": _WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@contextlib.contextmanager
def running(command: list[str], url: str) -> Iterator[None]:
    """A server, from its first answer on."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(lambda: server.poll() is not None or answers(url))
            if server.poll() is not None:
                sys.exit(f"it does not run: {' '.join(command)}")
            yield
        finally:
            server.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], Any], seconds: float = 180) -> Any:
    until = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > until:
            sys.exit("waited in vain")
        time.sleep(0.2)
    return found


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def take_page(browser: webdriver.Chrome, target: Path) -> None:
    """The page with the general model, as whoever has trained none sees it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, str(_ROOT / "color_global.py"), "--mode", "serve",
        "--model_dir", "pretrained/color_global", "--port", str(port),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, running(command, url):
        paths = []
        for name, pixels in gray_photos().items():
            paths.append(str(Path(folder) / f"{name}.png"))
            Image.fromarray(pixels).save(paths[-1])
        browser.get(url)
        wait_for(lambda: browser.find_elements("css selector", "#photos input[type=file]"))
        browser.find_element("css selector", "#photos input").send_keys("\n".join(paths))
        wait_for(lambda: shown(browser, "#download-all"))
        time.sleep(3)
        # A wide one, with the sky in colour, leaves room for the buttons below.
        browser.find_elements("css selector", "#strip button img")[3].click()
        time.sleep(3)
        take(browser, target)


def shown(browser: webdriver.Chrome, selector: str) -> bool:
    return any(one.is_displayed() for one in browser.find_elements("css selector", selector))


def take_gallery(browser: webdriver.Chrome, results: Path, target: Path) -> None:
    browser.get((results / "index.html").absolute().as_uri())
    time.sleep(2)
    take(browser, target)


def take_comparison(browser: webdriver.Chrome, comparison: Path, target: Path) -> None:
    """Its photos: times, further up, tell as much of the machine as of the models."""
    browser.get((comparison / "index.html").absolute().as_uri())
    browser.execute_script("document.getElementById('photos').scrollIntoView()")
    time.sleep(2)
    take(browser, target)


def take_tensorboard(browser: webdriver.Chrome, folder: Path, target: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    tags = quote("^ab_rmse$|^loss$|image/[01]")
    with running([*command, "--port", str(port)], url):
        set_height(browser, 1030)  # two rows of charts
        browser.get(f"{url}/?darkMode=false&smoothing=0&tagFilter={tags}#timeseries")
        wait_for(lambda: shown(browser, "card-view"))
        browser.find_element("css selector", "[aria-label^='Toggle settings']").click()
        time.sleep(5)
        take(browser, target)


def take(browser: webdriver.Chrome, target: Path) -> None:
    """Saves what is to be seen; as JPEG, which shows photos as they are."""
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    picture.save(target, quality=88, subsampling="4:4:4", optimize=True)
    print(f"{target}: {target.stat().st_size:,} bytes")
    if target.stat().st_size > _MOST_BYTES:
        sys.exit(f"{target} is too large for the README")


if __name__ == "__main__":
    main()
