"""The app in a real Chromium: looked at, measured in, and given too much.

Skipped where Gradio, Playwright or Chromium are missing; ``make test-app`` brings the first two.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app_scenes import write_scene
from app_server import Served, lacking
from app_visitor import downloaded, give, give_video, loaded, opened, shown, view
from clips import Clip, numbered, write_clip

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))


def test_a_photograph_is_looked_at_from_all_sides(page: Any, tmp_path: Path):
    give(page, write_scene(tmp_path / "room.jpg", focal_35mm=28))
    shown(page)
    assert "320 × 240" in page.locator("#status").inner_text()
    assert "from the photograph's EXIF" in page.locator("#status").inner_text()
    view(page, "Normals")
    assert (
        page.locator("#normals img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 320
    )
    view(page, "Depth")
    assert "White is the highest" in page.locator("#confidence").inner_text()
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


def test_an_example_is_picked_and_its_known_distance_gives_metres(page: Any):
    page.get_by_role("button", name="A room").click()
    shown(page)
    assert "640 × 480" in page.locator("#status").inner_text()
    view(page, "Measure")
    loaded(page, "#measure-picture img")
    page.get_by_label("Point A: column, row").fill("215, 270")
    page.get_by_label("Known distance or length, in metres").fill("1.73")
    page.click("#measure")
    page.locator("#measured").get_by_text("Point A").wait_for()
    page.click("#know")
    page.locator("#measured").get_by_text("column 215, row 270 is 1.73 m away").wait_for()


def test_a_photograph_is_taken_with_the_camera(page: Any):
    page.get_by_role("button", name="Capture from camera").click()
    page.locator("#photo").get_by_text("Click to Access Webcam").click()
    page.get_by_role("button", name="capture photo").click()
    shown(page)
    assert "answered for" in page.locator("#status").inner_text()


def test_a_photograph_is_pasted(page: Any):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(
        """async () => {
            const canvas = document.createElement('canvas');
            [canvas.width, canvas.height] = [300, 200];
            canvas.getContext('2d').fillRect(50, 50, 100, 100);
            const file = await new Promise(done => canvas.toBlob(done, 'image/png'));
            await navigator.clipboard.write([new ClipboardItem({'image/png': file})]);
        }"""
    )
    page.get_by_role("button", name="Paste from clipboard").click()
    shown(page)
    assert "300 × 200" in page.locator("#status").inner_text()


def test_on_a_phone_every_view_is_a_tab_and_nothing_is_cut_off(browser: Any, served: Served):
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True)
    page = opened(context.new_page(), served)
    tabs = page.locator("#views").get_by_role("tab")
    page.wait_for_function("document.querySelectorAll('#views [role=tab]').length === 6")
    assert all(tab.is_visible() for tab in tabs.all())
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    box = page.locator("#photo").bounding_box()
    assert box["width"] > 340, "the page is not lost to padding"
    above, below = page.locator("#views").bounding_box(), page.locator("#go").bounding_box()
    assert above["y"] < below["y"], "the answer comes before the settings"
    context.close()


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
    page.get_by_label("Known distance or length, in metres").fill("2")
    page.get_by_label("To A along the optical axis").check()
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
    loaded(page, "#measure-picture img")
    page.get_by_label("Point A: column, row").fill("10, 20")
    page.get_by_label("Point B: column, row").fill("300, 220")
    page.click("#measure")
    page.locator("#measured").get_by_text("times as deep as A").wait_for()
    page.get_by_label("Point B: column, row").fill("400, 220")
    page.click("#measure")
    page.locator("#measured .wrong").wait_for()
    assert "columns go from 0 to 319" in page.locator("#measured").inner_text()
    # What stands in B is no matter of a distance of A.
    page.get_by_label("Point B: column, row").fill("half")
    page.get_by_label("Known distance or length, in metres").fill("2")
    page.get_by_label("To A along the optical axis").check()
    page.click("#know")
    page.locator("#measured").get_by_text("A is 2.00 m deep").wait_for()


def test_two_answers_are_compared(page: Any, tmp_path: Path):
    give(page, write_scene(tmp_path / "room.jpg"))
    shown(page)
    view(page, "Compare")
    page.get_by_label("Average with the mirror image").first.check()
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
    page.click("#example-coffee")
    shown(page)
    page.locator("#photo").get_by_role("button", name="Remove Image").click()
    page.locator("#depth").get_by_text("Give a photograph").wait_for()
    page.click("#example-coffee")
    shown(page)
    give(page, broken)
    line = page.locator("#status .wrong")
    line.wait_for()
    text = line.inner_text()
    assert text.startswith("Error: broken: ")
    assert "cut short" in text
    assert "/" not in text.replace("JPEG or PNG", "")
    assert "Give a photograph" in page.locator("#depth").inner_text()
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
    page.locator("#video-result").get_by_text("frames done").wait_for()
    page.click("#cancel-video")
    page.locator("#video-result").get_by_text("Stopped.").wait_for()
    for _ in range(50):
        if not list(served.folder.glob("rilievo-app-*/answers/*/.long*")):
            break
        page.wait_for_timeout(100)
    assert not list(served.folder.glob("rilievo-app-*/answers/*/.long*"))
