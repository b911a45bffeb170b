"""Affine networks of the app's server: they answer after another, and their surface is anchored."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.models.catalogue.download import fetch_files
from rilievo.models.catalogue.table import find_entry
from rilievo.records.depth_map import DepthKind
from support.browser import COARSE, chromium, unfold
from support.catalogue_mirror import CatalogueMirror, catalogue
from support.published_graphs import write_ramp
from support.serve_process import serve_process
from support.views import read_view

__all__ = ["catalogue"]

NAME = "zipdepth"
SOON = 90_000


@pytest.fixture
def tab() -> Iterator[Any]:
    with chromium() as browser:
        yield browser.new_context(**COARSE)


def seen(address: str) -> tuple[dict[str, Any], np.ndarray]:
    """Facts and depth of the result at an address, as the page is told them."""
    with urlopen(address.replace("/r/", "/app/results/") + "/view") as response:
        view = read_view(response.read())
    return view.about, view.depth


@pytest.mark.slow
@pytest.mark.parametrize("step", [1.0, pytest.param(-1.0, marks=pytest.mark.slow)])
def test_the_first_network_answers_and_then_the_affine_one_anchored(
    catalogue: CatalogueMirror, tab: Any, tmp_path: Path, step: float
) -> None:
    catalogue.offer(NAME, lambda path: write_ramp(path, step=step))
    fetch_files(find_entry(NAME))
    photograph = tmp_path / "street.png"
    Image.open(files("rilievo.models") / "near_and_far/street.jpg").save(photograph)
    with serve_process(tmp_path, "--offer", NAME, app=True) as server:
        page, complaints = tab.new_page(), list[str]()
        page.set_default_timeout(SOON)
        page.on("pageerror", lambda each: complaints.append(str(each)))
        page.goto(server.address)
        page.locator("#state", has_text="Done").wait_for()
        page.evaluate(
            "() => { window.heard = []; new MutationObserver(() => heard.push("
            "document.getElementById('state').textContent)).observe("
            "document.getElementById('state'), { childList: true }); }"
        )
        page.set_input_files("#photo-file", photograph)
        page.locator("#result-title", has_text="street").wait_for()
        page.locator("#state", has_text="Done").wait_for()
        unfold(page, "#settings")
        page.select_option("#model", f"server:{NAME}")
        models = {each.partition(":")[0]: each for each in page.locator("option").all_inner_texts()}
        assert models[NAME].endswith("not tested by us")
        assert "not tried" not in models["rilievo/small"]
        page.locator("#state", has_text="Sharper result: done").wait_for()
        heard, notes = page.evaluate("() => heard"), page.locator("#notes").inner_text()
        assert page.input_value("#model") == f"server:{NAME}"
        told = page.locator("#facts").text_content()
        tiles = page.locator("#history-results a").count()
        about, depth = seen(page.url)
        page.reload()
        page.locator("#state", has_text="Done").wait_for()
        assert NAME in page.locator("#facts").text_content()
    assert complaints == []
    assert any(f"a sharper one with {NAME}" in each for each in heard)
    assert tiles == 2, "the first answer of two is no result of its own"

    assert about["depth"]["kind"] == DepthKind.AFFINE_INVERSE
    if step < 0:
        assert "disagree about this picture" in notes
        assert about["shown_kind"] == DepthKind.AFFINE_INVERSE
        return
    expected = rilievo.predict(photograph, model=NAME)
    anchoring = expected.anchoring
    assert anchoring is not None
    assert f"by {anchoring.model}; rank correlation" in told
    assert about["shown_kind"] == DepthKind.UP_TO_SCALE
    surface, lattice = expected.anchored.depth, about["lattice"]
    grid = tuple(
        slice(lattice[side], None, lattice["step"]) for side in ("first_row", "first_column")
    )
    known = np.isfinite(depth)
    np.testing.assert_array_equal(known, surface.valid[grid])
    np.testing.assert_allclose(depth[known], surface.values[grid][known], rtol=1e-3)
