"""Every page in a real Chromium: no fault that axe-core knows, no complaint, no outside request."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.evaluation.evaluation_report import write_report
from rilievo.evaluation.tables.comparing import compare
from rilievo.evaluation.tables.comparison_report import write_comparison
from rilievo.prediction.saving import save
from rilievo.serving.browser.folder import write_page
from support.accessible import LOOKS, check_opened, faults
from support.browser import Opened, unfold
from support.clips import Clip, numbered, write_clip
from support.evaluations import evaluation, random_errors, run_of
from support.odd_pictures import PHOTOGRAPHS
from support.pictured_rooms import Rooms
from support.predictions import prediction
from support.round_pictures import round_picture
from support.serve_process import ServeProcess, serve_process
from support.static_host import PATIENCE, hosted

WINDOWS = ["light", *(pytest.param(look, marks=pytest.mark.slow) for look in ("dark", "phone"))]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages that are files, by their names."""
    folder = tmp_path_factory.mktemp("pages")
    save(prediction(name="result.jpg"), folder / "result", ["html"])
    write_report(evaluation(images=30), folder / "report.html", Rooms())
    errors = random_errors()
    compared = compare([run_of("a", errors), run_of("b", np.roll(errors, 3))])
    pictures = {"a": Rooms(), "b": Rooms()}
    write_comparison(compared, folder / "comparison.html", pictures)
    return {name: folder / f"{name}.html" for name in ("result", "report", "comparison")}


@contextmanager
def opened(browser: Any, look: str, path: Path | str, unanswered: str = "") -> Iterator[Opened]:
    """A page in a window; requests for ``unanswered`` get no answer."""
    context = browser.new_context(**LOOKS[look], reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    if unanswered:
        context.route(re.compile(unanswered), lambda _: None)
    yield Opened(context, path)
    context.close()


def try_stage(
    shown: Opened, *own: str, menus: tuple[str, ...] = (), is_example: bool = False
) -> None:
    """Check a stage as it is, with everything measured, and with each menu open."""
    page = shown.page
    page.wait_for_selector("#surface-state", state="hidden")
    check_opened(shown, *own)
    if is_example:
        page.click("#measure-more")  # An example hides what measures.
    for kind in ("line", "height", "area", "angle"):
        page.click(f"#add-{kind}")
    page.locator("#lines input").first.fill("nonsense")
    page.locator("#lines input").first.press("Enter")
    for menu in ("", "#share", "#surface-controls .menu", *menus):
        unfold(page, menu or "nothing")
        check_opened(shown, *own)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two photographs, a panorama and a video."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("coffee", "chelsea"):
        Image.fromarray(PHOTOGRAPHS[name]()).save(folder / f"{name}.jpg")
    (folder / "hall.png").write_bytes(round_picture())
    write_clip(folder / "walk.mp4", Clip(pictures=numbered(8)))
    return {path.stem: path for path in folder.iterdir()}


def try_unanswered(browser: Any, look: str, address: str, unanswered: str) -> None:
    """Check a page that waits for an answer, without anything and with what came along."""
    with opened(browser, look, address, rf"first\.html|{unanswered}") as shown:
        shown.page.locator("#photo-file:enabled").wait_for(state="attached")
        check_opened(shown, address)
    with opened(browser, look, address, unanswered) as shown:
        shown.page.locator("#surface-state").wait_for(state="hidden")
        check_opened(shown, address)


def try_states(shown: Opened, own: str, files: dict[str, Path]) -> None:
    """Check a stage with several photographs, with metres, and with a panorama."""
    page = shown.page
    page.locator("body:not([aria-busy]) #result-title").wait_for()
    page.set_input_files("#photo-file", [files["coffee"], files["chelsea"]])
    page.locator("#strip a").nth(1).wait_for()
    page.locator("#state", has_text=re.compile("Done|were predicted")).wait_for(state="attached")
    page.wait_for_selector("#surface-state", state="hidden")
    check_opened(shown, own)
    page.click("#add-line")
    page.locator("#lines input").fill("0.46")
    page.locator("#lines input").press("Enter")
    page.locator("#lines output", has_text="0.46 m, known").wait_for()
    check_opened(shown, own)
    page.set_input_files("#photo-file", files["hall"])
    page.locator("#notes", has_text="looks like a panorama").wait_for()
    check_opened(shown, own)


@pytest.mark.parametrize("look", WINDOWS)
def test_a_saved_result_has_no_fault(browser: Any, written: dict[str, Path], look: str) -> None:
    with opened(browser, look, written["result"]) as shown:
        try_stage(shown, written["result"].as_uri())


@pytest.mark.parametrize("look", WINDOWS)
@pytest.mark.parametrize("name", ["report", "comparison"])
def test_pages_of_evaluations_have_no_fault(
    browser: Any, written: dict[str, Path], name: str, look: str
) -> None:
    with opened(browser, look, written[name]) as shown:
        check_opened(shown, written[name].as_uri())
        shown.page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        check_opened(shown, written[name].as_uri())


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("static") / "site"
    write_page(folder)
    with hosted(folder) as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_the_page_without_a_server_has_no_fault(browser: Any, static: str, look: str) -> None:
    with opened(browser, look, static) as shown:
        shown.page.locator("body:not([aria-busy]) #result-title").wait_for()
        try_stage(
            shown, static, menus=(".menu:has(#examples)", "#settings", "#files"), is_example=True
        )


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_the_states_of_the_page_have_no_fault(
    browser: Any, static: str, files: dict[str, Path], look: str
) -> None:
    try_unanswered(browser, look, static, r"\.onnx")
    with opened(browser, look, static) as shown:
        try_states(shown, static, files)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    options = ("--embed-origins", "http://127.0.0.1:9")
    with serve_process(tmp_path_factory.mktemp("app"), *options, app=True) as process:
        yield process


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_the_app_has_no_fault(browser: Any, app: ServeProcess, look: str) -> None:
    with opened(browser, look, app.address) as shown:
        shown.page.locator("#state", has_text="Done").wait_for()
        try_stage(
            shown,
            app.address,
            menus=(".menu:has(#examples)", "#settings", "#files"),
            is_example=True,
        )


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_the_states_of_the_app_have_no_fault(
    browser: Any, app: ServeProcess, files: dict[str, Path], look: str
) -> None:
    try_unanswered(browser, look, app.address, "app/results")
    with opened(browser, look, app.address) as shown:
        try_states(shown, app.address, files)
        shown.page.set_input_files("#photo-file", files["walk"])
        check_opened(shown, app.address)
        shown.page.get_by_role("link", name="walk.depth.mp4").wait_for()
        check_opened(shown, app.address)


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_the_embedded_view_has_no_fault(browser: Any, app: ServeProcess, look: str) -> None:
    with opened(browser, look, app.address + "embed?example=bear") as shown:
        shown.page.locator("#result-title", has_text="bear").wait_for()
        shown.page.locator("body:not([aria-busy])").wait_for()
        check_opened(shown, app.address)


@pytest.mark.slow
def test_an_embedded_view_says_why_it_is_empty(browser: Any, app: ServeProcess) -> None:
    with opened(browser, "light", app.address + "embed/gone") as shown:
        shown.page.locator("#state.fault").wait_for()
        assert not shown.page.locator("header :is(summary, button)").first.is_visible()
        assert faults(shown.page) == []


def test_faults_are_found(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    words = '<p style="color: #ccc; background: #fff">hardly seen</p><main><input><img src="">'
    path.write_text(f"<!DOCTYPE html><html><title>bad</title>{words}")
    with opened(browser, "light", path) as shown:
        found = {each.partition(":")[0] for each in faults(shown.page)}
    assert {"color-contrast", "html-has-lang", "image-alt", "label"} <= found
