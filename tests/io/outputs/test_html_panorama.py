"""The page of a panorama, in a real browser: one stands inside and measures what Python does."""

import io
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.equirectangular import panorama
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.measure.measurement_records import measure_points
from rilievo.pages.photograph import pictures_of_prediction
from rilievo.prediction import Prediction
from rilievo.prediction.saving import save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from support.browser import Opened, bare, chromium
from support.predictions import prediction

SIZE = 128, 256
COLOURS = {
    "front": (220, 40, 40),
    "right": (40, 200, 40),
    "back": (40, 60, 220),
    "left": (230, 210, 40),
    "ceiling": (200, 120, 220),
    "floor": (120, 70, 30),
}


def room() -> Prediction:
    """A room of 4 x 3 x 5 m from its middle, each wall of one colour; a sign hangs behind."""
    height, width = SIZE
    camera = Camera(lens=panorama(SIZE), source=CameraSource.GIVEN)
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height))).astype(float)
    rays = camera.rays(pixels)
    with np.errstate(divide="ignore"):
        sides = np.array([2.0, 1.5, 2.5])[:, None, None] / np.abs(rays)
    wall = 2 * sides.argmin(axis=0) + (np.take_along_axis(rays, sides.argmin(0)[None], 0)[0] > 0)
    painted = np.array(
        [COLOURS[each] for each in ("left", "right", "ceiling", "floor", "back", "front")], np.uint8
    )
    distance = sides.min(axis=0).astype(np.float32)
    distance[45:60, 4:20] = 1
    return replace(
        prediction(),
        depth_or_none=DepthMap(values=distance, kind=DepthKind.METRIC, is_distance=True),
        normals=None,
        confidence=None,
        sky=None,
        camera=camera,
        photo=Photo(pixels=painted[wall], name="room.jpg"),
    )


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    path = tmp_path_factory.mktemp("page") / "room"
    save(room(), path, ["html"])
    window = {"width": 960, "height": 800}
    with (
        chromium() as browser,
        closing(browser.new_context(viewport=window, offline=True)) as context,
    ):
        context.set_default_timeout(120_000)
        found = Opened(context, path.with_suffix(".html"))
        found.page.wait_for_selector("#surface-state", state="hidden")
        yield found


def middle(page: Any) -> str:
    """Name of the wall in the middle of the canvas, when it has come to rest."""
    before = None
    for _ in range(200):
        now = page.locator("#surface").screenshot()
        if now == before:
            break
        before = now
        page.wait_for_timeout(60)
    pixels = np.asarray(Image.open(io.BytesIO(now)).convert("RGB")).astype(int)
    colour = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2]
    return min(COLOURS, key=lambda name: np.abs(np.array(COLOURS[name]) - colour).max())


def press(page: Any, key: str, times: int) -> None:
    page.locator("#surface").focus()
    for _ in range(times):
        page.keyboard.press(key)


@pytest.mark.slow
def test_one_stands_inside_and_looks_around(shown: Opened) -> None:
    page = shown.page
    assert middle(page) == "front"
    quarter = 13  # times 0.12 radians
    found = []
    for _ in range(4):
        press(page, "ArrowRight", quarter)
        found.append(middle(page))
    assert found == ["right", "back", "left", "front"]
    press(page, "0", 1)
    press(page, "ArrowUp", 12)
    assert middle(page) == "ceiling"
    press(page, "0", 1)
    press(page, "ArrowDown", 12)
    assert middle(page) == "floor"
    press(page, "0", 1)
    assert middle(page) == "front"
    assert shown.complaints == []


@pytest.mark.slow
def test_what_is_dragged_follows_the_pointer(shown: Opened) -> None:
    page = shown.page
    press(page, "0", 1)
    assert middle(page) == "front"
    box = page.locator("#surface").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.1 * box["width"], y, steps=8)
    page.mouse.up()
    assert middle(page) == "left"
    press(page, "0", 1)


@pytest.mark.slow
def test_nothing_is_torn_and_nothing_is_missing(shown: Opened) -> None:
    """The stage is black where nothing is drawn, and no wall is."""
    page = shown.page
    bare(page)
    for key, times in (("0", 1), ("ArrowRight", 26), ("ArrowUp", 13), ("ArrowDown", 26)):
        press(page, key, times)
        middle(page)
        png = page.locator("#surface").screenshot()
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))[12:-12, 12:-12]
        assert (pixels.max(axis=2) > 60).all(), key
    press(page, "0", 1)


def test_sizes_are_those_of_python(shown: Opened) -> None:
    page, whole = shown.page, room()
    for name in ("line", "height", "area", "angle"):
        page.click(f"#add-{name}")
    texts = page.locator("#lines output").all_inner_texts()
    places = [
        [
            tuple(map(int, re.findall(r"column (-?\d+), row (-?\d+)", each)[0]))
            for each in group.locator("g[role=slider]").evaluate_all(
                "all => all.map((each) => each.getAttribute('aria-valuetext'))"
            )
        ]
        for group in page.locator(".stage .lines > g").all()
    ]
    for text, points, what in zip(
        texts, places, ("length", "height", "area", "angle"), strict=True
    ):
        expected = measure_points(whole, points, what)
        said = expected.text if what == "length" else str(expected)
        assert text.removesuffix(", not flat") == said


def test_the_texture_of_a_panorama_is_twice_as_fine_as_a_photographs():
    wide = np.zeros((2500, 5000, 3), np.uint8)
    for lens, side in ((panorama((2500, 5000)), 4096), (Camera(K=np.eye(3)).lens, 2048)):
        shown = replace(
            room(), depth_or_none=None, camera=Camera(lens=lens), photo=Photo(pixels=wide)
        )
        [picture] = pictures_of_prediction(shown, SaveOptions())
        assert Image.open(io.BytesIO(picture.jpeg)).size == (side, side // 2)
