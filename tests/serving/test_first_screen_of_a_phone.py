"""What a phone shows of both web pages before anything is touched, and what one tap shows."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest

from rilievo.serving.browser.folder import write_page
from support.accessible import faults
from support.browser import CAMERAS, COARSE, Opened, chromium
from support.grids import mostly_slow
from support.serve_process import serve_process
from support.static_host import PATIENCE, hosted

ON_PHONES = mostly_slow(["page", "app"], [(360, 640), (390, 844), (430, 932)])
"""Page and width and height of its window."""
UPRIGHT = {"width": 390, "height": 844}
PHONE = {"is_mobile": True, "has_touch": True, "service_workers": "block"}

# Adds up what moves by itself, as the Cumulative Layout Shift does.
SHIFTS = """
globalThis.shift = 0;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput) globalThis.shift += each.value;
}).observe({ type: "layout-shift", buffered: true });
"""
NO_WEBGL = """
const { getContext } = HTMLCanvasElement.prototype;
HTMLCanvasElement.prototype.getContext = function (kind, ...others) {
  return kind === "webgl2" ? null : getContext.call(this, kind, ...others);
};
"""
BUTTONS = ".top > :is(button, .button), .top > .menu > summary"
TABS = "#tabs button"
# Pairs of parts that lie on one another, and parts that are cut by the window or by their own box.
MISPLACED = """(selector) => {
  const parts = [...document.querySelectorAll(selector)].filter((each) => each.checkVisibility(
    { visibilityProperty: true }) && each.getBoundingClientRect().width);
  const named = (each) => each.id || each.textContent.trim() || each.className;
  const found = [];
  parts.forEach((part, at) => {
    const one = part.getBoundingClientRect();
    const isInside = one.left >= 0 && one.top >= 0
      && one.right <= innerWidth && one.bottom <= innerHeight;
    const isWhole = part.scrollWidth <= part.clientWidth + 1
      && part.scrollHeight <= part.clientHeight + 1;
    if (!isInside || !isWhole) found.push(`${named(part)} is cut`);
    for (const each of parts.slice(at + 1)) {
      const other = each.getBoundingClientRect();
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (across > 1 && down > 1) found.push(`${named(part)} and ${named(each)}`);
    }
  });
  return found;
}"""
PARTS = (
    f"{BUTTONS}, {TABS}, #state, .scene, .turn, #surface-controls > button, #legend .ticks, "
    "#surface-controls summary, #result-title, #lead, #measure button, #measure summary"
)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The page without a server, and the app."""
    site = tmp_path_factory.mktemp("page") / "site"
    write_page(site)
    with ExitStack() as open_servers:
        server = serve_process(tmp_path_factory.mktemp("app"), app=True)
        yield {
            "page": open_servers.enter_context(hosted(site)),
            "app": open_servers.enter_context(server).address,
        }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@contextmanager
def opened(browser: Any, address: str, *scripts: str, **options: Any) -> Iterator[Opened]:
    """The page on a phone, as it is when nothing changes any more."""
    context = browser.new_context(**{"viewport": UPRIGHT, **PHONE, **COARSE, **options})
    context.set_default_timeout(PATIENCE)
    for script in scripts:
        context.add_init_script(script)
    shown = Opened(context, address)
    shown.page.locator("#state.settled").wait_for()
    yield shown
    told = [each for each in shown.complaints if "Service Worker" not in each]
    context.close()
    assert told == []


def box_of(page: Any, selector: str) -> dict[str, float]:
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box


def pressed(page: Any) -> list[str]:
    return page.locator(f"{TABS}[aria-pressed=true]:visible").all_inner_texts()


@pytest.mark.parametrize(("name", "size"), ON_PHONES)
def test_the_surface_fills_the_width_and_half_of_the_height_and_covers_nothing(
    browser: Any, addresses: dict[str, str], name: str, size: tuple[int, int]
) -> None:
    width, height = size
    viewport = {"width": width, "height": height}
    with opened(browser, addresses[name], SHIFTS, viewport=viewport) as shown:
        page = shown.page
        surface = box_of(page, "#surface")
        assert (surface["x"], surface["width"]) == (0, width)
        assert surface["height"] >= 0.45 * height
        assert surface["y"] + surface["height"] < height
        assert page.evaluate("document.documentElement.scrollWidth") == width

        assert page.evaluate(MISPLACED, PARTS) == []
        assert page.locator(".turn").inner_text() == "Drag to turn"
        assert "Take or choose a photograph of your own." in page.locator("#lead").inner_text()
        page.get_by_role("button", name="Depth").tap()
        assert page.evaluate(MISPLACED, PARTS) == []
        assert page.evaluate("globalThis.shift") < 0.01


@pytest.mark.slow
def test_the_depth_under_a_mouse_takes_the_place_of_the_hint(
    browser: Any, addresses: dict[str, str]
) -> None:
    with opened(browser, addresses["page"]) as shown:
        page, surface = shown.page, box_of(shown.page, "#surface")
        page.mouse.move(surface["x"] + surface["width"] / 2, surface["y"] + surface["height"] / 2)
        page.locator(".solid .reading").get_by_text("depth here").wait_for()
        assert not page.locator(".turn").is_visible()
        assert page.evaluate(MISPLACED, f"{PARTS}, .solid .reading") == []


@pytest.mark.parametrize(("name", "size"), ON_PHONES)
def test_all_buttons_stand_in_one_row_and_are_large_enough(
    browser: Any, addresses: dict[str, str], name: str, size: tuple[int, int]
) -> None:
    with opened(browser, addresses[name], viewport=dict(zip(UPRIGHT, size, strict=True))) as shown:
        page = shown.page
        if name == "app":  # as it is when there are results of one's own
            page.evaluate("document.getElementById('history-results').innerHTML = '<a>1</a>'")
        row = page.locator(BUTTONS).locator("visible=true")
        words = {each.strip() for each in row.all_inner_texts()}
        expected = {"Camera", "Photo", "Examples", "Settings", "Share", "Files"}
        assert words == expected | ({"Results"} if name == "app" else set())
        boxes = [each.bounding_box() for each in row.all()]
        assert len({round(box["y"]) for box in boxes}) == 1
        assert page.evaluate(MISPLACED, BUTTONS) == []
        others = page.locator(f"{TABS}, #surface-controls > button, #measure button")
        for box in (*boxes, *(each.bounding_box() for each in others.all() if each.is_visible())):
            assert box["width"] >= 24
            assert box["height"] >= 32


@pytest.mark.parametrize(
    "motion", [pytest.param("reduce", marks=pytest.mark.slow), "no-preference"]
)
def test_the_first_picture_of_the_surface_is_turned(
    browser: Any, addresses: dict[str, str], motion: str
) -> None:
    with opened(browser, addresses["page"], CAMERAS, reduced_motion=motion) as shown:
        right = shown.page.evaluate("Math.asin(globalThis.cameras[0][8])")
    assert abs(np.degrees(right)) > 5


def test_one_tap_shows_the_photograph_or_depth_and_one_the_surface_again(
    browser: Any, addresses: dict[str, str]
) -> None:
    with opened(browser, addresses["page"]) as shown:
        page = shown.page
        tabs = page.get_by_role("group", name="What is shown")
        frame = box_of(page, ".frame")
        canvas, line, legend = (
            page.locator(each) for each in ("#surface", ".stage input", "#legend")
        )
        assert pressed(page) == ["Surface"]
        assert canvas.is_visible()
        assert not line.is_visible()
        assert not legend.is_visible()
        for title, whole in (("Photograph", "100"), ("Depth", "0"), ("Normals", "0")):
            tabs.get_by_role("button", name=title).tap()
            assert pressed(page) == [title]
            assert not canvas.is_visible()
            assert line.input_value() == whole
            assert legend.is_visible() == (title == "Depth")
            assert box_of(page, ".frame") == frame
        tabs.get_by_role("button", name="Depth").tap()
        tabs.get_by_role("button", name="Depth").tap()
        assert line.input_value() == "50", "a second tap shows both under the line"
        line.fill("100")
        assert pressed(page) == ["Photograph"], "nothing else is seen"
        tabs.get_by_role("button", name="Surface").tap()
        assert pressed(page) == ["Surface"]
        assert canvas.is_visible()
        assert faults(page) == []


@pytest.mark.slow
def test_a_picture_that_was_chosen_is_there_after_a_reload(
    browser: Any, addresses: dict[str, str]
) -> None:
    with opened(browser, addresses["page"]) as shown:
        page = shown.page
        page.get_by_role("button", name="Normals").tap()
        page.wait_for_url("**#t=1&c=0")
        page.reload()
        page.locator("#state.settled").wait_for()
        assert pressed(page) == ["Normals"]
        page.get_by_role("button", name="Surface").tap()
        page.wait_for_url("**#t=1")


@pytest.mark.slow
def test_keys_reach_what_is_seen_in_the_order_in_which_it_is_seen(
    browser: Any, addresses: dict[str, str]
) -> None:
    def reached(page: Any, count: int) -> list[str]:
        names = []
        for _ in range(count):
            page.keyboard.press("Tab")
            name = "document.activeElement.id || document.activeElement.textContent"
            names.append(page.evaluate(name))
        return names

    tabs = ["Surface", "Photograph", "Depth", "Normals", "Stereo"]
    with opened(browser, addresses["page"]) as shown:
        page = shown.page
        page.focus("#files summary")
        surface = ["surface", "camera", "View", "fullscreen"]
        assert reached(page, 10) == [*tabs, *surface, "measure-more"]
        page.get_by_role("button", name="Depth").focus()
        page.keyboard.press("Enter")
        assert reached(page, 4) == ["Normals", "Stereo", "", "measure-more"]
        page.keyboard.press("Shift+Tab")
        assert page.evaluate("document.activeElement.matches('.stage input')")


@pytest.mark.slow
def test_lines_are_drawn_on_the_surface_and_on_the_photograph(
    browser: Any, addresses: dict[str, str]
) -> None:
    with opened(browser, addresses["page"]) as shown:
        page = shown.page
        page.locator("#measure-more").tap()
        page.locator("#add-line").tap()
        for tab, sheet, other in (
            ("Surface", ".scene", ".stage"),
            ("Photograph", ".stage", ".scene"),
        ):
            page.get_by_role("button", name=tab).tap()
            assert page.locator(f"{sheet} > .lines [role=slider]").first.is_visible()
            assert not page.locator(f"{other} > .lines [role=slider]").first.is_visible()
        before = page.url
        page.locator(".stage > .lines [role=slider]").first.focus()
        page.keyboard.press("Shift+ArrowRight")
        page.wait_for_url(lambda url: url != before and "m=l" in url)


@pytest.mark.slow
def test_a_finger_turns_the_surface_sideways_and_scrolls_the_page_upwards(
    browser: Any, addresses: dict[str, str]
) -> None:
    with opened(browser, addresses["page"], viewport={"width": 360, "height": 640}) as shown:
        page = shown.page
        surface = box_of(page, "#surface")
        middle = (surface["x"] + surface["width"] / 2, surface["y"] + surface["height"] / 2)
        move_finger(page, middle, (0, -120))
        assert page.evaluate("scrollY") > 60
        page.wait_for_timeout(600)
        assert "#v=" not in page.url
        page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
        move_finger(page, middle, (-120, 0))
        page.wait_for_url("**#v=*")
        assert page.evaluate("scrollY") == 0


def move_finger(page: Any, start: tuple[float, float], way: tuple[float, float]) -> None:
    """Put a finger down, move it in steps, and lift it."""
    session = page.context.new_cdp_session(page)
    for step in range(5):
        point = {"x": start[0] + way[0] * step / 4, "y": start[1] + way[1] * step / 4}
        kind = "touchMove" if step else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        page.wait_for_timeout(100)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_timeout(300)


@pytest.mark.slow
def test_without_a_surface_the_photograph_stands_in_its_place(
    browser: Any, addresses: dict[str, str]
) -> None:
    with opened(browser, addresses["page"], NO_WEBGL) as shown:
        page = shown.page
        frame, photo = box_of(page, ".frame"), box_of(page, "#photo")
        assert photo["height"] == pytest.approx(frame["height"], abs=1)
        on_top = "([x, y]) => document.elementFromPoint(x, y).id"
        middle = [photo["x"] + photo["width"] / 2, photo["y"] + photo["height"] / 2]
        assert page.evaluate(on_top, middle) == "photo"
        state = box_of(page, "#surface-state")
        assert state["y"] >= frame["y"] + frame["height"]
        assert page.locator("#surface-state").inner_text().startswith("This browser has no WebGL 2")


@pytest.mark.slow
@pytest.mark.parametrize(
    "size",
    [(390, 844), pytest.param((400, 300), marks=pytest.mark.slow)],
    ids="{0[0]}x{0[1]}".format,
)
def test_a_view_in_another_page_begins_with_its_tabs(
    browser: Any, addresses: dict[str, str], size: tuple[int, int]
) -> None:
    context = browser.new_context(
        **{**PHONE, **COARSE, "viewport": dict(zip(UPRIGHT, size, strict=True))}
    )
    context.set_default_timeout(PATIENCE)
    page = Opened(context, addresses["page"] + "?embed&example=bear").page
    page.locator("#surface").wait_for()
    assert not page.locator("#state").is_visible()
    assert box_of(page, "#views")["y"] == 0
    assert box_of(page, "#tabs")["y"] < 8
    context.close()


@pytest.mark.slow
def test_a_phone_that_is_laid_down_shows_photograph_and_surface_side_by_side(
    browser: Any, addresses: dict[str, str]
) -> None:
    with opened(browser, addresses["page"]) as shown:
        page = shown.page
        page.set_viewport_size({"width": 844, "height": 390})
        page.locator(".views:not(.phone)").wait_for()
        photo, surface = box_of(page, "#photo"), box_of(page, "#surface")
        assert photo["x"] + photo["width"] <= surface["x"] + 1
        assert pressed(page) == ["Depth"]
        page.set_viewport_size(UPRIGHT)
        page.locator(".views.phone").wait_for()
        assert pressed(page) == ["Surface"]
        assert box_of(page, "#surface")["width"] == UPRIGHT["width"]


@pytest.mark.slow
def test_a_phone_that_is_laid_down_in_full_screen_shows_both_afterwards(
    browser: Any, addresses: dict[str, str]
) -> None:
    with opened(browser, addresses["page"]) as shown:
        page = shown.page
        page.locator("#fullscreen").tap()
        page.wait_for_function("document.fullscreenElement")
        page.set_viewport_size({"width": 844, "height": 390})
        page.locator(".views:not(.phone)").wait_for(state="attached")
        page.evaluate("document.exitFullscreen()")
        page.wait_for_function("!document.fullscreenElement")
        page.locator("#views > .solid").wait_for()
        photo, surface = box_of(page, "#photo"), box_of(page, "#surface")
        assert photo["x"] + photo["width"] <= surface["x"] + 1
        assert surface["height"] > 300
