"""Pages of ``--save html``: whole, escaped, and alive in a real browser that is offline."""

import base64
import hashlib
import io
import json
import math
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.geometry.cameras.camera import Camera
from rilievo.pages.photograph import stage_scripts
from rilievo.prediction import Prediction
from rilievo.prediction.saving import SaveOptions, save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from support.browser import CAMERAS, Opened, bare, share_of_pictures, unfold
from support.grids import mostly_slow
from support.predictions import MADE_BY, prediction

HOSTILE = "<script>alert(1)<!-- &lt; \"'.jpg"
HEIGHT, WIDTH = 90, 120
K = np.array([[100.0, 0.0, 59.5], [0.0, 100.0, 44.5], [0.0, 0.0, 1.0]])
COLOURS = {"red": (220, 30, 30), "green": (30, 170, 30), "blue": (30, 30, 220), "white": (245,) * 3}


def quarters(kind: DepthKind = DepthKind.METRIC, name: str = HOSTILE) -> Prediction:
    """A wall that comes nearer to the right, 4 m to 2 m; every quarter has a colour of its own."""
    inverse = np.broadcast_to(np.linspace(1 / 4, 1 / 2, WIDTH), (HEIGHT, WIDTH))
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:45, :60], pixels[:45, 60:] = COLOURS["red"], COLOURS["green"]
    pixels[45:, :60], pixels[45:, 60:] = COLOURS["blue"], COLOURS["white"]
    return replace(
        prediction(name=name),
        made_by=replace(MADE_BY, model="</script><script>alert(2)</script>"),
        depth_or_none=DepthMap(values=(1 / inverse).astype(np.float32), kind=kind),
        normals=None,
        confidence=None,
        sky=None,
        camera=Camera(K=K),
        photo=Photo(pixels=pixels, name=name),
    )


def written(given: Prediction, folder: Path, options: SaveOptions | None = None) -> str:
    [page, _] = save(given, folder / "page", ["html"], options)
    return page.read_text("utf-8")


class Reader(HTMLParser):
    """Elements with their attributes, and the texts of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.elements[-1][0] if self.elements else "", data))

    def text_of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    def pictures(self) -> dict[str, Image.Image]:
        """Pictures by their captions."""
        captions = self.text_of("figcaption")
        sources = [str(each["src"]) for name, each in self.elements if name == "img"]
        files = [base64.b64decode(each.removeprefix("data:image/jpeg;base64,")) for each in sources]
        return dict(zip(captions, (Image.open(io.BytesIO(file)) for file in files), strict=True))


def test_a_page_shows_every_part_there_is(tmp_path: Path) -> None:
    page = Reader(written(prediction(), tmp_path))
    assert list(page.pictures()) == ["Photograph", "Depth", "Normals", "Confidence"]
    assert {each.size for each in page.pictures().values()} == {(32, 24)}
    assert ("canvas", "surface") in [(name, each.get("id")) for name, each in page.elements]


def test_pictures_show_what_they_say(tmp_path: Path) -> None:
    given = prediction(holes=False)
    pictures = Reader(written(given, tmp_path)).pictures()
    assert given.confidence is not None
    assert given.photo is not None
    grey = np.asarray(pictures["Confidence"]).astype(float)
    assert np.abs(grey - 255 * given.confidence).mean() < 12
    depth = np.asarray(pictures["Depth"]).astype(float)
    near, far = depth[0, 0], depth[23, 31]
    assert np.abs(near - far).sum() > 200
    # Near is red, far is blue.
    assert near[0] > near[2]
    assert far[0] < far[2]


@pytest.mark.parametrize(
    ("kind", "words", "ticks"),
    [
        (
            DepthKind.METRIC,
            "Depth in metres: 2 to 4 m.",
            ["4 m", "3.2 m", "2.67 m", "2.29 m", "2 m"],
        ),
        (DepthKind.UP_TO_SCALE, "Not in metres", ["4", "3.2", "2.67", "2.29", "2"]),
        (DepthKind.AFFINE, "Not in metres", ["far", "near"]),
        (DepthKind.AFFINE_INVERSE, "Not in metres", ["far", "near"]),
    ],
)
def test_the_page_says_what_the_numbers_are(
    tmp_path: Path, kind: DepthKind, words: str, ticks: list[str]
) -> None:
    limits = "2,4" if kind.is_depth else None
    page = Reader(written(quarters(kind), tmp_path, SaveOptions(colour_range=limits)))
    texts = [text for _, text in page.texts]
    assert any(text.startswith(words) for text in texts)
    # Even places of a bar of inverse depths: 1/4, 5/16, 3/8, 7/16 and 1/2.
    first = texts.index(ticks[0])
    assert texts[first : first + len(ticks)] == ticks
    assert any("metres" in text and "not in metres" not in text for text in texts)
    assert any(each.get("id") == "surface" for _, each in page.elements) == kind.is_depth
    if not kind.is_depth:
        assert any("--known" in text for text in texts)


@pytest.mark.slow
def test_a_model_of_normals_alone_has_a_page_without_a_surface(tmp_path: Path) -> None:
    page = Reader(written(replace(prediction(), depth_or_none=None, confidence=None), tmp_path))
    assert list(page.pictures()) == ["Photograph", "Normals"]
    assert not any(name == "canvas" for name, _ in page.elements)
    assert any("no depth" in text for _, text in page.texts)


def test_depth_without_an_answer_anywhere_has_a_page_too(tmp_path: Path) -> None:
    shape = (24, 32)
    depth = DepthMap(
        values=np.full(shape, np.nan, np.float32),
        kind=DepthKind.METRIC,
        valid=np.zeros(shape, bool),
    )
    page = Reader(written(replace(prediction(), depth_or_none=depth), tmp_path))
    assert "Depth" in page.pictures()
    assert any("surface is empty" in text for _, text in page.texts)


SUPPORT = "DOMTokenList.prototype.supports = (word) => word === 'ar';"


@pytest.mark.parametrize("kind", [DepthKind.METRIC, DepthKind.UP_TO_SCALE])
@pytest.mark.parametrize("names", [["html"], ["html", "usdz"]])
def test_a_mesh_beside_the_page_stands_in_the_room_only_in_its_own_size(
    tmp_path: Path, kind: DepthKind, names: list[str]
) -> None:
    files = save(quarters(kind), tmp_path / "50% #1", names)
    [page] = [path for path in files if path.suffix == ".html"]
    links = re.findall('<a rel="ar" hidden href="(.*?)"><img [^<>]*></a>', page.read_text("utf-8"))
    wanted = kind is DepthKind.METRIC and "usdz" in names
    assert links == (["50%25%20%231.usdz"] if wanted else [])


@pytest.mark.parametrize("supported", [True, False])
def test_only_where_the_browser_has_quick_look_the_link_is_shown(
    browser: Any, tmp_path: Path, supported: bool
) -> None:
    [page, _, _] = save(quarters(), tmp_path / "page", ["html", "usdz"])
    context = browser.new_context()
    with closing(context):
        if supported:
            context.add_init_script(SUPPORT)
        link = opened(context, page).page.locator("a[rel=ar]")
        link.wait_for(state="visible" if supported else "attached")
        assert link.is_visible() == supported
        assert link.evaluate("(each) => [each.children.length, each.firstChild.nodeName]") == [
            1,
            "IMG",
        ]
        assert (
            link.locator("img").evaluate("(each) => each.decode().then(() => each.naturalWidth)")
            > 0
        )


def test_names_are_text_whatever_they_hold(tmp_path: Path) -> None:
    text = written(quarters(), tmp_path)
    page = Reader(text)
    scripts = [each for name, each in page.elements if name == "script"]
    # JSON, form and data of the surface, terms of measuring; the library and ours.
    assert len(scripts) == 4 + len(stage_scripts())
    assert HOSTILE in "".join(page.text_of("h1"))
    assert "</script><script>alert(2)</script>" in page.text_of("dd")
    assert "<script>alert" not in text


def test_the_policy_allows_the_scripts_of_the_page_and_nothing_else(tmp_path: Path) -> None:
    text = written(quarters(), tmp_path)
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    blocks = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", text, re.S)
    digests = {
        base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks
    }
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == digests
    assert len(digests) == 1 + len(stage_scripts())
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_json_of_the_page_is_that_beside_it(tmp_path: Path) -> None:
    text = written(quarters(), tmp_path)
    inside = json.loads(text.split('id="rilievo">')[1].split("</script>")[0])
    beside = json.loads((tmp_path / "page.json").read_text())
    assert inside["source"]["file"] == beside["source"]["file"]
    for facts in beside["files"]:  # which no file can say of itself
        assert facts.pop("bytes") == (tmp_path / facts["file"]).stat().st_size
        assert facts.pop("sha256")
    assert inside["files"] == beside["files"]
    assert inside["files"][0]["surface"]["points"] == HEIGHT * WIDTH


def test_the_licence_of_the_library_is_on_every_page_that_has_it(tmp_path: Path) -> None:
    assert "free and unencumbered software" in written(quarters(), tmp_path)
    affine = written(quarters(DepthKind.AFFINE, "other.jpg"), tmp_path / "affine")
    assert "free and unencumbered software" not in affine
    assert "var OGL" not in affine


def test_a_page_of_a_large_photograph_stays_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    v, u = np.mgrid[:768, :768].astype(np.float32)
    depth = 2 + np.sin(u / 40) * np.cos(v / 60) + rng.normal(0, 0.002, u.shape).astype(np.float32)
    noise = Image.fromarray(rng.integers(0, 256, (192, 192, 3), np.uint8)).resize((768, 768))
    given = replace(
        quarters(),
        depth_or_none=DepthMap(values=depth, kind=DepthKind.METRIC),
        photo=Photo(pixels=np.asarray(noise), name="noise.jpg"),
    )
    assert len(written(given, tmp_path)) < 3_000_000


def test_the_same_prediction_makes_the_same_page(tmp_path: Path) -> None:
    assert written(quarters(), tmp_path / "a") == written(quarters(), tmp_path / "b")


def test_a_folder_of_photographs_becomes_a_page_each(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (64, 48), (90, 120, 30)).save(tmp_path / f"photos/{name}.png")
    folder = tmp_path / "out"
    assert main(["predict", str(tmp_path / "photos"), "--save", "html", "-o", str(folder)]) == 0
    assert sorted(path.name for path in folder.rglob("*.html")) == ["a.html", "b.html"]


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the four quarters."""
    folder = tmp_path_factory.mktemp("page")
    written(quarters(), folder)
    return folder / "page.html"


@pytest.fixture
def shown(browser: Any, page_path: Path) -> Iterator[Opened]:
    """Open the page on a desktop without a network, and wait for the surface."""
    viewport = {"width": 960, "height": 800}
    with context_of(browser, viewport=viewport, reduced_motion="reduce") as context:
        yield opened(context, page_path)


def context_of(browser: Any, **options: object) -> "closing[Any]":
    """A window without a network, which is closed at the end, also of a test that fails."""
    return closing(browser.new_context(offline=True, **options))


def opened(context: Any, path: Path) -> Opened:
    found = Opened(context, path)
    found.page.wait_for_selector("#surface-state", state="hidden")
    return found


def seen(shown: Opened) -> np.ndarray:
    """The canvas when it has come to rest."""
    before = None
    for _ in range(200):
        now = shown.page.locator("#surface").screenshot()
        if now == before:
            return pixels_of(now)
        before = now
        shown.page.wait_for_timeout(60)
    raise AssertionError("the surface does not come to rest")


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def differing(one: np.ndarray, other: np.ndarray) -> float:
    """Share of pixels that changed."""
    return float((np.abs(one - other).max(axis=2) > 24).mean())


def test_the_page_opens_from_disk_and_asks_for_nothing(shown: Opened, page_path: Path) -> None:
    dialogs: list[str] = []
    shown.page.on("dialog", lambda each: dialogs.append(each.message))
    assert HOSTILE in shown.page.title()
    assert len(np.unique(seen(shown).reshape(-1, 3), axis=0)) > 20
    assert [url for url in shown.asked if not url.startswith("data:")] == [page_path.as_uri()]
    assert shown.complaints == []
    assert dialogs == []


def test_from_the_camera_the_surface_is_the_photograph(shown: Opened) -> None:
    picture = seen(shown)
    height, width, _ = picture.shape
    places = {"red": (3, 3), "green": (3, 5), "blue": (5, 3), "white": (5, 5)}
    for name, (row, column) in places.items():
        colour = picture[height * row // 8, width * column // 8]
        assert np.abs(colour - COLOURS[name]).max() < 30, name


@pytest.mark.slow
def test_mouse_wheel_and_keys_turn_shift_and_zoom_and_reset_goes_back(
    shown: Opened,
) -> None:
    page, first = shown.page, seen(shown)
    box = page.locator("#surface").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(button: str) -> None:
        page.mouse.move(*middle)
        page.mouse.down(button=button)
        page.mouse.move(middle[0] + 80, middle[1] + 30, steps=4)
        page.mouse.up(button=button)

    def press(*keys: str) -> None:
        page.focus("#surface")
        for key in keys:
            page.keyboard.press(key)

    actions = (
        lambda: drag("left"),
        lambda: drag("right"),
        lambda: page.mouse.wheel(0, 400),
        lambda: press("ArrowRight", "ArrowRight", "ArrowUp"),
        lambda: press("Shift+ArrowLeft", "Shift+ArrowLeft"),
        lambda: press("-", "-", "-"),
    )
    before = first
    for action in actions:
        page.mouse.move(*middle)
        action()
        after = seen(shown)
        assert differing(before, after) > 0.03
        before = after
    page.click("#camera")
    assert differing(first, seen(shown)) < 0.005
    press("ArrowLeft", "0")
    assert differing(first, seen(shown)) < 0.005


@pytest.mark.slow
def test_a_grid_lies_below_a_surface_that_is_turned(shown: Opened) -> None:
    shown.page.click("#camera")
    before = seen(shown)
    press(shown, "ArrowUp", 1)
    press(shown, "ArrowRight", 2)
    steps = [np.abs(np.diff(picture[-8:], axis=1)).max() for picture in (before, seen(shown))]
    assert steps[0] < 8, "the photograph's own camera sees the photograph alone"
    assert steps[1] > 20


def press(shown: Opened, key: str, times: int) -> None:
    shown.page.focus("#surface")
    for _ in range(times):
        shown.page.keyboard.press(key)


@pytest.mark.slow
def test_turning_is_held_until_it_is_freed(shown: Opened) -> None:
    press(shown, "ArrowRight", 7)
    held = seen(shown)
    press(shown, "ArrowRight", 3)
    assert differing(held, seen(shown)) < 0.005
    shown.page.evaluate("document.getElementById('free').click()")
    press(shown, "ArrowRight", 3)
    assert differing(held, seen(shown)) > 0.03
    shown.page.evaluate("document.getElementById('free').click()")
    assert differing(held, seen(shown)) < 0.01
    assert shown.complaints == []


def flip(shown: Opened) -> None:
    """Change whether the page fills behind edges; its menu stays closed."""
    shown.page.evaluate("document.getElementById('backing').click()")


GAPS = """
const next = window.requestAnimationFrame;
window.gaps = [];
window.requestAnimationFrame = (act) => next((time) => {
  act(time);
  const gl = document.getElementById("surface").getContext("webgl2");
  const { drawingBufferWidth: width, drawingBufferHeight: height } = gl;
  const row = new Uint8Array(4 * width);
  gl.readPixels(0, height >> 1, width, 1, gl.RGBA, gl.UNSIGNED_BYTE, row);
  const solid = Array.from(row.filter((_, at) => at % 4 === 3), (each) => each > 250);
  const inner = solid.slice(solid.indexOf(true), solid.lastIndexOf(true));
  gaps.push(inner.length ? inner.filter((each) => !each).length : -1);
});
"""
"""Clear pixels of the canvas's middle row between the surface's ends, in each frame."""


@pytest.mark.slow
def test_far_surfaces_go_on_behind_near_ones_from_the_start(browser: Any, tmp_path: Path) -> None:
    """The left half of the wall is twice as near."""
    given = quarters()
    values = given.depth.values.copy()
    values[:, : values.shape[1] // 2] /= 2
    written(replace(given, depth_or_none=replace(given.depth, values=values)), tmp_path)
    with context_of(browser, reduced_motion="reduce") as context:
        context.add_init_script(GAPS)
        shown = opened(context, tmp_path / "page.html")
        assert shown.page.is_checked("#backing")
        assert set(shown.page.evaluate("gaps")) == {0}
        for way in ("ArrowRight", "ArrowLeft"):
            press(shown, way, 4)
            filled = seen(shown)
            flip(shown)
            hidden = differing(filled, seen(shown))
            flip(shown)
            assert differing(filled, seen(shown)) < 0.001
            if hidden > 0.005:
                break
        assert hidden > 0.005
        assert shown.complaints == []


@pytest.mark.slow
def test_the_wheel_scrolls_the_page_until_the_surface_is_clicked(shown: Opened) -> None:
    first, box = seen(shown), shown.page.locator("#surface").bounding_box()
    shown.page.mouse.move(box["x"] + 20, box["y"] + 20)
    shown.page.mouse.wheel(0, 200)
    for _ in range(600):  # the page's policy forbids what Playwright's own waiting evaluates
        if shown.page.evaluate("scrollY") > 0:
            break
        shown.page.wait_for_timeout(50)
    assert shown.page.evaluate("scrollY") > 0
    shown.page.evaluate("scrollTo(0, 0)")
    assert differing(first, seen(shown)) < 0.005
    shown.page.mouse.click(box["x"] + 20, box["y"] + 20)
    shown.page.mouse.wheel(0, 400)
    assert differing(first, seen(shown)) > 0.03
    assert shown.page.evaluate("scrollY") == 0


@pytest.mark.slow
def test_the_pointer_reads_depth_on_the_surface_too(shown: Opened) -> None:
    """The wall's middle is at the photograph's: 1/depth is 3/8 there."""
    box = shown.page.locator("#surface").bounding_box()
    shown.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    reading = shown.page.locator(".scene + output")
    reading.filter(has_text="depth here").wait_for()
    words = re.findall(r"depth here: ([\d.]+) m", reading.inner_text())
    assert float(words[0]) == pytest.approx(8 / 3, rel=0.03)


@pytest.mark.parametrize(
    ("ratio", "size"), mostly_slow([0.67, 1.0, 1.5, 1.78, 2.4], [(1280, 800), (390, 844)])
)
def test_pictures_fill_the_window(
    browser: Any, tmp_path: Path, size: tuple[int, int], ratio: float
) -> None:
    height, width = 80, round(80 * ratio)
    given = replace(
        quarters(),
        depth_or_none=DepthMap(
            values=np.full((height, width), 2, np.float32), kind=DepthKind.METRIC
        ),
        photo=Photo(pixels=np.full((height, width, 3), 90, np.uint8)),
    )
    written(given, tmp_path)
    viewport = {"width": size[0], "height": size[1]}
    with context_of(browser, viewport=viewport, reduced_motion="reduce") as context:
        page = opened(context, tmp_path / "page.html").page
        # A phone shows the pictures in the place of the surface, and not below it.
        is_phone = size[0] < size[1]
        assert share_of_pictures(page) > (0.45 if is_phone else 0.7)
        stage = page.locator(".stage").bounding_box()
        assert stage["width"] / stage["height"] == pytest.approx(width / height, rel=0.02)
        surface = page.locator("#surface").bounding_box()
        for each in (stage, surface):
            assert each["y"] + each["height"] <= size[1]
        assert not is_phone or surface["width"] == size[0]


@pytest.mark.slow
def test_words_of_buttons_are_on_one_line_in_windows_of_all_shapes(
    browser: Any, page_path: Path
) -> None:
    with context_of(browser, reduced_motion="reduce") as context:
        page = opened(context, page_path).page
        for width, height in ((1280, 800), (800, 400), (844, 390), (480, 600), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(200)
            for button in page.locator("#measure button:visible").all():
                assert button.bounding_box()["height"] < 40, (width, height, button.inner_text())


def one_second_apart(context: Any, path: Path) -> list[np.ndarray]:
    """Two pictures of the surface, by a clock that goes only when it is told to."""
    context.clock.install(time=0)
    context.clock.pause_at(1)
    page = Opened(context, path).page
    for _ in range(600):
        if page.locator("#surface-state").is_hidden():
            break
        page.clock.run_for(20)
        page.wait_for_timeout(100)
    else:
        raise AssertionError("the surface is not made")
    shots = []
    for milliseconds in (200, 1000):
        # A jump and a few frames: without a graphics card, sixty frames take long.
        page.clock.fast_forward(milliseconds)
        page.clock.run_for(50)
        shots.append(pixels_of(page.locator("#surface").screenshot()))
    return shots


@pytest.mark.slow
@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_it_sways_unless_motion_is_unwelcome(browser: Any, page_path: Path, motion: str) -> None:
    viewport = {"width": 320, "height": 500}
    with context_of(browser, viewport=viewport, reduced_motion=motion) as context:
        moved = differing(*one_second_apart(context, page_path))
    assert moved == 0 if motion == "reduce" else moved > 0.01


def test_shape_and_points_are_shown_without_the_photograph_and_thinned(
    shown: Opened,
) -> None:
    unfold(shown.page, "#surface-controls .menu")
    shown.page.check("input[value=shape]")
    bare(shown.page)
    shape = seen(shown)
    assert (shape.max(axis=2) - shape.min(axis=2)).max() < 40  # grey, whatever the photograph
    shown.page.evaluate("document.querySelector('input[value=points]').click()")
    points = seen(shown)
    assert (points.max(axis=2) - points.min(axis=2)).max() > 150
    assert shown.complaints == []


def test_the_pointer_reads_depth_and_the_slider_parts_the_pictures(
    shown: Opened,
) -> None:
    box = shown.page.locator(".stage").bounding_box()
    # Pixel (90, 20); 1/depth rises evenly from 1/4 over 119 steps to 1/2: 2.278 m.
    shown.page.mouse.move(
        box["x"] + box["width"] * 90.5 / WIDTH, box["y"] + box["height"] * 20.5 / HEIGHT
    )
    assert shown.page.locator("#reading").inner_text() == "column 90, row 20: 2.28 m"
    # A drag goes on outside of the picture, whose pixels end at its edge.
    shown.page.evaluate(
        """() => {
          const stage = document.querySelector(".stage"), box = stage.getBoundingClientRect();
          stage.dispatchEvent(new PointerEvent("pointermove",
            { clientX: box.right + 500, clientY: box.bottom + 500 }));
        }"""
    )
    words = shown.page.locator("#reading").inner_text()
    column, row = map(int, re.findall(r"(?:column|row) (\d+)", words))
    assert (column, row) == (WIDTH - 1, HEIGHT - 1)
    slider = shown.page.locator(".stage input")
    slider.focus()
    slider.press("End")
    cut = shown.page.evaluate("document.querySelector('.stage').style.getPropertyValue('--cut')")
    assert cut == "100%"


@pytest.mark.parametrize(("size", "is_turned"), [((390, 844), True), ((1280, 800), False)])
def test_a_page_begins_with_the_surface_turned_on_a_phone_alone(
    browser: Any, page_path: Path, size: tuple[int, int], is_turned: bool
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    with context_of(browser, viewport=viewport, reduced_motion="reduce") as context:
        context.add_init_script(CAMERAS)
        page = opened(context, page_path).page
        right = page.evaluate("Math.asin(globalThis.cameras[0][8])")
    assert (abs(math.degrees(right)) > 5) is is_turned


def test_a_phone_turns_the_surface_with_a_finger(browser: Any, page_path: Path) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with context_of(browser, **phone, reduced_motion="reduce") as context:
        shown = opened(context, page_path)
        page = shown.page
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.locator("#surface").scroll_into_view_if_needed()
        first, box = seen(shown), page.locator("#surface").bounding_box()
        session = context.new_cdp_session(page)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind, shift in (("touchStart", 0), ("touchMove", 30), ("touchMove", 60)):
            points = [{"x": x + shift, "y": y}]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert differing(first, seen(shown)) > 0.03
        assert shown.complaints == []


def test_without_scripts_the_pictures_and_the_facts_are_there(
    browser: Any, page_path: Path
) -> None:
    with context_of(browser, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(page_path.as_uri())
        for part in ("#photo", "#depth", "dl"):
            assert page.locator(part).is_visible()
        state = page.locator("#surface-state").inner_text()
        assert state.endswith("needs JavaScript and WebGL 2.")
