"""Actions of a visitor of the app, performed by Playwright."""

from pathlib import Path
from typing import Any

from app_server import Served


def opened(page: Any, served: Served) -> Any:
    page.goto(served.address)
    page.get_by_role("button", name="Show depth").wait_for()
    return page


def give(page: Any, path: Path) -> None:
    page.set_input_files("#photo input[type=file]", str(path))


def give_video(page: Any, path: Path) -> None:
    page.get_by_role("tab", name="Video").click()
    page.set_input_files("#video input[type=file]", str(path))
    # The page writes stem and suffix apart.
    page.wait_for_function("document.querySelector('#video').textContent.includes('.mp4')")


def shown(page: Any) -> str:
    """Wait for an answer, and give the address of its pictures."""
    page.locator("#depth img.top").wait_for()
    page.wait_for_function(
        "[...document.querySelectorAll('#depth .over img')].every(i => i.naturalWidth > 0)"
    )
    return page.locator("#depth img.top").get_attribute("src").rpartition("/")[0]


def loaded(page: Any, selector: str) -> None:
    """Wait for a picture to be there whole."""
    page.wait_for_function(
        "each => { const i = document.querySelector(each); return i.complete && i.naturalWidth }",
        arg=selector,
    )


def view(page: Any, name: str) -> None:
    page.locator("#views").get_by_role("tab", name=name, exact=True).click()


def downloaded(page: Any, link: Any) -> Path:
    with page.expect_download() as waiting:
        link.click()
    path = Path(waiting.value.path())
    return path.rename(path.with_name(waiting.value.suggested_filename))
