"""The page in a browser of this machine."""

import io
import os
import zipfile

from platforms import HANG
from serving import free_port, wait_for

from colorization.server import app, sessions
from colorization.server.addresses import parse_public_url

pytest_plugins = ["serving_fixtures", "browser_fixtures"]


def test_a_dropped_photo_comes_back_in_colour(open_page, predicted, photos):
    from selenium.webdriver import ActionChains

    page = open_page()
    page.drop(photos[1:])
    handle = page.find("#slider [data-testid=slider]")
    before, after = page.all("#slider img")
    wait_for(lambda: after.get_property("naturalWidth"))
    assert [before.get_property("naturalWidth"), after.get_property("naturalHeight")] == [50, 90]
    clipped = after.get_attribute("style")
    ActionChains(page.driver).drag_and_drop_by_offset(handle, 60, 0).perform()
    wait_for(lambda: after.get_attribute("style") != clipped)
    assert page.download("#download", "photo.jpg") == predicted(photos[1:])["photo.jpg"]


def test_many_photos_come_as_a_zip(open_page, predicted, photos, no_photos):
    page = open_page()
    page.drop([*photos, *no_photos])
    assert "notes.jpg: not a picture" in page.find(".toast-body").text
    page.click("[data-testid=toast-close]")
    data = page.download("#download-all", "coloured.zip")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pictures = {name: archive.read(name) for name in archive.namelist()}
    assert pictures == predicted(photos)
    assert page.find("#download").text == "Download gray.png"
    wait_for(lambda: len(page.all("#strip img")) == 2)
    page.click("#strip img", 1)
    wait_for(lambda: page.find("#download").text == "Download photo.jpg")
    assert page.download("#download", "photo.jpg") == pictures["photo.jpg"]


def test_what_is_no_photo_is_said(open_page, no_photos):
    page = open_page()
    page.drop(no_photos)
    message = page.find(".toast-body").text
    for path, said in no_photos.items():
        assert f"{os.path.basename(path)}: " in message
        assert said in message
    assert not page.all("#download")


def test_examples_and_saturation(open_page, server, predicted):
    from selenium.webdriver import Keys

    page = open_page()
    page.click("#examples button")
    (example,) = map(str, server.folder.glob("*/example.png"))
    picture = page.download("#download", "example.png")
    assert picture == predicted([example])["example.png"]
    first = page.all("#slider img")[1].get_attribute("src")
    number = page.find("#saturation input[type=number]")
    # Not `clear`, which is a change by itself and has the photo coloured once more.
    number.send_keys(Keys.CONTROL, "a", Keys.NULL, "2.5", Keys.TAB)
    wait_for(lambda: page.all("#slider img")[1].get_attribute("src") != first)
    assert page.download("#download", "example.png") != picture


def test_photos_outlive_a_page_that_is_loaded_anew(open_page, server, photos, monkeypatch):
    from selenium.webdriver import Keys

    monkeypatch.setattr(sessions, "_AWAY_SECONDS", HANG)
    page, other = open_page(), open_page()
    page.drop(photos)
    wait_for(lambda: len(page.all("#strip img")) == len(page.all("#slider img")) == 2)
    first = page.all("#slider img")[1].get_attribute("src")
    number = page.find("#saturation input[type=number]")
    number.send_keys(Keys.CONTROL, "a", Keys.NULL, "2.5", Keys.TAB)
    wait_for(lambda: page.all("#slider img")[1].get_attribute("src") != first)
    livelier = page.download("#download", "gray.png")
    page.driver.refresh()
    wait_for(lambda: len(page.all("#strip img")) == 2)
    assert page.download("#download", "gray.png") == livelier
    # A tab of its own shows nothing of it, nor does a copy of the first one.
    named = "return sessionStorage.getItem('tab')"
    name = page.driver.execute_script(named)
    other.driver.switch_to.window(other.tab)
    own = wait_for(lambda: other.driver.execute_script(named))
    for stored in (own, name):
        other.driver.execute_script("sessionStorage.setItem('tab', arguments[0])", stored)
        other.driver.refresh()
        other.find("#photos button")
        wait_for(lambda: other.driver.execute_script(named) not in (None, name))
        assert not other.all("#strip img")
    # Gradio complains of connections that end because a page is loaded anew.
    broken_off = ("AbortError", "Connection errored out")
    for entry in page.driver.get_log("browser"):
        assert entry["level"] != "SEVERE" or any(why in entry["message"] for why in broken_off)


def test_files_go_when_the_tab_is_closed(open_page, server, photos):
    before, page = server.files(), open_page()
    page.drop(photos)
    page.find("#download")
    assert len(server.files() - before) > len(photos)
    page.driver.get("about:blank")
    wait_for(lambda: server.files() <= before)


def test_two_people_at_once_get_their_own(open_page, predicted, photos):
    first, second = open_page(), open_page()
    first.drop(photos[:1])
    second.drop(photos[1:])
    expected = predicted(photos)
    assert first.download("#download", "gray.png") == expected["gray.png"]
    assert second.download("#download", "photo.jpg") == expected["photo.jpg"]
    assert first.find("#download").text == "Download gray.png"


def test_a_page_at_another_address_says_which_option_is_missing(browser, loaded, server):
    port = free_port()
    elsewhere = parse_public_url("http://photos.example/colour")
    with app.serving(loaded, {}, port=port, public_url=elsewhere):
        browser.switch_to.new_window("tab")
        browser.get(f"http://127.0.0.1:{port}")
        said = wait_for(lambda: browser.find_elements("id", "elsewhere"))[0].text
        assert "set up for http://photos.example/colour" in said
        assert f"--public_url http://127.0.0.1:{port}" in said
        browser.close()
        browser.switch_to.window(browser.window_handles[0])
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # of what did not work, as it should
