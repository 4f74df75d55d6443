"""The gallery of more pictures than it shows at a time, in a browser of this machine."""

import os
import re
import sys

import pytest
from browser_fixtures import click
from PIL import Image
from serving import wait_for

from colorization.pages import gallery

pytest_plugins = ["browser_fixtures"]

NAMES = [
    "a b & c; 'single' \"double\" #1 100% 50%25 ?q=1.jpg",
    "<script>alert(1)<.png",
    "]]> &lt;--><!-- </script>.jpg",
    "back\\slash.jpg" if os.sep == "/" else "slash.jpg",
    "été/日本 \u202egpj.png",
    "été/plain.jpg",
    *(f"later/{number}.jpg" for number in range(1, 12)),
    *([os.fsdecode(b"caf\xe9.jpg")] if sys.platform == "linux" else []),
]
SCORES = {name: {"rmse": number + 0.2, "psnr": 30.0 - number} for number, name in enumerate(NAMES)}
SCORES |= {
    "later/3.jpg": {},
    "later/5.jpg": {"rmse": 0.0, "psnr": float("inf")},
    "later/9.jpg": {"rmse": 97.5},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A results folder of pictures of all kinds."""
    folder = tmp_path_factory.mktemp("results")
    for number, name in enumerate(NAMES):
        kinds = ["gray", "predicted"] + ["truth"] * (number % 3 > 0) + ["unhinted"] * (number == 8)
        for kind in kinds:
            path = folder / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGBA" if name.endswith(".png") else "RGB", (9 + number, 12)).save(path)
    (folder / "predicted" / "later" / "7.jpg").write_bytes(b"")
    return folder


@pytest.fixture
def opened(browser, results, monkeypatch):
    """Opens the gallery with so many pictures at a time."""

    def opened(portion):
        monkeypatch.setattr(gallery, "PORTION", portion)
        browser.get(gallery.write_gallery(results, "color", SCORES).as_uri())
        browser.get_log("browser")
        return browser

    return opened


def items(browser):
    return browser.execute_script("return Array.from(sheet.children, item => item.outerHTML)")


def shown(browser):
    return browser.execute_script(
        "return Array.from(sheet.querySelectorAll('h2'), heading => heading.title)"
    )


def by_id(browser, identifier):
    return browser.find_element("id", identifier)


def choose(browser, value):
    click(browser, f"#order [value='{value}']")


def test_pages_hold_together_what_one_would(opened):
    browser = opened(1000)
    assert not by_id(browser, "pager").is_displayed()
    # Python and JavaScript write numbers differently.
    at_once = [item.replace("1e+09", "1000000000") for item in items(browser)]
    assert len(at_once) == len(NAMES)
    browser = opened(4)
    assert by_id(browser, "pages").text == str(-(-len(NAMES) // 4))
    turned = items(browser)
    while by_id(browser, "page-after").is_enabled():
        click(browser, "#page-after")
        turned += items(browser)
    assert [item.replace(" </p>", "</p>") for item in turned] == at_once
    click(browser, "#page-before")
    assert [items(browser)[0]] == at_once[-4 - len(NAMES) % 4 :][:1]
    assert browser.execute_script("return Array.from(document.links).every(link => link.href)")
    wait_for(
        lambda: browser.execute_script(
            "return Array.from(sheet.querySelectorAll('img')).every(image => image.naturalWidth)"
        )
    )
    # Neither the policy nor an address refuses anything.
    assert not browser.get_log("browser")


def test_all_pages_are_sorted_and_searched(opened):
    browser = opened(4)
    choose(browser, "rmse -1")
    assert shown(browser)[0] == "later/9.jpg"
    choose(browser, "psnr -1")
    assert shown(browser)[0] == "later/5.jpg"
    choose(browser, "rmse 1")
    page = by_id(browser, "page")
    page.clear()
    page.send_keys("99\n")
    assert shown(browser)[-1] == "later/3.jpg"  # without the figure
    choose(browser, "place 1")
    by_id(browser, "filter").send_keys("LATER/1")
    assert shown(browser) == ["later/1.jpg", "later/10.jpg", "later/11.jpg"]
    assert by_id(browser, "count").text == f"3 of {len(NAMES)}"
    assert not by_id(browser, "pager").is_displayed()
    by_id(browser, "filter").clear()
    by_id(browser, "filter").send_keys("ete")
    assert set(shown(browser)) == {name for name in NAMES if name.startswith("été")}


def test_the_viewer_goes_on_to_the_next_page(opened):
    browser = opened(4)
    names = shown(browser)
    click(browser, "#sheet .predicted a", -1)
    assert by_id(browser, "viewer-about").text.startswith(f"4 of {len(NAMES)} ")
    click(browser, "#next")
    assert by_id(browser, "viewer-about").text.startswith(f"5 of {len(NAMES)} ")
    click(browser, "#close")
    assert by_id(browser, "page").get_attribute("value") == "2"
    assert not set(names) & set(shown(browser))
    focused = browser.switch_to.active_element.get_attribute("href")
    first = browser.find_element("css selector", "#sheet .predicted a")
    assert re.search("/predicted/", focused) and focused == first.get_attribute("href")
