"""The app in a real Chromium: looked at, measured in, given too much, and attacked.

Skipped where Gradio, Playwright or Chromium are missing; ``make test-app`` brings the first two.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from app_scenes import write_scene
from app_server import CHROMIUM, FLAGS, Served, lacking, serving
from clips import Clip, numbered, write_clip

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))

SOON = 30_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    options = ("--max-megabytes", "2", "--max-megapixels", "3", "--max-seconds", "20")
    with serving(tmp_path_factory.mktemp("server"), *options) as app:
        yield app
    assert not list(app.folder.glob("rilievo-*")), "what was uploaded is gone with the server"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    """A visitor who has the page open; all that was asked for came from the server."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(SOON)
    elsewhere: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    opened(page, served)
    yield page
    context.close()
    own = (served.address, "data:", f"blob:{served.address}")
    assert [url for url in elsewhere if not url.startswith(own)] == []
    assert faults == []


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


def test_a_photograph_is_looked_at_from_all_sides(page: Any, tmp_path: Path):
    give(page, write_scene(tmp_path / "room.jpg", focal_35mm=28))
    shown(page)
    assert "320 × 240" in page.locator("#status").inner_text()
    assert "from the photograph's EXIF" in page.locator("#status").inner_text()
    view(page, "Normals")
    assert (
        page.locator("#normals img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 320
    )
    view(page, "Confidence")
    assert "does not say how sure" in page.locator("#confidence").inner_text()
    view(page, "Surface")
    frame = page.frame_locator("iframe.surface")
    canvas = frame.locator("canvas#surface")
    canvas.wait_for()
    before = canvas.screenshot(path=tmp_path / "before.png")
    assert np.asarray(Image.open(tmp_path / "before.png").convert("L")).std() > 5
    canvas.focus()
    for _ in range(4):
        canvas.press("ArrowRight")
    page.wait_for_timeout(1000)
    assert canvas.screenshot() != before, "the keyboard turns it"


def test_the_slider_is_moved_with_the_keyboard(page: Any, tmp_path: Path):
    give(page, write_scene(tmp_path / "room.jpg"))
    shown(page)
    slider = page.get_by_role("slider", name="How much of the photograph")
    slider.focus()
    slider.press("Home")
    assert page.locator("#depth .over").evaluate("e => e.style.getPropertyValue('--cut')") == "0%"
    slider.press("End")
    assert page.locator("#depth .over").evaluate("e => e.style.getPropertyValue('--cut')") == "100%"


def test_colours_and_field_of_view_are_as_asked(page: Any, tmp_path: Path):
    give(page, write_scene(tmp_path / "room.jpg"))
    first = shown(page)
    page.locator("button.label-wrap", has_text="Camera").click()
    page.get_by_label("Horizontal field of view, in degrees").check()
    page.get_by_label("Degrees, pixels or millimetres").fill("90")
    page.locator("button.label-wrap", has_text="Colours").click()
    page.get_by_label("Colour map").click()
    page.get_by_role("option", name="turbo").click()
    page.locator("#depth img.top[src*='map=turbo']").wait_for()
    page.click("#go")
    page.locator(f"#depth img.top:not([src*='{first}'])").wait_for()
    assert "Camera: 90° across, focal length 160 px" in page.locator("#status").inner_text()
    page.get_by_label("Degrees, pixels or millimetres").fill("-4")
    page.click("#go")
    page.locator("#status .wrong").wait_for()
    assert "between 0 and 180" in page.locator("#status").inner_text()


def test_two_points_are_clicked_and_one_known_distance_makes_metres(page: Any, tmp_path: Path):
    give(page, write_scene(tmp_path / "room.jpg"))
    shown(page)
    view(page, "Measure")
    picture = page.locator("#measure-picture img")
    picture.wait_for()
    loaded(page, "#measure-picture img")
    box = picture.bounding_box()
    # The picture is fitted into its box: what is clicked is the middle, whatever the margins.
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    first = page.get_by_label("Point A: column, row")
    page.wait_for_function("document.querySelector('#measured').innerText.includes('Point A')")
    u, v = (float(each) for each in first.input_value().split(","))
    loaded(page, "#measure-picture img")
    assert abs(u - 159.5) < 2
    assert abs(v - 119.5) < 2
    page.mouse.click(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2 + 60)
    words = page.locator("#measured")
    words.get_by_text("times as deep as A").wait_for()
    page.get_by_label("Known distance of A, in metres").fill("2")
    page.get_by_label("Along the optical axis").check()
    page.click("#know")
    words.get_by_text("apart").first.wait_for()
    words.get_by_text("A is 2.00 m deep").wait_for()
    assert "in metres" in page.locator("#status").inner_text()
    page.click("#forget")
    words.get_by_text("times as deep as A").wait_for()


def test_points_can_be_typed_and_slips_are_told(page: Any, tmp_path: Path):
    give(page, write_scene(tmp_path / "room.jpg"))
    shown(page)
    view(page, "Measure")
    page.get_by_label("Point A: column, row").fill("10, 20")
    page.get_by_label("Point B: column, row").fill("300, 220")
    page.get_by_label("Point B: column, row").press("Enter")
    page.locator("#measured").get_by_text("times as deep as A").wait_for()
    page.get_by_label("Point B: column, row").fill("400, 220")
    page.click("#measure")
    page.locator("#measured .wrong").wait_for()
    assert "columns go from 0 to 319" in page.locator("#measured").inner_text()


def test_two_answers_are_compared(page: Any, tmp_path: Path):
    give(page, write_scene(tmp_path / "room.jpg"))
    shown(page)
    view(page, "Compare")
    page.get_by_label("Average with the mirror image").nth(1).check()
    page.click("#compare")
    page.locator("#pair").get_by_text("They agree").wait_for()
    assert page.locator("#pair img").count() == 2
    assert "with mirror image" in page.locator("#pair").inner_text()


def test_files_are_taken_home(page: Any, tmp_path: Path):
    give(page, write_scene(tmp_path / "my room.jpg"))
    shown(page)
    view(page, "Files")
    arrays = np.load(downloaded(page, page.get_by_role("link", name="my-room.npz", exact=True)))
    assert arrays["depth"].shape == (240, 320)
    assert arrays["kind"].item() == "up_to_scale"
    packed = downloaded(page, page.get_by_role("link", name="Everything as one zip"))
    with zipfile.ZipFile(packed) as found:
        names = found.namelist()
        assert found.testzip() is None
    assert {"my-room.json", "my-room.glb", "my-room.ply", "my-room.depth.png"} <= set(names)


def test_a_broken_photograph_gives_one_clear_line(page: Any, tmp_path: Path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(write_scene(tmp_path / "room.jpg").read_bytes()[:900])
    give(page, broken)
    line = page.locator("#status .wrong")
    line.wait_for()
    text = line.inner_text()
    assert text.startswith("Error: broken: ")
    assert "cut short" in text
    assert "/" not in text.replace("JPEG or PNG", "")
    nothing = tmp_path / "words.png"
    nothing.write_text("no picture at all")
    page.reload()
    page.get_by_role("button", name="Show depth").wait_for()
    give(page, nothing)
    page.locator("#status .wrong").wait_for()
    assert "is text, not a photograph" in page.locator("#status").inner_text()


def test_too_many_pixels_and_too_many_bytes_give_one_clear_line(page: Any, tmp_path: Path):
    many = tmp_path / "many.png"
    Image.new("L", (2000, 2000)).save(many)
    give(page, many)
    page.locator("#status .wrong").wait_for()
    assert "above the limit of 3.0 million" in page.locator("#status").inner_text()
    page.reload()
    page.get_by_role("button", name="Show depth").wait_for()
    huge = tmp_path / "huge.png"
    huge.write_bytes(np.random.default_rng(0).bytes(3_000_000))
    give(page, huge)
    page.get_by_text("exceed", exact=False).first.wait_for()


def test_two_visitors_do_not_see_each_other(browser: Any, served: Served, tmp_path: Path):
    paths = [write_scene(tmp_path / f"{name}.jpg") for name in ("one", "two")]
    pages = [opened(browser.new_context().new_page(), served) for _ in paths]
    for page, path in zip(pages, paths, strict=True):
        give(page, path)
    assert len({shown(page) for page in pages}) == 2
    for page, name in zip(pages, ("one", "two"), strict=True):
        view(page, "Files")
        assert page.get_by_role("link", name=f"{name}.npz", exact=True).count() == 1
        page.context.close()


def test_a_video_becomes_a_video_of_depth(page: Any, tmp_path: Path):
    clip = write_clip(tmp_path / "walk.mp4", Clip(pictures=numbered(20)))
    give_video(page, clip)
    page.click("#go-video")
    page.locator("#video-result video").wait_for()
    page.wait_for_function("document.querySelector('#video-result video').videoWidth === 128")
    taken = downloaded(page, page.get_by_role("link", name="walk.depth.mp4", exact=True))
    assert taken.stat().st_size > 1000


def test_a_video_is_cancelled_and_leaves_nothing(page: Any, served: Served, tmp_path: Path):
    clip = write_clip(tmp_path / "long.mp4", Clip(pictures=numbered(500, (480, 640))))
    give_video(page, clip)
    page.click("#go-video")
    page.locator("#video-result progress[value]").wait_for()
    page.locator("#video-result").get_by_text("frames through").wait_for()
    page.click("#cancel-video")
    page.locator("#video-result").get_by_text("Stopped.").wait_for()
    for _ in range(50):
        if not list(served.folder.glob("rilievo-app-*/answers/*/.long*")):
            break
        page.wait_for_timeout(100)
    assert not list(served.folder.glob("rilievo-app-*/answers/*/.long*"))


def status_of(served: Served, path: str) -> int:
    try:
        with urlopen(served.address.rstrip("/") + path, timeout=20) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../../etc/passwd",
        "/gradio_api/file=%2Fetc%2Fpasswd",
        "/gradio_api/file=%2e%2e/%2e%2e/etc/passwd",
        "/file=/etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2f..%2fetc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:22/",
        "/gradio_api/file=http://127.0.0.1:22/",
        "/answers/AAAAAAAAAAAAAAAAAAAAAA/photo.jpg",
        "/answers/AAAAAAAAAAAAAAAAAAAAAA/clip/..%2f..%2fphoto.jpg",
        "/gradio_api/info",
        "/monitoring",
        "/docs",
    ],
)
def test_no_path_of_the_server_is_readable(served: Served, path: str):
    assert status_of(served, path) in (403, 404)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "http://127.0.0.1:1/x.jpg", "file:///etc/passwd"]
)
def test_an_event_that_names_a_path_of_the_server_is_refused(served: Served, path: str):
    with urlopen(served.address + "config", timeout=20) as answer:
        config = json.load(answer)
    kinds = {each["id"]: each["type"] for each in config["components"]}
    asks = [
        each
        for each in config["dependencies"]
        if each["inputs"] and kinds[each["inputs"][0]] in ("image", "file")
    ]
    assert len(asks) >= 3, "a photograph that is given, the button, and the video"
    for each in asks:
        forged = {"path": path, "orig_name": "x.jpg", "meta": {"_type": "gradio.FileData"}}
        rest = ["rilievo/small", False, "photograph", None, "viridis", None, None]
        body = {
            "data": [forged, *rest][: len(each["inputs"])],
            "fn_index": each["id"],
            "session_hash": "forged",
        }
        join = Request(
            served.address + "gradio_api/queue/join",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with pytest.raises(HTTPError, match="400"):
            urlopen(join, timeout=20)
