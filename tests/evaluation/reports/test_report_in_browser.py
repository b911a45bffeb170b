"""The script that pages share, in a real Chromium without a network."""

from pathlib import Path
from typing import Any

import pytest

from rilievo.evaluation.evaluation_report import write_report
from support.browser import Opened
from support.evaluations import evaluation
from support.pictured_rooms import Rooms


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(evaluation(images=30), path, Rooms())
    return path


@pytest.mark.parametrize("width", [390, 1440])
def test_a_report_shows_one_image_of_nine_with_a_slider(
    browser: Any, report: Path, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    shown = Opened(context, report)
    page = shown.page
    try:
        buttons = page.locator(".strip button")
        assert buttons.count() == 9
        assert page.locator("article:visible").count() == 1
        first = page.locator("article:visible h2").inner_text()
        buttons.nth(7).click()
        assert page.locator("article:visible h2").inner_text() != first
        assert buttons.nth(7).get_attribute("aria-pressed") == "true"
        page.locator(".choices select").nth(0).select_option("True depth")
        labels = page.locator("article:visible .stage span").all_inner_texts()
        assert labels == ["True depth", "Prediction"]
        page.locator("article:visible .stage input").press("End")
        assert "100%" in str(page.locator("article:visible .stage").get_attribute("style"))
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert [url for url in shown.asked if not url.startswith("data:")] == [report.as_uri()]
        assert shown.complaints == []
    finally:
        context.close()


def test_a_table_is_sorted_by_its_heading(browser: Any, report: Path) -> None:
    context = browser.new_context(offline=True)
    page = Opened(context, report).page
    try:
        page.locator("summary", has_text="Every image").click()
        table = page.locator("table[data-sortable]")
        table.locator("thead button").nth(1).click()
        values = [float(text) for text in table.locator("tbody td:nth-child(2)").all_inner_texts()]
        assert values == sorted(values)
    finally:
        context.close()
