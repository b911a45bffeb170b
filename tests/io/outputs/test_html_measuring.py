"""Measuring on a page of ``--save html``, in a real browser, against ``prediction.measure``."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rilievo.calibration.sizes import Known, KnownLength, KnownPoint, KnownRectangle
from rilievo.errors import OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.measure.expected_errors import known_size_evidence
from rilievo.measure.measurement_records import measure_points
from rilievo.measure.measurements import Measurement
from rilievo.predicting.metres.fitting import convert_by_references
from rilievo.predicting.metres.metric_references import MetricReferences
from rilievo.prediction import Prediction
from rilievo.prediction.saving import save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.instruments import DepthError, DepthSource, make_instrument
from rilievo.records.prediction_record import Calibration
from rilievo.records.sample import Photo
from support.browser import Opened, chromium
from support.grids import mostly_slow
from support.predictions import prediction

HEIGHT, WIDTH = 90, 120
K = np.array([[100.0, 0.0, 59.5], [0.0, 100.0, 44.5], [0.0, 0.0, 1.0]])


def two_walls() -> Prediction:
    """Walls without metres: the left one comes nearer to the right, the right one stands behind."""
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    inverse = np.where(u < 60, 0.4 + 0.002 * u + 0.0005 * v, 0.2)
    return replace(
        prediction(),
        depth_or_none=DepthMap(values=(1 / inverse).astype(np.float32), kind=DepthKind.UP_TO_SCALE),
        normals=None,
        confidence=None,
        sky=None,
        camera=Camera(K=K),
        photo=Photo(pixels=np.full((HEIGHT, WIDTH, 3), 90, np.uint8), name="walls.jpg"),
    )


def room() -> Prediction:
    """A floor 1.2 below the camera and a wall 4 before it, in an unknown unit."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    K = np.array([[70.0, 0.0, 59.5], [0.0, 70.0, 44.5], [0.0, 0.0, 1.0]])
    floor = 1.2 * 70 / np.maximum(v - 44.5, 1e-3)
    depth = np.minimum(floor, 4 + 0.005 * u).astype(np.float32)
    return two_walls().but(
        depth_or_none=DepthMap(values=depth, kind=DepthKind.UP_TO_SCALE), camera=Camera(K=K)
    )


def by_python(known: KnownLength, *ends: tuple[int, int]) -> str:
    metric, _ = convert_by_references(two_walls(), MetricReferences(known=(known,)))
    return metric.measure(*ends).text


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def opened(browser: Any, path: Path, size: tuple[int, int] = (960, 800)) -> Any:
    """A page from disk, offline, in a window of this width and height."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, offline=True, reduced_motion="reduce"
    )
    context.set_default_timeout(120_000)
    found = Opened(context, path)
    found.page.wait_for_selector("#surface-state", state="hidden")
    assert found.complaints == []
    return found.page


@pytest.fixture(scope="module")
def loaded(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page of the two walls."""
    path = tmp_path_factory.mktemp("page") / "walls"
    save(two_walls(), path, ["html"])
    return opened(browser, path.with_suffix(".html"))


@pytest.fixture
def page(loaded: Any) -> Any:
    """The same page without lines."""
    while loaded.locator("#lines button").count():
        loaded.locator("#lines [aria-label^=Remove]").last.click()
    return loaded


def readings(page: Any) -> list[str]:
    return page.locator("#lines output").all_inner_texts()


def written_on(page: Any, where: str) -> list[str]:
    return [each.text_content() for each in page.locator(f"{where} .lines text").all()]


def test_a_known_length_measured_again_is_the_known_one(browser: Any, tmp_path: Path) -> None:
    """The line begins where a new one does; another one, beside it, has a wide range."""
    known = KnownLength(u1=42, v1=45, u2=78, v2=45, metres=0.5)
    metric, _ = convert_by_references(two_walls(), MetricReferences(known=(known,)))
    save(metric, tmp_path / "walls", ["html"])
    page = opened(browser, tmp_path / "walls.html")
    page.click("#add-line")
    page.click("#add-line")
    assert (
        readings(page)[0] == "0.500 m (0.500 to 0.500)" == metric.measure((42, 45), (78, 45)).text
    )
    assert readings(page)[1] == metric.measure((42, 53), (78, 53)).text


def metres_at(page: Any, u: float, v: float) -> float:
    """Depth [m] that the page tells under the pointer."""
    page.evaluate("scrollTo(0, 0)")
    box = page.locator(".stage").bounding_box()
    page.mouse.move(
        box["x"] + box["width"] * (u + 0.5) / WIDTH, box["y"] + box["height"] * (v + 0.5) / HEIGHT
    )
    words = page.locator("#reading").inner_text()
    assert words.endswith(" m")
    return float(words.split()[-2])


def test_a_known_rectangle_gives_the_metres_of_python(page: Any) -> None:
    """The area begins on the right wall, 1.5 by 0.85 of its unit, and is twice as large."""
    page.click("#add-area")
    page.click("#add-line")
    field = page.locator("#lines input").first
    for text, sides in (("300cm x 1.7 m", (3, 1.7)), ("9.5 x 5.6ft", (2.8956, 1.70688))):
        field.fill(text)
        field.press("Enter")
        known = KnownRectangle(corners=((74, 14), (104, 14), (104, 31), (74, 31)), sides=sides)
        metric, _ = convert_by_references(two_walls(), MetricReferences(known=(known,)))
        assert readings(page)[0].endswith(", known")
        assert metres_at(page, 100, 70) == pytest.approx(metric.depth[70, 100], rel=2e-3)
    field.fill("75 apples")
    field.press("Enter")
    assert "such as 90cm x 2.1m" in page.locator("#measure-words").inner_text()
    field.fill("")
    field.press("Enter")
    assert readings(page)[1] == "length not known"


@pytest.mark.parametrize("height", [0.0, 0.4, 1.0, -0.4])
def test_what_stands_on_a_known_rectangle_does_not_change_the_metres(
    browser: Any, tmp_path: Path, height: float
) -> None:
    """The rectangle lies on the right wall, 5 before the camera, with a block on its middle."""
    given = two_walls()
    values = given.depth.values.copy()
    values[22:42, 84:104] = 5 - height
    given = given.but(depth_or_none=DepthMap(values=values, kind=DepthKind.UP_TO_SCALE))
    save(given, tmp_path / "walls", ["html"])
    page = opened(browser, tmp_path / "walls.html")
    corners = ((74, 14), (114, 14), (114, 50), (74, 50))
    named = ",".join(f"{number}" for corner in corners for number in corner)
    page.evaluate(f"location.hash = 'm=a{named}~4,3.6'")
    page.locator("#lines output").first.wait_for()
    known = KnownRectangle(corners=corners, sides=(4, 3.6))
    metric, _ = convert_by_references(given, MetricReferences(known=(known,)))
    assert metric.depth[80, 110] == pytest.approx(10, rel=1e-3)
    assert metres_at(page, 110, 80) == pytest.approx(10, rel=2e-3)


@pytest.mark.parametrize(("first", "sides"), [(0, "2.97,2.1"), (1, "2.97,2.1"), (0, "5,3")])
def test_a_rectangle_at_a_slant_is_the_same_whichever_corner_is_first(
    page: Any, first: int, sides: str
) -> None:
    """The rectangle lies in the left wall, 0.8 of its unit long."""
    normal = np.array([0.2, 0.05, 0.4 + 0.002 * 59.5 + 0.0005 * 44.5])
    long, short = map(float, sides.split(","))
    across = np.cross([0, 1, 0], normal) / np.linalg.norm(np.cross([0, 1, 0], normal))
    down = np.cross(normal, across) / np.linalg.norm(normal)
    ray = np.array([(8 - 59.5) / 100, (15 - 44.5) / 100, 1])
    start = ray / (normal @ ray)
    short = 0.8 * short / long
    right, below = 0.8 * across, short * down
    corners = [start, start + right, start + right + below, start + below]
    pixels = [(100 * x / z + 59.5, 100 * y / z + 44.5) for x, y, z in corners]
    assert all(0 <= u < 60 and 0 <= v < HEIGHT for u, v in pixels)
    pixels = pixels[first:] + pixels[:first]
    named = ",".join(f"{at:.2f}" for pixel in pixels for at in pixel)
    page.evaluate(f"location.hash = 'm=a{named}~{sides}'")
    page.locator("#lines output").first.wait_for()
    assert metres_at(page, 100, 70) == pytest.approx(5 * long / 0.8, rel=5e-3)


def test_known_lengths_and_dragged_ends_give_the_metres_of_python_until_they_are_undone(
    page: Any,
) -> None:
    page.click("#add-line")
    end(page, ".stage", "B of line 1").press("Shift+ArrowLeft")
    end(page, ".stage", "B of line 1").press("Shift+ArrowLeft")
    page.click("#add-line")
    assert readings(page)[0] == "length not known"
    assert readings(page)[1].endswith("× line 1")
    first, second = ((42, 45), (58, 45)), ((42, 53), (78, 53))
    fields = page.locator("#lines input")
    fields.nth(0).fill("0,5")
    fields.nth(0).press("Enter")
    one = KnownLength(u1=42, v1=45, u2=58, v2=45, metres=0.5)
    now = ["0.5 m, known", by_python(one, *second)]
    assert readings(page) == now
    assert written_on(page, ".stage") == [f"{at + 1}: {text}" for at, text in enumerate(now)]
    assert written_on(page, ".scene") == written_on(page, ".stage")
    # A length of another line replaces it, and is taken back by key and by button.
    fields.nth(1).fill("door")
    fields.nth(1).press("Enter")
    other = KnownLength(u1=42, v1=53, u2=78, v2=53, metres=2.0)
    assert readings(page) == [by_python(other, *first), "2 m, known"]
    assert fields.nth(0).input_value() == ""
    fields.nth(1).fill("no length")
    fields.nth(1).press("Enter")
    assert "positive number of metres" in page.locator("#measure-words").inner_text()
    fields.nth(1).fill("2")
    page.click("h1")
    page.keyboard.press("Control+z")
    assert readings(page) == now
    page.click("#undo")
    assert readings(page)[0] == "length not known"
    fields.nth(0).fill("80")
    fields.nth(0).press("Enter")
    for where in (".stage", ".scene"):
        drag_and_undo(page, where)


@pytest.mark.parametrize("known", [None, KnownLength(u1=42, v1=45, u2=78, v2=45, metres=3)])
def test_heights_areas_and_angles_are_those_of_python(
    browser: Any, tmp_path: Path, known: KnownLength | None
) -> None:
    given = (
        room() if known else convert_by_references(room(), MetricReferences(camera_height=1.5))[0]
    )
    save(given, tmp_path / "room", ["html"])
    page = opened(browser, tmp_path / "room.html")
    if known:
        page.click("#add-line")
        page.locator("#lines input").fill("3")
        page.locator("#lines input").press("Enter")
    metric = convert_by_references(room(), MetricReferences(known=(known,)))[0] if known else given
    page.click("#add-height")
    end(page, ".stage", "A of height", "Point").press("Shift+ArrowLeft")
    at = place(end(page, ".stage", "A of height", "Point"))
    check(page, measure_points(metric, [at], "height"))
    page.click("#add-area")
    page.click("text=More corners")
    column = int(end(page, ".stage", "E of area", "Corner").get_attribute("aria-valuenow"))
    corners = [place(end(page, ".stage", f"{each} of area", "Corner")) for each in "ABCD"]
    corners.append((column, (corners[0][1] + corners[3][1]) / 2))
    check(page, measure_points(metric, corners, "area"))
    page.click("text=Fewer")
    check(page, measure_points(metric, corners[:4], "area"))
    rows_down = (corners[3][1] - corners[0][1]) // 10 + 1
    for _ in range(rows_down):
        end(page, ".stage", "A of area", "Corner").press("Shift+ArrowDown")
    crossed = [place(end(page, ".stage", f"{each} of area", "Corner")) for each in "ABCD"]
    with pytest.raises(OptionError, match="crosses"):
        measure_points(metric, crossed, "area")
    assert "its sides cross" in readings(page)[-1]
    page.click("#add-angle")
    for _ in range(4):
        end(page, ".stage", "B of angle", "Point").press("Shift+ArrowDown")
    ends = [place(end(page, ".stage", f"{each} of angle", "Point")) for each in "AB"]
    check(page, measure_points(metric, ends, "angle"))
    assert written_on(page, ".scene") == written_on(page, ".stage")
    page.keyboard.press("Control+z")
    assert place(end(page, ".stage", "B of angle", "Point")) != ends[1]
    page.keyboard.press("Control+Shift+z")
    assert place(end(page, ".stage", "B of angle", "Point")) == ends[1]
    assert page.locator("#redo").is_disabled()


def check(page: Any, expected: Measurement) -> None:
    assert re.sub(", not flat$", "", readings(page)[-1]) == str(expected)
    assert (", not flat" in readings(page)[-1]) == any(
        "flat" in remark for remark in expected.remarks
    )


def place(handle: Any) -> tuple[int, int]:
    """Column and row of a point that lies on a pixel."""
    column, row = re.findall(r"\d+", handle.get_attribute("aria-valuetext"))[:2]
    return int(column), int(row)


def end(page: Any, where: str, name: str, kind: str = "End") -> Any:
    return page.locator(f"{where} [aria-label^='{kind} {name}']")


def middle(handle: Any) -> tuple[float, float]:
    box = handle.locator(".over").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def wait_for_frames(page: Any) -> None:
    """Wait until the place of the pointer has been followed."""
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def test_five_lines_leave_a_small_window_its_photograph_and_have_one_row_each(
    browser: Any, tmp_path: Path
) -> None:
    save(two_walls(), tmp_path / "walls", ["html"])
    page = opened(browser, tmp_path / "walls.html", (390, 844))
    page.get_by_role("button", name="Photograph").click()
    first = page.locator(".stage").bounding_box()
    page.mouse.move(first["x"] + 9, first["y"] + 9)
    assert page.locator("#reading").inner_text().startswith("column ")
    page.evaluate("for (let at = 0; at < 5; at++) document.getElementById('add-line').click()")
    page.locator("#lines input").first.fill("0.46")
    page.locator("#lines input").first.press("Enter")
    for size, width in (((390, 844), 390), ((360, 740), 360), ((844, 390), 328)):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        wait_for_frames(page)
        assert page.locator(".stage").bounding_box()["width"] == width, size
        assert page.evaluate(OUT_OF_PLACE) == [], size
    page.set_viewport_size({"width": 390, "height": 844})
    wait_for_frames(page)
    page.evaluate("scrollTo(0, 0)")
    assert page.locator(".stage").bounding_box() == first


def test_labels_of_many_things_lie_on_nothing_else_and_inside_the_picture(page: Any) -> None:
    places = "l42,45,78,45;l42,45,78,46;l43,45,78,45;h60,44;g42,44,78,44"
    page.evaluate(f"location.hash = 'm={places}'")
    page.locator("#lines li").nth(4).wait_for()
    for where in (".stage", ".scene"):
        assert page.evaluate(CROWDED, where) == []
    leaders = "[...document.querySelectorAll('.leader')].filter((each) => !each.style.display)"
    assert page.evaluate(f"{leaders}.length")


CROWDED = """(where) => {
    const boxes = [...document.querySelectorAll(`${where} .lines text`)]
        .map((each) => [each.textContent, each.getBoundingClientRect()]);
    const whole = document.querySelector(where).getBoundingClientRect();
    const isOn = (one, other) => one.left < other.right && other.left < one.right
        && one.top < other.bottom - 3 && other.top < one.bottom - 3;
    const isOut = (one) => one.left < whole.left || one.right > whole.right
        || one.top < whole.top || one.bottom > whole.bottom;
    return boxes.flatMap(([text, box], at) => [
        ...(isOut(box) ? [text] : []),
        ...boxes.slice(at + 1).filter(([, other]) => isOn(box, other)).map(([other]) => other),
    ]);
}"""
"""Labels that lie on another one, or outside the picture."""


OUT_OF_PLACE = """() => {
    const box = (each) => each.getBoundingClientRect();
    const middle = (each) => (box(each).top + box(each).bottom) / 2;
    const isInside = (one, other) => one.left >= other.left - 1 && one.right <= other.right + 1
        && one.top >= other.top - 1 && one.bottom <= other.bottom + 1;
    const found = [];
    for (const row of document.querySelectorAll("#lines li")) {
        for (const each of row.querySelectorAll("output, input, button")) {
            const off = Math.abs(middle(each) - middle(row));
            if (off > 2 || !isInside(box(each), box(row))) found.push(each.outerHTML);
        }
        const field = row.querySelector("input"), { value } = field;
        field.value = field.placeholder;
        if (field.scrollWidth > field.clientWidth) found.push(field.placeholder);
        field.value = value;
    }
    const stage = box(document.querySelector(".stage"));
    for (const each of document.querySelectorAll(".stage .lines text")) {
        if (!isInside(box(each), stage)) found.push(each.textContent);
    }
    return found;
}"""
"""Parts that are cut off, or outside the row of their line."""


@pytest.mark.slow
def test_an_end_dragged_onto_the_other_on_the_surface_stays_in_hand(page: Any) -> None:
    page.click("#add-line")
    page.locator(".scene").scroll_into_view_if_needed()
    first, second = end(page, ".scene", "A of line 1"), end(page, ".scene", "B of line 1")
    start, goal = middle(first), middle(second)
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*goal, steps=3)
    wait_for_frames(page)
    assert readings(page) == ["the ends lie on one pixel"]
    assert first.is_visible()
    assert first.evaluate("each => each === document.activeElement")
    page.mouse.move(*start, steps=2)
    page.mouse.up()
    assert readings(page) == ["length not known"]
    assert first.get_attribute("aria-valuenow") == "42"


@pytest.mark.slow
def test_nothing_else_changes_lines_while_an_end_is_dragged(page: Any) -> None:
    page.click("#add-line")
    page.click("#add-line")
    page.locator(".stage").scroll_into_view_if_needed()
    first, other = end(page, ".stage", "A of line 1"), end(page, ".stage", "B of line 2")
    assert first.get_attribute("aria-valuemin") == "0"
    assert first.get_attribute("aria-valuemax") == str(WIDTH - 1)
    page.evaluate(
        """() => {
            window.told = 0;
            new MutationObserver((all) => { window.told += all.length; }).observe(
                document.getElementById("measure-words"), { childList: true });
        }"""
    )

    def columns() -> list[str]:
        return [each.get_attribute("aria-valuenow") for each in page.locator(".stage g g").all()]

    before, (x, y) = columns(), middle(first)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y, steps=2)
    wait_for_frames(page)
    during = columns()
    assert during != before
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Control+z")
    finger = {"pointerId": 7, "clientX": 0, "clientY": 0}
    other.dispatch_event("pointerdown", finger)
    for kind in ("pointermove", "pointerup"):
        first.dispatch_event(kind, finger)
    wait_for_frames(page)
    assert columns() == during
    page.mouse.move(x + 60, y)
    page.mouse.up()
    assert columns() not in (before, during)
    assert page.evaluate("window.told") == 0
    page.click("#undo")
    assert columns() == before


def test_lines_of_another_address_end_the_drag_of_a_point_that_is_gone(page: Any) -> None:
    page.click("#add-line")
    page.locator(".stage").scroll_into_view_if_needed()
    x, y = middle(end(page, ".stage", "A of line 1"))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 10, y)
    wait_for_frames(page)
    page.evaluate("location.hash = 'm=h30,20'")
    page.locator("#lines output", has_text="height").wait_for()
    page.mouse.up()
    page.click("#add-line")
    assert page.locator("#lines li").count() == 2
    page.click("#undo")
    assert page.locator("#lines li").count() == 1


def drag_and_undo(page: Any, where: str) -> None:
    """Drag the first end of the second line, from column 42 and row 53, left and down."""
    handle = end(page, where, "A of line 2")
    before = readings(page)[1]
    page.locator(where).scroll_into_view_if_needed()
    (x, y), whole = middle(handle), page.locator(where).bounding_box()
    page.mouse.move(x, y)
    page.mouse.down()
    # The surface stands a little nearer than the photograph lies.
    share = {".stage": 0.3, ".scene": 0.28}[where]
    page.mouse.move(x - share * whole["width"], y + 0.1 * whole["height"], steps=2)
    wait_for_frames(page)
    during = readings(page)[1]
    page.mouse.up()
    assert during == readings(page)[1] != before
    assert written_on(page, ".scene") == written_on(page, ".stage")
    assert abs(int(handle.get_attribute("aria-valuenow")) - 6) <= 2
    page.click("#undo")
    assert readings(page)[1] == before


@pytest.mark.parametrize("known", [None, KnownLength(u1=42, v1=45, u2=78, v2=45, metres=3)])
def test_the_thing_in_a_box_is_that_of_python(
    browser: Any, tmp_path: Path, known: KnownLength | None
) -> None:
    given = (
        room() if known else convert_by_references(room(), MetricReferences(camera_height=1.5))[0]
    )
    save(given, tmp_path / "room", ["html"])
    page = opened(browser, tmp_path / "room.html")
    if known:
        page.click("#add-line")
        page.locator("#lines input").fill("3")
        page.locator("#lines input").press("Enter")
    metric = convert_by_references(room(), MetricReferences(known=(known,)))[0] if known else given
    page.click("#add-box")
    for _ in range(3):
        end(page, ".stage", "B of box", "Corner").press("Shift+ArrowDown")
    (left, top), (right, bottom) = (
        place(end(page, ".stage", f"{each} of box", "Corner")) for each in "AB"
    )
    found = metric.measure_box((left, top, right, bottom))
    expected = f"{found.distance.text} away, {found.width.text} wide, {found.height.text} high"
    assert readings(page)[-1] == f"box: {expected}"
    assert written_on(page, ".scene") == written_on(page, ".stage")


CONTRADICTORY_SIZES = {
    "two points": (KnownPoint(u=20, v=20, metres=4), KnownPoint(u=60, v=85, metres=4)),
    "most agree": (
        *(KnownPoint(u=u, v=20, metres=4 + 0.005 * u) for u in (10, 35, 60, 85)),
        KnownPoint(u=110, v=20, metres=6.5),
        KnownPoint(u=60, v=85, metres=3.0),
    ),
}


@pytest.mark.parametrize("known", CONTRADICTORY_SIZES.values(), ids=CONTRADICTORY_SIZES)
def test_known_sizes_that_contradict_each_other_widen_ranges_as_in_python(
    browser: Any, tmp_path: Path, known: tuple[Known, ...]
) -> None:
    references = MetricReferences(known=known, smooth=False)
    metric, _ = convert_by_references(room(), references)
    assert known_size_evidence(metric).log_error > 0.3
    save(metric, tmp_path / "room", ["html"])
    page = opened(browser, tmp_path / "room.html")
    floor = ((40, 70), (80, 70), (80, 86), (40, 86))
    for letter, quantity, points in (
        ("l", "length", ((40, 70), (80, 70))),
        ("h", "height", ((60, 30),)),
        ("a", "area", floor),
    ):
        named = ",".join(f"{number}" for point in points for number in point)
        page.evaluate(f"location.hash = 'm={letter}{named}'")
        page.locator("#lines li").nth(0).wait_for()
        wait_for_frames(page)
        measured = measure_points(metric, points, quantity)
        assert readings(page)[-1] in (str(measured), measured.text)
    page.evaluate("location.hash = 'm=b30,60,90,86'")
    wait_for_frames(page)
    found = metric.measure_box((30, 60, 90, 86))
    sizes = f"{found.distance.text} away, {found.width.text} wide, {found.height.text} high"
    assert readings(page)[-1] == f"box: {sizes}"


@pytest.mark.parametrize(
    ("factor", "source"),
    mostly_slow([0.5, 0.9995, 1, 1.004, 1.5], ["network", "map", "fitted"]),
)
def test_a_known_length_is_compared_with_measured_depth_as_in_python(
    browser: Any, tmp_path: Path, source: str, factor: float
) -> None:
    ends = (42, 45), (78, 45)
    given = room_of_instrument(source)
    metres = measure_points(given, ends, "length").value
    known = KnownLength(u1=42, v1=45, u2=78, v2=45, metres=factor * metres)
    calibration = Calibration(
        method="known lengths", asked=(str(known),), space="depth", scale=1.0, shift=0.0
    )
    given = given.but(calibration=calibration)
    save(given, tmp_path / "room", ["html"])
    page = opened(browser, tmp_path / "room.html")
    page.click("#add-line")
    assert readings(page) == [by_measuring(given, *ends)]


@pytest.mark.parametrize("source", ["given", "assumed"])
def test_on_a_street_the_distance_of_a_box_has_the_range_of_python(
    browser: Any, tmp_path: Path, source: str
) -> None:
    """A floor that goes on for 40 m, with something on it."""
    v = np.mgrid[:HEIGHT, :WIDTH][0]
    depth = np.minimum(1.2 * 70 / np.maximum(v - 44.5, 1e-3), 40)
    depth[40:80, 50:75] = depth[80, 60]
    camera = Camera(K=room().known_camera.K, source=source)
    given = two_walls().but(
        depth_or_none=DepthMap(values=depth.astype(np.float32), kind=DepthKind.METRIC),
        calibration=Calibration(
            method="camera height", asked=("1.2 m",), space="depth", scale=1.0, shift=0.0
        ),
        camera=camera,
    )
    save(given, tmp_path / "street", ["html"])
    page = opened(browser, tmp_path / "street.html")
    page.evaluate("location.hash = 'm=b48,37,77,81'")
    page.locator("#lines li").nth(0).wait_for()
    found = given.measure_box((48, 37, 77, 81))
    assert readings(page)[-1].startswith(f"box: {found.distance.text} away")


@pytest.mark.parametrize("source", ["map", "assumed", "sensor", "fitted"])
def test_ranges_by_an_instrument_are_those_of_python(
    browser: Any, tmp_path: Path, source: str
) -> None:
    given = room_of_instrument(source)
    save(given, tmp_path / "room", ["html"])
    page = opened(browser, tmp_path / "room.html")
    for name, quantity, count in (
        ("line", "length", 2),
        ("height", "height", 1),
        ("area", "area", 4),
        ("angle", "angle", 2),
    ):
        page.click(f"#add-{name}")
        handles = page.locator(f".stage [aria-label*='of {name}']").all()
        assert len(handles) == count
        measured = measure_points(given, [place(handle) for handle in handles], quantity)
        text = re.sub(", not flat$", "", readings(page)[-1])
        assert text in (str(measured), measured.text)
        if quantity == "area":
            assert ", not flat" not in readings(page)[-1]
            for handle in handles[2:]:
                for _ in range(3):
                    handle.press("Shift+ArrowDown")
            # Two corners on the wall and two on the floor.
            measured = measure_points(given, [place(handle) for handle in handles], quantity)
            assert any("not flat" in remark for remark in measured.remarks)
            assert readings(page)[-1].endswith(", not flat")
    page.click("#add-box")
    corners = page.locator(".stage [aria-label*='of box']").all()
    (left, top), (right, bottom) = (place(corner) for corner in corners)
    found = given.measure_box((left, top, right, bottom))
    sizes = f"{found.distance.text} away, {found.width.text} wide, {found.height.text} high"
    assert readings(page)[-1] == f"box: {sizes}"
    # Between a point of the floor and one of the wall no surface is straight.
    page.evaluate("location.hash = 'm=l30,80,80,20'")
    page.locator("#lines li").nth(0).wait_for()
    assert readings(page)[-1] == by_measuring(given, (30, 80), (80, 20))


@pytest.mark.parametrize(
    ("source", "point"),
    mostly_slow(["network", "map", "sensor", "fitted"], [(20, 85), (100, 80), (60, 75), (10, 20)]),
)
def test_heights_on_the_floor_have_the_range_of_python(
    browser: Any, tmp_path: Path, source: str, point: tuple[int, int]
) -> None:
    given = room_of_instrument(source)
    uneven = given.depth.values * (1 + 0.01 * np.sin(np.arange(WIDTH)))
    given = given.but(
        depth_or_none=DepthMap(values=uneven.astype(np.float32), kind=DepthKind.METRIC)
    )
    save(given, tmp_path / "room", ["html"])
    page = opened(browser, tmp_path / "room.html")
    page.evaluate(f"location.hash = 'm=h{point[0]},{point[1]}'")
    page.locator("#lines li").nth(0).wait_for()
    measured = measure_points(given, [point], "height")
    assert readings(page)[-1] in (str(measured), measured.text)
    if point[1] > 70:
        assert measured.low < 0 < measured.high


def room_of_instrument(source: str) -> Prediction:
    """The room in metres, of a network, of a sensor that missed the upper left, or of a given map.

    The scale and the shift of a map that is "fitted" are uncertain, and its numbers are rounded.
    """
    metric = convert_by_references(room(), MetricReferences(camera_height=1.5))[0]
    if source == "network":
        return metric
    is_sensor = source == "sensor"
    measured = np.ones((HEIGHT, WIDTH), bool)
    measured[:50, :50] = False
    camera = metric.known_camera
    instrument = make_instrument(
        DepthSource.SENSOR if is_sensor else DepthSource.DEPTH_MAP, "5mm+0.5%+0.2%/m"
    )
    if source == "fitted":
        parts = (DepthError(relative=0.02, absolute=-0.08), DepthError(relative=0.01, growth=0.01))
        rounding = DepthError(absolute=0.05, growth=0.002)
        instrument = replace(instrument, scale_errors=parts, rounding=rounding)
    return metric.but(
        calibration=replace(metric.calibration, expected_error=0.03) if is_sensor else None,
        camera=Camera(K=camera.K, source="assumed" if source == "assumed" else "given"),
        instrument=instrument,
        measured=measured if is_sensor else None,
    )


def by_measuring(given: Prediction, *points: tuple[int, int]) -> str:
    """Text of a length as Python measures it."""
    return measure_points(given, points, "length").text
