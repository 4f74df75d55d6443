"""Photos coloured through the API: the pictures of `--mode predict`, and what is refused."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serving import PRECISION, colorize, gradio_client, post

from colorization.prediction.colorize import Colorizer

pytest_plugins = ["serving_fixtures"]


def test_pictures_are_those_of_predict(client, predicted, photos):
    pictures, problems = colorize(client, photos)
    assert problems == {}
    assert pictures == predicted(photos)
    coloured = np.asarray(Image.open(io.BytesIO(pictures["gray.png"])), float)
    assert np.ptp(coloured, axis=2).mean() > 3


def test_one_photo_needs_no_list(client, predicted, photos):
    photo = gradio_client.handle_file(photos[1])
    (picture,), problems = client.predict(photo, api_name="/colorize")
    assert problems == {}
    assert {"photo.jpg": Path(picture).read_bytes()} == predicted(photos[1:])


def test_model_saturation_and_style_are_those_of_predict(client, predicted, photos):
    gray, photo = photos
    pictures, _ = colorize(client, [gray], model="color", saturation=1.7)
    assert pictures == predicted([gray], "color", saturation=1.7)
    style = gradio_client.handle_file(photo)
    pictures, _ = colorize(client, [gray], style=style, saturation=0.3)
    assert pictures == predicted([gray], style=photo, saturation=0.3)
    assert pictures != predicted([gray], saturation=0.3)
    told = "This model takes no style; .* Models that do: color_global"
    with pytest.raises(gradio_client.exceptions.AppError, match=told):
        colorize(client, [gray], model="color", style=style)


def test_hints_are_those_of_predict(client, models, photos):
    points = [["25%", "40%", "seagreen"], [3, 2, [128, 128, 128]]]
    pictures, problems = colorize(client, photos, hints=[None, points])
    assert problems == {}
    colorizer = Colorizer(str(models / "color_global"), precision=PRECISION)
    expected = [
        colorizer.colorize_bytes(Path(path).read_bytes(), hints=hints)
        for path, hints in zip(photos, (None, points), strict=True)
    ]
    assert list(pictures.values()) == expected


def test_a_hint_outside_the_photo_is_named(client, photos):
    pictures, problems = colorize(client, photos, hints=[[[10**6, 0, "red"]], []])
    assert list(pictures) == [Path(photos[1]).name]
    assert "X of a hint must be a pixel" in problems[Path(photos[0]).name]


def test_equal_names_stay_apart(client, colourful, tmp_path):
    paths = []
    for number, name in enumerate(["photo", "photo", "photo (2)", "photo"]):
        path = tmp_path / f"{number}" / f"{name}.png"
        path.parent.mkdir()
        Image.fromarray(colourful(20, 20, number)).save(path)
        paths.append(str(path))
    pictures, _ = colorize(client, paths)
    assert list(pictures) == ["photo.png", "photo (3).png", "photo (2).png", "photo (4).png"]
    assert len(set(pictures.values())) == 4


def test_what_is_no_photo_is_named_and_the_others_are_coloured(client, photos, no_photos):
    pictures, problems = colorize(client, [*no_photos, *photos])
    assert set(pictures) == {"gray.png", "photo.jpg"}
    assert set(problems) == {os.path.basename(path) for path in no_photos}
    for path, said in no_photos.items():
        assert said in problems[os.path.basename(path)]


def test_of_two_photos_of_one_name_both_problems_are_said(client, photos, tmp_path):
    paths = [tmp_path / "1" / "photo.jpg", tmp_path / "2" / "photo.jpg"]
    for path, data in zip(paths, (b"buy milk", b"%PDF-1.7" + bytes(50)), strict=True):
        path.parent.mkdir()
        path.write_bytes(data)
    pictures, problems = colorize(client, [photos[1], *map(str, paths)])
    assert list(pictures) == ["photo.jpg"]
    assert problems["photo (2).jpg"].startswith("not a picture")
    assert problems["photo (3).jpg"].startswith("a PDF file")


def test_pages_left_out_are_said(client, photos, tmp_path):
    with Image.open(photos[1]) as page:
        page.save(tmp_path / "album.tif", save_all=True, append_images=[page.copy()] * 2)
    pictures, problems = colorize(client, [str(tmp_path / "album.tif")])
    assert list(pictures) == ["album.tif"]
    assert "its 2 further pages are left out here" in problems["album.tif"]


def test_without_any_photo_the_reason_is_the_error(client, no_photos):
    with pytest.raises(gradio_client.exceptions.AppError, match=r"notes\.jpg: not a picture"):
        colorize(client, no_photos)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "../color"}, "There is no model '../color'; choose from color_global, color"),
        ({"model": ["color"]}, "no model"),
        ({"saturation": 0}, "Saturation must be a number above 0"),
        ({"saturation": "1"}, "Saturation must be"),
        ({"hints": [[0, 0, "red"]]}, "a hint is X,Y,COLOUR"),
        ({"hints": [[[0, 0, "reddish"]]]}, "unknown colour 'reddish'"),
        ({"hints": []}, "a list for each photo"),
        ({"hints": "red"}, "a list for each photo|JSON"),
        ({"saturation": float("nan")}, "Saturation must be|Not coloured|400|invalid|JSON"),
    ],
)
def test_settings_without_sense_are_refused(client, photos, settings, said):
    with pytest.raises(Exception, match=said):
        colorize(client, photos[:1], **settings)


@pytest.mark.parametrize("nothing", [[], None])
def test_a_request_without_photos_is_refused(client, nothing):
    with pytest.raises(gradio_client.exceptions.AppError, match=r"Send one photo or more\."):
        client.predict(nothing, model="color_global", saturation=1, api_name="/colorize")


def test_uploads_are_limited_in_bytes(server):
    before = server.files()
    long = {"files": ("long.png", os.urandom(2**21 + 1))}
    assert post(f"{server.url}/gradio_api/upload", files=long).status_code == 413
    assert server.files() <= before
