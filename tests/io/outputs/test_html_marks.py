"""Marks in the address of a page: lines, known lengths, view and picture, whoever opens it."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.geometry.cameras.camera import Camera
from rilievo.prediction.saving import save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from support.browser import Opened, bare
from support.predictions import prediction

HEIGHT, WIDTH = 90, 120
K = np.array([[100.0, 0.0, 59.5], [0.0, 100.0, 44.5], [0.0, 0.0, 1.0]])
NASTY = (
    "m=l0,0,1e9,1",
    "m=l-1,0,5,5",
    "m=l10,10,500,20",
    "m=l1,2,3",
    "m=l1,2,3,4~-1",
    "m=l1,2,3,4~9999999999",
    "m=h1,2~3",
    "m=x1,2,3,4",
    "m=l1,2,3,4~0.5~0.6",
    "m=a1,1,2,2",
    "m=l<img src=x onerror=alert(1)>,2,3,4",
    "v=1,2,3,4,5,6,NaN",
    "v=1,2,3",
    "v=999999,0,0,0,0,-1,0",
    "o=999",
    "o=abc",
    "t=-1",
    "t=9",
    "c=1e3",
    "c=200",
    "__proto__=1&constructor=2",
    "m=" + ";".join(["l1,1,2,2"] * 900),
    "%",
    "&&&===",
)
"""Fragments that nobody's page wrote."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A wall that comes nearer to the right, in colours, without metres."""
    inverse = np.broadcast_to(np.linspace(1 / 4, 1 / 2, WIDTH), (HEIGHT, WIDTH))
    pixels = np.random.default_rng(1).integers(0, 255, (9, 12, 3), np.uint8)
    given = replace(
        prediction(name="wall.jpg"),
        depth_or_none=DepthMap(values=(1 / inverse).astype(np.float32), kind=DepthKind.UP_TO_SCALE),
        confidence=None,
        normals=None,
        sky=None,
        camera=Camera(K=K),
        photo=Photo(pixels=pixels.repeat(10, 0).repeat(10, 1), name="wall.jpg"),
    )
    path = tmp_path_factory.mktemp("page") / "wall"
    save(given, path, ["html"])
    return path.with_suffix(".html").as_uri()


class Tab:
    """A fresh profile with the page open."""

    def __init__(self, browser: Any, address: str) -> None:
        self.context = browser.new_context(
            viewport={"width": 1280, "height": 800}, offline=True, reduced_motion="reduce"
        )
        opened = Opened(self.context, address)
        self.page, self.complaints = opened.page, opened.complaints
        self.page.wait_for_selector("#surface-state", state="hidden")

    def readings(self) -> list[str]:
        return self.page.locator("#lines output").all_inner_texts()

    def surface(self) -> np.ndarray:
        """The surface alone, at rest."""
        bare(self.page)
        self.page.evaluate("document.activeElement.blur()")
        before = b""
        for _ in range(100):
            now = self.page.locator(".solid").screenshot()
            if now == before:
                break
            before = now
            self.page.wait_for_timeout(60)
        return np.asarray(Image.open(io.BytesIO(before)).convert("RGB")).astype(int)


def test_a_copied_address_shows_the_same_lines_and_the_same_view(
    browser: Any, address: str
) -> None:
    mine = Tab(browser, address)
    page = mine.page
    assert "#" not in page.url, "a page that nobody touched keeps its address"
    page.click("#add-line")
    page.locator("#lines input").fill("0.46")
    page.locator("#lines input").press("Enter")
    page.click("#add-line")
    handle = page.locator(".scene [aria-label^='End B of line 2'] .over").bounding_box()
    page.mouse.move(handle["x"] + 8, handle["y"] + 8)
    page.mouse.down()
    page.mouse.move(handle["x"] + 31, handle["y"] + 19, steps=3)
    page.mouse.up()
    page.click("#add-area")
    page.focus("#surface")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "+"):
        page.keyboard.press(key)
    page.locator(".stage input").press("End")
    picture = mine.surface()
    page.wait_for_timeout(600)
    other = Tab(browser, page.url)
    assert other.readings() == mine.readings()
    assert other.readings()[0] == "0.46 m, known"
    assert len(other.readings()) == 3
    assert other.page.locator(".stage input").input_value() == "100"
    assert (np.abs(other.surface() - picture).max(axis=2) > 40).mean() < 1e-4
    plain = Tab(browser, address)
    assert (np.abs(plain.surface() - picture).max(axis=2) > 40).mean() > 0.05
    other.page.wait_for_timeout(500)
    assert other.page.url == page.url, "who looks changes nothing"
    for each in (mine, other, plain):
        assert each.complaints == []
        each.context.close()


def test_fragments_of_strangers_are_left_out(browser: Any, address: str) -> None:
    tab = Tab(browser, address)
    for fragment in NASTY:
        tab.page.evaluate("(text) => { location.hash = text; }", fragment)
        tab.page.wait_for_timeout(30)
        assert tab.readings() == [], fragment
        assert tab.page.locator(".stage .lines circle").count() == 0
    tab.page.evaluate("location.hash = 'm=l1,1,9,9;' + 'h5,5;'.repeat(100)")
    tab.page.wait_for_timeout(100)
    assert len(tab.readings()) == 40
    assert tab.page.locator("#lines img").count() == 0
    assert tab.complaints == []
    tab.context.close()
    fresh = Tab(browser, f"{address}#{NASTY[10]}&m=l10,10,50,50~0.5")
    assert fresh.readings() == ["0.5 m, known"]
    assert fresh.complaints == []
    fresh.context.close()
