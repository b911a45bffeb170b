"""Things that visitors of the page without a server keep and hand on."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from skimage import data

from rilievo.serving.browser.folder import write_page
from support.browser import Opened, bare, unfold
from support.static_host import PATIENCE, Visitor, hosted

WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("page") / "site"
    write_page(folder)
    with hosted(folder) as address:
        yield address


@pytest.fixture
def visitor(browser: Any, address: str, tmp_path: Path) -> Iterator[Visitor]:
    """A visitor who gave a photograph, and drew a known line and an area on it."""
    context = browser.new_context(**WIDE)
    visitor = Visitor(context, address)
    photograph = tmp_path / "mug.jpg"
    Image.fromarray(data.coffee()).save(photograph)
    visitor.give(photograph)
    page = visitor.page
    page.wait_for_url("**/?own=*")
    page.click("#add-line")
    page.locator("#lines input").fill("0.46")
    page.locator("#lines input").press("Enter")
    page.click("#add-area")
    page.focus("#surface")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    page.locator("#tabs button", has_text="Normals").click()
    page.wait_for_url("**#m=*&v=*&t=1")
    page.wait_for_timeout(200)  # the browser stores it in a moment
    yield visitor
    assert visitor.complaints == []
    own = (address, "blob:", "data:")
    assert [url for url in visitor.asked if not url.startswith(own)] == []
    context.close()


def readings(page: Any) -> list[str]:
    page.locator("#lines li").nth(1).wait_for()
    return page.locator("#lines output").all_inner_texts()


def surface(page: Any) -> np.ndarray:
    """The surface alone, at rest."""
    bare(page)
    page.evaluate("document.activeElement.blur()")
    before = b""
    for _ in range(100):
        now = page.locator(".solid").screenshot()
        if now == before:
            break
        before = now
        page.wait_for_timeout(60)
    return np.asarray(Image.open(io.BytesIO(before)).convert("RGB")).astype(int)


@pytest.mark.slow
def test_a_photograph_is_there_with_its_lines_after_a_reload_and_nowhere_else(
    browser: Any, visitor: Visitor
) -> None:
    page, before = visitor.page, readings(visitor.page)
    assert before[0] == "0.46 m, known"
    own = page.url.partition("#")[0]
    page.goto("about:blank")
    # Without the fragment, so that the lines come out of the browser's storage.
    page.goto(own)
    visitor.wait_until_ready()
    page.locator("#result-title", has_text="mug.jpg").wait_for()
    assert readings(page) == before
    page.locator("#tabs [aria-pressed=true]", has_text="Normals").wait_for()
    page.reload()
    visitor.wait_until_ready()
    assert readings(page) == before
    unfold(page, ".menu:has(#examples)")
    assert page.locator("#own-photographs a[title='mug.jpg'] img").evaluate(
        "(each) => each.decode().then(() => each.naturalWidth)"
    )
    stranger = Visitor(browser.new_context(**WIDE), own)
    stranger.page.locator("#state.fault", has_text="stored in another browser").wait_for()
    assert stranger.page.locator("#lines li").count() == 0
    stranger.context.close()
    page.click("#forget")
    page.locator("#own").wait_for(state="hidden")
    page.reload()
    page.locator("#state.fault", has_text="was deleted").wait_for()


@pytest.mark.slow
def test_the_page_of_a_result_holds_lines_and_view_and_needs_nothing(
    browser: Any, visitor: Visitor, tmp_path: Path
) -> None:
    page, path = visitor.page, tmp_path / "sent.html"
    unfold(page, "#share")
    with page.expect_download() as download:
        page.click("#save-page")
    assert download.value.suggested_filename == "mug.html"
    download.value.save_as(path)
    unfold(page, "nothing")
    assert path.stat().st_size < 700e3
    context = browser.new_context(**WIDE, offline=True)
    context.set_default_timeout(PATIENCE)
    shown = Opened(context, path)
    shown.page.wait_for_selector("#surface-state", state="hidden")
    assert readings(shown.page) == readings(page)
    shown.page.locator("#tabs [aria-pressed=true]", has_text="Normals").wait_for()
    # Both of one size, before one ground, and as a whole: in the app the surface fills its part.
    for view in (shown.page, page):
        view.evaluate(
            "document.querySelector('.filled')?.classList.remove('filled');"
            "document.querySelector('.solid').style.cssText = 'position: fixed; background: black; "
            "inset: auto; top: 0; left: 0; width: 500px; height: 400px; z-index: 99'"
        )
    turned, sent = surface(page), surface(shown.page)
    assert (np.abs(turned - sent).max(axis=2) > 40).mean() < 0.02, "JPEG and rounding alone"
    shown.page.evaluate("document.querySelector('#camera').click()")
    straight = surface(shown.page)
    assert (np.abs(straight - sent).max(axis=2) > 40).mean() > 0.1
    assert shown.complaints == []
    assert [url for url in shown.asked if not url.startswith(("data:", "blob:"))] == [path.as_uri()]
    context.close()


@pytest.mark.slow
def test_the_film_turns_and_the_surface_is_back_where_it_was(
    visitor: Visitor, tmp_path: Path
) -> None:
    page = visitor.page
    page.set_viewport_size({"width": 800, "height": 400})  # quick without a graphics card
    before = surface(page)
    page.evaluate("document.querySelector('#share').open = true")
    with page.expect_download() as download:
        page.click("#save-turn")
    name = download.value.suggested_filename
    assert name.startswith("mug.turn.")
    download.value.save_as(tmp_path / name)
    with av.open(tmp_path / name) as film:
        shown = [(each.time, each.to_ndarray(format="rgb24")) for each in film.decode(video=0)]
    assert 2 < shown[-1][0] - shown[0][0] < 8
    frames = [frame.astype(int)[::4, ::4] for _, frame in shown]
    apart = np.array([[np.abs(one - other).mean() for one in frames] for other in frames])
    assert len(frames) >= 4
    assert apart.max() > 5
    unfold(page, "nothing")
    assert np.abs(before - surface(page)).mean() < 0.5


@pytest.mark.slow
def test_a_file_that_is_no_photograph_has_its_name_in_the_strip(
    visitor: Visitor, tmp_path: Path
) -> None:
    page, words = visitor.page, tmp_path / "words.jpg"
    words.write_text("no photograph")
    page.set_input_files("#photo-file", words)
    page.locator("#state.fault").wait_for()
    page.locator("#strip a span", has_text="words.jpg").wait_for()
    assert page.locator("#strip img").evaluate_all(
        "(all) => all.every((each) => each.naturalWidth)"
    )
