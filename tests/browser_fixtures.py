"""Fixtures: the page of the server in Chromium, used as a person does."""

import base64
import json
import shutil
from pathlib import Path

import pytest
from serving import wait_for

BROWSER = {name: shutil.which(name) for name in ("chromium", "chromedriver")}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, its downloads going to `browser.downloads`; skips where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver")
    if None in BROWSER.values():
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER["chromium"]
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--window-size=1300,1100",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    downloads = tmp_path_factory.mktemp("downloads")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(options, webdriver.ChromeService(BROWSER["chromedriver"]))
    driver.downloads = downloads
    yield driver
    driver.quit()


def seen(driver, selector):
    from selenium.common.exceptions import StaleElementReferenceException

    def is_shown(element):
        try:
            return element.is_displayed()
        except StaleElementReferenceException:  # taken away since it was found
            return False

    return list(filter(is_shown, driver.find_elements("css selector", selector)))


def click(driver, selector, number=0):
    """Clicks as a person does: once the thing stays in its place, can be used and is in front."""
    from selenium.common import exceptions

    places = [None]

    def is_done():
        try:
            element = seen(driver, selector)[number]
            places.append(element.rect)
            if places[-1] != places[-2] or not element.is_enabled():
                return False
            element.click()
        except (
            IndexError,
            exceptions.StaleElementReferenceException,
            exceptions.ElementClickInterceptedException,
            exceptions.ElementNotInteractableException,
        ):
            return False
        return True

    wait_for(is_done)


DROP = """
const [photos, target] = arguments;
const transfer = new DataTransfer();
for (const [name, data] of photos) {
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  transfer.items.add(new File([bytes], name, {type: "image/" + name.split(".").pop()}));
}
document.querySelector(target).dispatchEvent(
  new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
"""


class Page:
    """What a person does in one tab."""

    def __init__(self, driver, url):
        self.driver = driver
        driver.switch_to.new_window("tab")
        self.tab = driver.current_window_handle
        driver.get(url)
        self.find("#photos button")

    def all(self, selector):
        self.driver.switch_to.window(self.tab)
        return seen(self.driver, selector)

    def find(self, selector):
        return wait_for(lambda: self.all(selector))[0]

    def click(self, selector, number=0):
        self.driver.switch_to.window(self.tab)
        click(self.driver, selector, number)

    def drop(self, paths, target="#photos button"):
        self.find(target)
        files = [
            (Path(path).name, base64.b64encode(Path(path).read_bytes()).decode()) for path in paths
        ]
        self.driver.execute_script(DROP, files, target)

    def download(self, selector, name):
        self.click(selector)
        path = self.driver.downloads / name
        # Chromium reserves the name by an empty file, which the finished one takes the place of.
        data = wait_for(lambda: path.exists() and path.read_bytes())
        path.unlink()
        return data

    def close(self):
        """Checks that nothing went wrong behind the scenes."""
        self.driver.switch_to.window(self.tab)
        self.driver.close()
        self.driver.switch_to.window(self.driver.window_handles[0])


@pytest.fixture
def open_page(browser, server):
    """Opens the page in a new tab; at the end looks for errors and for requests elsewhere."""
    pages = []

    def open_tab():
        pages.append(Page(browser, server.url))
        return pages[-1]

    yield open_tab
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    for page in pages:
        page.close()
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert any(url.startswith(server.url) for url in asked)
    allowed = (server.url, "data:", f"blob:{server.url}")
    assert [url for url in asked if not url.startswith(allowed)] == []
    assert errors == []
