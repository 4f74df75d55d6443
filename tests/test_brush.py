"""The brush of the page, in Python and in a browser."""

import io
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image
from platforms import HANG
from serving import functions, get, raw, wait_for
from skimage.color import rgb2lab

from colorization.prediction.colorize import Colorizer
from colorization.server import actions, jobs
from colorization.server.brush import PALETTE, are_strokes, draw_strokes

pytest_plugins = ["serving_fixtures", "browser_fixtures"]

GREEN = dict(PALETTE)["grass"]


def stroke(*points, colour=GREEN, width=0.02):
    return {"colour": colour, "width": width, "points": [list(point) for point in points]}


def test_strokes_are_drawn_where_they_are():
    strokes = [stroke((0, 0), (1, 1), width=0.05), stroke((0.5, 0.5), colour="#ff0000", width=0.1)]
    assert are_strokes(strokes)
    drawn = draw_strokes(strokes, (200, 100))
    assert (drawn.shape, drawn.dtype) == (((100, 200, 4)), np.uint8)
    assert drawn[10, 20].tolist() == [0x7A, 0x9A, 0x3F, 255]
    assert drawn[50, 100].tolist() == [255, 0, 0, 255]
    assert not drawn[10, 180].any()
    assert not drawn[90, 20].any()
    assert 18 <= (drawn[50, :, :3] == [255, 0, 0]).all(1).sum() <= 22
    assert not draw_strokes([], (20, 10)).any()


@pytest.mark.parametrize(
    "sent",
    [
        None,
        {},
        [None],
        [{}],
        [stroke()],
        [stroke((0.5,))],
        [stroke((0.5, 2))],
        [stroke((0.5, float("nan")))],
        [stroke((0.5, True))],
        [stroke((0.5, 0.5), colour="red")],
        [stroke((0.5, 0.5), colour=7)],
        [stroke((0.5, 0.5), width="1")],
        [stroke((0.5, 0.5)) | {"path": "/etc/passwd"}],
        [stroke((0.5, 0.5))] * 1001,
        [stroke(*[(0.5, 0.5)] * 1001)] * 100,
    ],
)
def test_what_is_no_list_of_strokes_is_told(sent):
    assert not are_strokes(sent)


def test_nobody_paints_on_the_pictures_of_others(server):
    for number, count in functions(server).items():
        if count != 1:
            continue
        for sent in ({"/x/0.png": []}, {"/x/0.png": [1]}, {"": None}, "x", None):
            answer = raw(server, [sent], number)
            assert "Traceback" not in str(answer)


@pytest.fixture
def disc(tmp_path):
    """A photo of a dark disc in the upper left on a light ground, and what is seen of it where."""
    y, x = np.mgrid[:300, :400]
    gray = np.where((y - 100) ** 2 + (x - 120) ** 2 < 70**2, 90, 200).astype(np.uint8)
    path = tmp_path / "disc.png"
    Image.fromarray(gray).save(path)
    return path


class Easel:
    """The brush, as a person uses it."""

    def __init__(self, page, *photos):
        self.page = page
        page.drop(photos)
        page.find("#download-all" if len(photos) > 1 else "#download")
        # A click may go nowhere until the page has settled.
        wait_for(self.open)
        wait_for(lambda: self.image().get_property("naturalWidth") == 400)

    def open(self):
        self.page.click("button[role=tab]:nth-of-type(2)")
        return self.page.all("#brush canvas")

    def image(self):
        return self.page.find("#brush img")

    def pixels(self):
        data = get(self.image().get_attribute("src")).content
        return rgb2lab(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))

    def choose(self, name):
        self.page.click(f'#brush .palette [title="{name}"]')

    def stroke(self, *points, kind="mouse"):
        """Paints along points in pixels of the photo; waits until the picture has followed."""
        self.wait_after(lambda: self.paint(*points, kind=kind))

    def paint(self, *points, kind="mouse"):
        from selenium.webdriver.common.actions.action_builder import ActionBuilder
        from selenium.webdriver.common.actions.pointer_input import PointerInput

        canvas = self.page.find("#brush canvas")
        scale = canvas.size["width"] / 400
        places = [(round((x - 200) * scale), round((y - 150) * scale)) for x, y in points]
        builder = ActionBuilder(self.page.driver, mouse=PointerInput(kind, kind), duration=20)
        action = builder.pointer_action
        action.move_to(canvas, *places[0]).pointer_down()
        for place in places[1:]:
            action.move_to(canvas, *place)
        action.pointer_up()
        builder.perform()

    def wait_after(self, act):
        before = self.image().get_attribute("src")
        act()
        wait_for(lambda: self.image().get_attribute("src") != before)

    def press(self, name):
        self.wait_after(lambda: self.page.click(f"#brush .{name}"))

    def download(self, selector, name):
        """The picture is made at full size once the one on the page has followed."""
        wait_for(lambda: self.page.find("#download").is_enabled())
        return self.page.download(selector, name)

    def pictures(self):
        """Those of all photos, by name."""
        data = self.page.download("#download-all", "coloured.zip")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def test_a_stroke_colours_its_thing_and_leaves_the_far_corner(open_page, disc, models, tmp_path):
    easel = Easel(open_page(), disc)
    plain = easel.download("#download", "disc.png")
    before = easel.pixels()
    easel.choose("grass")
    easel.stroke((100, 80), (130, 90), (140, 120))
    after = easel.pixels()
    green = rgb2lab(np.uint8([0x7A, 0x9A, 0x3F]))[1:]
    for y, x in ((90, 115), (60, 100), (140, 140)):
        assert (
            np.linalg.norm(after[y, x, 1:] - green) < np.linalg.norm(before[y, x, 1:] - green) / 2
        )
    assert np.abs(after[280:, 380:] - before[280:, 380:]).max() < 2

    painted = easel.download("#download", "disc.png")
    (tmp_path / "strokes.png").write_bytes(easel.download("#strokes", "disc.png"))
    colorizer = Colorizer(str(models / "color_global"), precision="float32")
    assert painted == colorizer.colorize_bytes(disc.read_bytes(), hints=tmp_path / "strokes.png")
    assert painted != plain

    easel.press("undo")
    assert easel.download("#download", "disc.png") == plain
    assert not easel.page.all("#strokes")


def test_strokes_are_taken_away_one_by_one_and_stay_with_new_settings(open_page, disc):
    from selenium.webdriver import Keys

    easel = Easel(open_page(), disc)
    plain = easel.download("#download", "disc.png")
    easel.choose("sky")
    easel.stroke((90, 100), (150, 100))
    one = easel.download("#download", "disc.png")
    easel.choose("brick")
    easel.stroke((300, 200), (350, 250))
    two = easel.download("#download", "disc.png")
    assert len({plain, one, two}) == 3
    easel.page.click("#brush .take")
    easel.stroke((325, 225))
    assert easel.download("#download", "disc.png") == one
    number = easel.page.find("#saturation input[type=number]")
    easel.wait_after(lambda: number.send_keys(Keys.CONTROL, "a", Keys.NULL, "2", Keys.TAB))
    assert easel.page.find("#strokes")
    easel.press("clear")
    wait_for(lambda: not easel.page.all("#strokes"))


def test_a_finger_paints(open_page, disc):
    easel = Easel(open_page(), disc)
    before = easel.pixels()
    easel.choose("sea")
    easel.stroke((100, 80), (130, 90), (140, 120), kind="touch")
    change = np.linalg.norm(easel.pixels() - before, axis=-1)
    assert change[90, 115] > 5
    assert change[280:, 380:].max() < 2


def test_the_first_of_many_photos_can_be_painted_on(open_page, disc, photos, monkeypatch):
    monkeypatch.setattr(jobs, "_UPDATE_SECONDS", 0)
    easel = Easel(open_page(), disc, *photos)
    easel.stroke((100, 80), (130, 90), (140, 120))
    assert easel.page.find("#strokes")


@pytest.fixture
def hold(monkeypatch):
    """Lets a function of a module wait until the event that this returns is set."""
    held = []

    def hold(module, name):
        go_on, function = threading.Event(), getattr(module, name)
        held.append(go_on)

        def wait(*arguments):
            assert go_on.wait(HANG)
            return function(*arguments)

        monkeypatch.setattr(module, name, wait)
        return go_on

    yield hold
    for go_on in held:
        go_on.set()


@pytest.mark.parametrize("what", ["painted_preview", "painted_picture"])
def test_another_photo_may_be_looked_at_while_strokes_are_under_way(
    open_page, disc, photos, models, tmp_path, hold, what
):
    easel = Easel(open_page(), disc, *photos)
    page, plain = easel.page, easel.pictures()
    go_on = hold(actions, what)
    (easel.paint if what == "painted_preview" else easel.stroke)((100, 80), (140, 120))
    easel.paint((300, 200), (350, 250))
    page.click("#strip img", 1)
    wait_for(lambda: page.find("#download").text == "Download gray.png")
    shown = easel.image().get_attribute("src")
    go_on.set()
    wait_for(lambda: easel.pictures()["disc.png"] != plain["disc.png"])
    assert easel.image().get_attribute("src") == shown
    assert easel.download("#download", "gray.png") == plain["gray.png"]
    assert not page.all("#strokes")

    page.click("#strip img")
    wait_for(lambda: page.find("#download").text == "Download disc.png")

    def both():
        data = easel.download("#strokes", "disc.png")
        (tmp_path / "strokes.png").write_bytes(data)
        alpha = np.asarray(Image.open(io.BytesIO(data)))[..., 3]
        return alpha[100, 120] and alpha[225, 325]

    wait_for(both)
    colorizer = Colorizer(str(models / "color_global"), precision="float32")
    painted = colorizer.colorize_bytes(disc.read_bytes(), hints=tmp_path / "strokes.png")
    assert easel.download("#download", "disc.png") == painted
    assert easel.pictures() == {**plain, "disc.png": painted}


@pytest.mark.parametrize("is_painted_first", [True, False])
def test_a_stroke_and_new_settings_at_the_same_time_both_count(
    open_page, disc, photos, models, tmp_path, hold, is_painted_first
):
    from selenium.webdriver import Keys

    easel = Easel(open_page(), disc, *photos)
    plain = easel.pictures()
    go_on = hold(actions, "painted_preview") if is_painted_first else hold(jobs, "encode")
    number = easel.page.find("#saturation input[type=number]")
    before = easel.image().get_attribute("src")

    def change_saturation():
        number.send_keys(Keys.CONTROL, "a", Keys.NULL, "2", Keys.TAB)

    if is_painted_first:
        easel.paint((100, 80), (140, 120))
        easel.wait_after(change_saturation)
    else:
        change_saturation()
        easel.stroke((100, 80), (140, 120))
    go_on.set()
    colorizer = Colorizer(str(models / "color_global"), precision="float32", saturation=2)
    wait_for(lambda: easel.page.all("#strokes"))

    def expected():
        (tmp_path / "strokes.png").write_bytes(easel.download("#strokes", "disc.png"))
        return colorizer.colorize_bytes(disc.read_bytes(), hints=tmp_path / "strokes.png")

    wait_for(lambda: easel.download("#download", "disc.png") == expected())
    wait_for(lambda: easel.pictures()["disc.png"] == expected())
    assert easel.pictures()["gray.png"] != plain["gray.png"]
    assert easel.image().get_attribute("src") != before
