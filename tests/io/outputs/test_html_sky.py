"""The sky on the page of a photograph: a backdrop behind the surface, which is not measured."""

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.geometry.cameras.camera import Camera
from rilievo.prediction import Prediction
from rilievo.prediction.saving import SaveOptions, save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from support.browser import Opened, bare, chromium
from support.predictions import prediction

HEIGHT, WIDTH = 90, 120
K = np.array([[100.0, 0.0, 59.5], [0.0, 100.0, 44.5], [0.0, 0.0, 1.0]])
SKY, HAZE, GROUND = (30, 60, 220), (240, 240, 240), (200, 60, 30)
IN_SKY, IN_GROUND = (3 / 8, 1 / 2), (5 / 8, 1 / 2)
"""Places on the canvas, down and across."""


def field() -> Prediction:
    """Ground below the horizon, 2 m away, and sky above, whose last rows are a narrow haze."""
    sky = np.zeros((HEIGHT, WIDTH), bool)
    sky[: HEIGHT // 2] = True
    pixels = np.where(sky[..., None], SKY, GROUND).astype(np.uint8)
    pixels[HEIGHT // 2 - 3 : HEIGHT // 2] = HAZE
    values = np.where(sky, 60, 2).astype(np.float32)
    return replace(
        prediction(),
        depth_or_none=DepthMap(values=values, kind=DepthKind.METRIC),
        normals=None,
        confidence=None,
        sky=sky,
        camera=Camera(K=K),
        photo=Photo(pixels=pixels, name="field.jpg"),
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of the field as it is, and without its sky."""
    folder = tmp_path_factory.mktemp("pages")
    options = {"whole": SaveOptions(), "dropped": SaveOptions(drop="sky")}
    for name, each in options.items():
        save(field(), folder / name, ["html"], each)
    return {name: folder / f"{name}.html" for name in options}


@pytest.fixture(scope="module")
def shown(pages: dict[str, Path]) -> Iterator[dict[str, Opened]]:
    window = {"width": 960, "height": 800}
    with (
        chromium() as browser,
        closing(
            browser.new_context(viewport=window, offline=True, reduced_motion="reduce")
        ) as context,
    ):
        found = {name: Opened(context, path) for name, path in pages.items()}
        for each in found.values():
            each.page.wait_for_selector("#surface-state", state="hidden")
            bare(each.page)
        yield found


def seen(page: Any, view: str = "v=0,0,0,0,0,-1,0") -> np.ndarray:
    """The canvas when it has come to rest, with the view and the look of a fragment."""
    page.evaluate("(view) => { location.hash = view; }", view)
    before = None
    for _ in range(200):
        page.wait_for_timeout(60)
        now = page.locator("#surface").screenshot()
        if now == before:
            return np.asarray(Image.open(io.BytesIO(now)).convert("RGB")).astype(int)
        before = now
    raise AssertionError("the surface does not come to rest")


def colour_at(picture: np.ndarray, place: tuple[float, float]) -> np.ndarray:
    row, column = (int(share * length) for share, length in zip(place, picture.shape, strict=False))
    return picture[row, column]


def is_near(colour: np.ndarray, expected: tuple[int, ...]) -> bool:
    return bool(np.abs(colour - expected).max() < 30)


def test_the_photographs_own_camera_sees_its_sky_and_the_same_surface(
    shown: dict[str, Opened],
) -> None:
    whole, dropped = (seen(shown[name].page) for name in ("whole", "dropped"))
    assert is_near(colour_at(whole, IN_SKY), SKY)
    assert not is_near(colour_at(dropped, IN_SKY), SKY)
    is_ground = (np.abs(dropped - GROUND) < 30).all(axis=2)
    assert is_ground.mean() > 0.1
    np.testing.assert_array_equal(whole[is_ground], dropped[is_ground])
    # The sky begins and ends where the ground does.
    is_sky = (np.abs(whole - SKY) < 30).all(axis=2)
    sky_ends, ground_ends = (
        np.flatnonzero(each.any(axis=0))[[0, -1]] for each in (is_sky, is_ground)
    )
    assert np.abs(sky_ends - ground_ends).max() <= 1
    assert shown["whole"].complaints == []


@pytest.mark.slow
def test_a_turned_surface_has_the_sky_far_behind(shown: dict[str, Opened]) -> None:
    """At 0.2 to the right; the sky is twice as far as what is looked at, so it moves."""
    front = seen(shown["whole"].page)
    turned = seen(shown["whole"].page, "v=0.19867,0,-0.01993,0,0,-1,0")
    assert is_near(colour_at(turned, IN_SKY), SKY)
    first, last = (
        np.flatnonzero((np.abs(each - SKY) < 30).all(axis=2).any(axis=0))[0]
        for each in (front, turned)
    )
    assert abs(first - last) > 20


@pytest.mark.slow
def test_next_to_the_ground_the_sky_is_the_photographs_until_it_is_turned(
    shown: dict[str, Opened],
) -> None:
    """Haze is not certainly sky, so what the ground hid does not get its colour."""
    front = seen(shown["whole"].page)
    turned = seen(shown["whole"].page, "v=0.19867,0,-0.01993,0,0,-1,0")
    front_haze, turned_haze = (
        int((np.abs(each - HAZE) < 30).all(axis=2).sum()) for each in (front, turned)
    )
    assert front_haze > 500
    assert turned_haze == 0


@pytest.mark.parametrize(
    "look",
    [pytest.param("100", id="shape"), pytest.param("200", id="points", marks=pytest.mark.slow)],
)
def test_shape_and_points_have_no_sky(shown: dict[str, Opened], look: str) -> None:
    with_sky, without = (
        seen(shown[name].page, f"v=0,0,0,0,0,-1,0&o={look}") for name in ("whole", "dropped")
    )
    above = slice(0, int(0.45 * len(without)))
    np.testing.assert_array_equal(with_sky[above], without[above])


def test_the_sky_has_no_depth_to_read(shown: dict[str, Opened]) -> None:
    page = shown["whole"].page
    seen(page, "v=0,0,0,0,0,-1,0&o=000")
    box = page.locator("#surface").bounding_box()
    readings = []
    for down, across in (IN_GROUND, IN_SKY):
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        page.wait_for_timeout(200)
        readings.append(page.locator(".scene + output").text_content())
    assert "2" in readings[0]
    assert not any(letter.isdigit() for letter in readings[1])


def test_the_sky_costs_less_than_a_kilobyte(pages: dict[str, Path]) -> None:
    sizes = [len(pages[name].read_bytes()) for name in ("whole", "dropped")]
    assert 0 < sizes[0] - sizes[1] < 1000
