"""The page and a saved result in Firefox and WebKit, as in Chromium: ``make test-browsers``."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from rilievo.serving.browser.folder import FIRST, write_page
from support.engines import Tab, engine
from support.static_host import hosted

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("page") / "site"
    write_page(folder)
    with hosted(folder) as address:
        yield address


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A person as JPEG and as PNG, opaque and in sRGB, by the kinds of the files."""
    folder = tmp_path_factory.mktemp("photographs")
    person = Image.fromarray(data.astronaut()).resize((320, 240))
    paths = {"image/jpeg": folder / "person.jpg", "image/png": folder / "person.png"}
    for path in paths.values():
        person.save(path)
    return paths


@pytest.fixture(scope="module")
def expected(address: str, photographs: dict[str, Path]) -> dict[str, np.ndarray]:
    """Numbers of Chromium's files of 16 bits."""
    with engine("chromium") as tab:
        tab.go(address)
        tab.wait_until_done()
        return {kind: depth_of(tab, path, kind) for kind, path in photographs.items()}


def depth_of(tab: Tab, path: Path, kind: str) -> np.ndarray:
    tab.drop(path, kind)
    with Image.open(BytesIO(tab.saved("png16"))) as image:
        assert image.mode.startswith("I")
        return np.asarray(image)


@pytest.mark.parametrize("name", ["firefox", "webkit"])
def test_the_page_and_a_saved_result_work_as_in_chromium(
    address: str, photographs: dict[str, Path], expected: dict[str, np.ndarray], name: str
) -> None:
    with engine(name) as tab:
        tab.go(address)
        tab.wait_until_done()
        for kind, path in photographs.items():
            np.testing.assert_array_equal(depth_of(tab, path, kind), expected[kind], kind)
        tab.run("() => document.getElementById('add-line').click()")
        tab.run(
            "() => { const field = document.querySelector('#lines input'); field.value = '0.46';"
            " field.dispatchEvent(new Event('change')); }"
        )
        assert tab.run("() => document.querySelector('#lines output').value") == "0.46 m, known"
        tab.wait(
            "() => document.querySelector('.scene .lines text')?.textContent === '0.46 m, known'"
        )
        for output, start in (("glb", b"glTF"), ("ply", b"ply"), ("side", b"\x89PNG")):
            assert tab.saved(output).startswith(start)
        tab.go(f"{address}{FIRST}")  # as --save html writes it
        tab.wait("() => document.getElementById('surface-state')?.hidden")
        tab.run("() => document.getElementById('add-line').click()")
        assert tab.run("() => document.querySelectorAll('#lines li').length") == 1
        assert "Stereo" in tab.run("() => document.getElementById('tabs').textContent")


def test_a_browser_that_hides_pixels_is_refused_in_words(address: str) -> None:
    with engine("firefox", {"privacy.resistFingerprinting": True}) as tab:
        tab.go(address)
        words = tab.wait("() => document.querySelector('#state.fault')?.textContent")
    assert "hides the pixels of pictures from pages" in words
