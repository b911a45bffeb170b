"""The page of the app in a real browser, in front of a server process."""

import re
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from support.browser import CAMERAS, COARSE, chromium, share_of_pictures, unfold
from support.clips import Clip, numbered, write_clip
from support.serve_process import ServeProcess, serve_process
from support.static_host import hosted

CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
WIDE = {"width": 1280, "height": 800}
SOON = 90_000
GPANO = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" """
FULL = (
    *("FullPanoWidthPixels='512'", "FullPanoHeightPixels='256'", "CroppedAreaLeftPixels='0'"),
    *("CroppedAreaImageWidthPixels='512'", "CroppedAreaImageHeightPixels='256'"),
    "CroppedAreaTopPixels='0'",
)
OFFER = ("--offer", "rilievo/base", "--max-megabytes", "2", "--max-megapixels", "3")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with serve_process(tmp_path_factory.mktemp("server"), *OFFER, app=True) as process:
        yield process
    assert process.folders == []
    assert "Traceback" not in "".join(process.log)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium(*CAMERA) as found:
        yield found


class Visitor:
    """A visitor with the page open, and everything that it asked for and complained of."""

    def __init__(self, browser: Any, server: ServeProcess, path: str = "", **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": WIDE, **COARSE, **options})
        self.context.set_default_timeout(SOON)
        self.page = self.context.new_page()
        self.asked: list[Any] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda each: self.asked.append(each))
        self.page.on("pageerror", lambda each: self.complaints.append(str(each)))
        self.page.goto(server.address + path)

    def wait(self, name: str) -> None:
        """Wait for the result of a photograph."""
        self.page.locator("#result-title", has_text=name).wait_for()
        self.page.locator("#state", has_text="one").wait_for()

    def give(self, *paths: Path) -> None:
        """Choose photographs, and wait for the last one's result."""
        self.page.set_input_files("#photo-file", paths)
        self.wait(paths[-1].stem)

    @property
    def facts(self) -> Any:
        return self.page.locator("#facts")

    def posted(self) -> list[str]:
        return [each.url for each in self.asked if each.method == "POST"]


@pytest.fixture
def visitor(browser: Any, server: ServeProcess) -> Iterator[Visitor]:
    visitor = Visitor(browser, server)
    visitor.wait("hat")
    yield visitor
    visitor.context.close()
    assert visitor.complaints == []
    own = (server.address, "blob:", "data:")
    assert [each.url for each in visitor.asked if not each.url.startswith(own)] == []


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    pictures = {"cat": data.chelsea(), "rocket": data.rocket()}
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg")
    return [tmp_path / f"{name}.jpg" for name in pictures]


def test_the_first_screen_shows_a_finished_example_and_six_others(visitor: Visitor) -> None:
    page = visitor.page
    assert share_of_pictures(page) > 0.7
    unfold(page, ".menu:has(#examples)")
    thumbnails = "[...document.querySelectorAll('#examples img')].map(each => each.naturalWidth)"
    assert len(page.evaluate(thumbnails)) == 6
    for each in page.locator("#examples img").all():
        each.scroll_into_view_if_needed()
        each.evaluate("each => each.decode()")
    assert min(page.evaluate(thumbnails)) > 300
    nameless = ":is(input, select):not(label *, [aria-label], [hidden]), img:not([alt])"
    assert page.evaluate(f"document.querySelectorAll('{nameless}').length") == 0
    assert page.evaluate("document.querySelectorAll('canvas:not([aria-label])').length") == 0
    page.get_by_title("A bear").click()
    page.wait_for_url("**/?example=bear")
    visitor.wait("bear")
    assert not page.locator("#history").is_visible(), "examples are no results of the visitor"


@pytest.mark.slow
def test_a_wide_screen_has_no_bands_and_a_surface_that_is_turned_from_the_first_frame(
    browser: Any, server: ServeProcess
) -> None:
    context = browser.new_context(viewport={"width": 1920, "height": 1080})
    context.set_default_timeout(SOON)
    context.add_init_script(CAMERAS)
    page = context.new_page()
    page.goto(server.address)
    page.wait_for_function("() => globalThis.cameras.length > 0")
    right = page.evaluate("Math.asin(globalThis.cameras[0][8])")
    assert abs(np.degrees(right)) > 5
    # The photograph is shown when the surface is; until then it has no box to compare.
    page.locator("#state.settled").wait_for()
    page.locator("#photo").wait_for()
    photo, frame, foot = (
        page.locator(each).bounding_box() for each in ("#photo", ".frame", ".foot")
    )
    assert photo["height"] == pytest.approx(frame["height"], abs=2)
    assert foot["y"] == pytest.approx(frame["y"] + frame["height"], abs=2)
    context.close()


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.slow)])
def test_the_title_is_the_whole_name(browser: Any, server: ServeProcess, width: int) -> None:
    visitor = Visitor(browser, server, viewport={"width": width, "height": 844})
    visitor.page.locator("#state.settled").wait_for()
    title = visitor.page.locator("#result-title")
    assert title.inner_text() == "A woman with a hat"
    assert title.evaluate("each => each.scrollWidth <= each.clientWidth")
    visitor.context.close()


@pytest.mark.slow
def test_a_result_survives_reload_and_is_sent_to_somebody(
    browser: Any, server: ServeProcess, visitor: Visitor, photographs: list[Path]
) -> None:
    page = visitor.page
    visitor.give(photographs[0])
    first = page.url
    assert "/r/" in first
    unfold(page, "#settings")
    page.select_option("#model", "server:rilievo/base")
    page.wait_for_url(lambda url: url != first)
    visitor.facts.get_by_text("rilievo/base", exact=True).wait_for()
    page.go_back()
    visitor.facts.get_by_text("rilievo/small", exact=True).wait_for()
    assert page.input_value("#model") == "server:rilievo/small"
    page.reload()
    visitor.wait("cat")
    assert page.url == first
    assert page.locator("#history-results a").count() == 2
    other = Visitor(browser, server, first.removeprefix(server.address))
    other.wait("cat")
    assert other.posted() == []
    other.context.close()


@pytest.mark.slow
def test_one_stands_in_a_panorama_and_a_fisheye_has_pictures(
    visitor: Visitor, tmp_path: Path
) -> None:
    page = visitor.page
    path = tmp_path / "hall.jpg"
    picture = Image.fromarray(data.astronaut()).resize((512, 256))
    whole = ("ProjectionType='equirectangular'", *FULL)
    named = " ".join(f"GPano:{each}" for each in whole)
    picture.save(path, xmp=f"{GPANO}{named}/></rdf:RDF></x:xmpmeta>".encode())
    visitor.give(path)
    visitor.facts.get_by_text("from the file (GPano); 360.0° wide").wait_for(state="attached")
    canvas = page.locator("#surface canvas, canvas#surface").first
    canvas.wait_for()
    before = canvas.screenshot()
    canvas.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    assert canvas.screenshot() != before
    address = f"{page.url.split('/r/')[0]}/app/results?name=round.jpg&projection=fisheye:180"
    answer = page.request.post(address, data=path.read_bytes())
    assert answer.ok, answer.text()
    page.goto(f"{page.url.split('/r/')[0]}/r/{answer.json()['id']}")
    visitor.wait("round")
    reason = page.get_by_text("there is no surface: this page only draws surfaces of ordinary")
    reason.first.wait_for(state="attached")
    assert not page.locator("#surface").is_visible()


@pytest.mark.slow
def test_a_known_length_makes_metres_of_the_files(
    visitor: Visitor, photographs: list[Path], tmp_path: Path
) -> None:
    page = visitor.page
    visitor.give(photographs[0])
    page.click("#add-line")
    field = page.locator("#lines input").first
    field.fill("0,46")
    field.press("Enter")
    unfold(page, "#files")
    with page.expect_download() as download:
        page.click("a[data-save=npz]")
    download.value.save_as(tmp_path / "cat.npz")
    with np.load(tmp_path / "cat.npz") as arrays:
        assert arrays["kind"].item() == "metric"
        assert arrays["depth"].shape == (300, 451)


@pytest.mark.slow
def test_a_surface_in_metres_stands_in_the_room(
    browser: Any, server: ServeProcess, photographs: list[Path]
) -> None:
    visitor = Visitor(browser, server)
    with closing(visitor.context):
        page = visitor.page
        page.add_init_script("DOMTokenList.prototype.supports = (word) => word === 'ar';")
        page.reload()
        visitor.give(photographs[0])
        link = page.locator("a[rel=ar]")
        unfold(page, "#files")
        page.locator("a[data-save=npz]").wait_for()
        assert not link.is_visible()
        page.keyboard.press("Escape")
        page.evaluate("document.getElementById('files').open = false")
        page.click("#add-line")
        field = page.locator("#lines input").first
        field.fill("0,46")
        field.press("Enter")
        unfold(page, "#files")
        link.wait_for(state="visible")
        link.evaluate(
            "(each) => { each.addEventListener('click', (e) => e.preventDefault()); each.click(); }"
        )
        answer = visitor.context.request.get(link.evaluate("(each) => each.href"))
        assert answer.headers["content-type"] == "model/vnd.usdz+zip"
        assert "known_length" in answer.url
        assert link.evaluate("(each) => [each.children.length, each.firstChild.nodeName]") == [
            1,
            "IMG",
        ]


@pytest.mark.slow
def test_a_known_rectangle_makes_metres_of_the_files(
    visitor: Visitor, photographs: list[Path], tmp_path: Path
) -> None:
    page = visitor.page
    visitor.give(photographs[0])
    page.click("#add-area")
    field = page.locator("#lines input").first
    field.fill("63 x 30cm")
    field.press("Enter")
    unfold(page, "#files")
    with page.expect_download() as download:
        page.click("a[data-save=npz]")
    assert "known_rectangle=" in download.value.url
    download.value.save_as(tmp_path / "cat.npz")
    with np.load(tmp_path / "cat.npz") as arrays:
        assert arrays["kind"].item() == "metric"


@pytest.mark.slow
def test_several_photographs_have_one_address_and_one_zip(
    visitor: Visitor, photographs: list[Path], tmp_path: Path
) -> None:
    page = visitor.page
    visitor.give(*photographs)
    page.locator("#state", has_text="2 of 2").wait_for()
    address = page.url
    assert re.fullmatch(r".*/r/[\w-]{22}", address)
    unfold(page, "#history")
    zip_of_both = page.locator("#history-zip")
    assert re.fullmatch(r"These 2 in one zip, about [\d.]+ MB", zip_of_both.inner_text())
    with page.expect_download() as download:
        page.click("#history-zip")
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as packed:
        assert {"cat.glb", "rocket.glb"} <= {*packed.namelist()}
    page.reload()
    visitor.wait("cat")
    assert page.locator("#history [aria-current]").count() == 2
    # Below the stage, in the order in which they were given; arrow keys go round.
    assert page.locator("#strip a").count() == 2
    for name in ("rocket", "cat"):
        page.locator("body").press("ArrowRight")
        page.locator("#result-title", has_text=name).wait_for()
        page.locator(f"#strip [aria-current][title^={name}]").wait_for()
    assert page.url == address
    visitor.wait("cat")
    assert share_of_pictures(page) > 0.6


@pytest.mark.slow
def test_lines_and_view_are_kept_and_a_sent_address_changes_nothing_for_others(
    browser: Any, server: ServeProcess, visitor: Visitor, photographs: list[Path]
) -> None:
    page = visitor.page
    visitor.give(photographs[0])
    own = page.url
    page.click("#add-line")
    measure(page, "0.46")
    page.focus("#surface")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/r/*#m=*v=*")
    page.locator("#tabs button", has_text="Normals").click()
    page.wait_for_url("**t=1*")
    sent = page.url

    def opened(address: str) -> Visitor:
        other = Visitor(browser, server, address.removeprefix(server.address))
        other.wait("cat")
        other.page.locator("#lines li").wait_for()
        return other

    for address in (own, sent):
        other = opened(address)
        assert readings(other.page) == readings(page) == ["0.46 m, known"]
        other.page.locator("#tabs [aria-pressed=true]", has_text="Normals").wait_for()
        measure(other.page, "2")
        other.page.wait_for_url("**~2*")
        other.context.close()
    last = opened(own)
    assert readings(last.page) == ["0.46 m, known"]
    last.context.close()


def measure(page: Any, metres: str) -> None:
    page.locator("#lines input").fill(metres)
    page.locator("#lines input").press("Enter")


def readings(page: Any) -> list[str]:
    return page.locator("#lines output").all_inner_texts()


def test_only_named_origins_embed_a_view_without_uploads(browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.mkdir()
    with hosted(page) as friend, hosted(page) as stranger:
        options = ("--embed-origins", friend.rstrip("/"))
        with serve_process(tmp_path, *options, app=True) as process:
            frame = f'<iframe src="{process.address}embed?example=bear" width="800" height="600">'
            (page / "index.html").write_text(f"<title>x</title>{frame}</iframe>")
            tab = browser.new_page(**COARSE)
            tab.goto(friend)
            inside = tab.frame_locator("iframe")
            inside.locator("#result-title", has_text="bear").wait_for(timeout=SOON)
            assert not inside.locator("header").is_visible()
            tab.goto(stranger)
            tab.wait_for_timeout(1000)
            assert inside.locator("#views").count() == 0
            tab.close()


def test_models_say_what_they_cost_and_are_found_by_typing(visitor: Visitor) -> None:
    page = visitor.page
    unfold(page, "#settings")
    options = page.locator("#model option")
    everything = options.all_inner_texts()
    assert "rilievo/base: installed, Apache-2.0" in everything
    assert any(each.startswith("rilievo/small: download, ") for each in everything)
    field = page.locator("#model-search")
    field.fill("BASE installed")
    assert [each for each in options.all_inner_texts() if "base" in each] == [
        "rilievo/base: installed, Apache-2.0"
    ]
    assert page.locator("#model-words").inner_text().startswith("1 of ")
    field.press("Enter")
    visitor.facts.get_by_text("rilievo/base", exact=True).wait_for()
    unfold(page, "#settings")
    field.fill("")
    assert len(options.all_inner_texts()) == len(everything)
    assert page.input_value("#model") == "server:rilievo/base"


@pytest.mark.slow
def test_with_a_model_of_this_browser_nothing_is_sent(
    visitor: Visitor, photographs: list[Path]
) -> None:
    page = visitor.page
    before = len(visitor.posted())
    unfold(page, "#settings")
    page.select_option("#model", "rilievo/small")
    visitor.facts.get_by_text("in this browser").wait_for(state="attached")
    visitor.give(photographs[1])
    assert len(visitor.posted()) == before
    assert "nothing was uploaded" in page.locator("#state").inner_text()
    unfold(page, "#files")
    assert page.locator("button[data-output=glb]").is_visible()
    assert not page.locator("a[data-save=glb]").is_visible()


def test_what_cannot_be_answered_is_one_line(
    visitor: Visitor, photographs: list[Path], tmp_path: Path
) -> None:
    page = visitor.page
    broken, huge = tmp_path / "<b>broken.jpg", tmp_path / "huge.png"
    broken.write_bytes(photographs[0].read_bytes()[:900])
    huge.write_bytes(bytes(2_500_000))
    many = tmp_path / "many.png"
    Image.new("L", (2000, 2000)).save(many)
    for path, words in (
        (broken, "is truncated"),
        (huge, "this server accepts at most 2 MB"),
        (many, "above the limit of 3.0 million"),
    ):
        page.set_input_files("#photo-file", path)
        fault = page.locator("#state.fault", has_text=words)
        fault.wait_for()
        assert fault.inner_text().count(path.name) == 1
        assert fault.inner_text().count("\n") == 0
    assert page.locator("#state b").count() == 0
    page.set_viewport_size({"width": 390, "height": 844})
    bar, below = (page.locator(each).bounding_box() for each in ("#state", "#result-title"))
    assert bar["y"] + bar["height"] <= below["y"], "it covers nothing on a phone"
    page.goto(f"{page.url.partition('/r/')[0].rstrip('/')}/r/{'A' * 22}")
    page.locator("#state.fault", has_text="no longer exists").wait_for()
    unfold(page, ".menu:has(#examples)")
    page.get_by_title("A bear").click()
    visitor.wait("bear")


@pytest.mark.slow
def test_on_a_phone_the_camera_is_first_and_all_can_be_hit(
    browser: Any, server: ServeProcess, photographs: list[Path]
) -> None:
    size = {"width": 390, "height": 844}
    phone = Visitor(browser, server, viewport=size, is_mobile=True, has_touch=True)
    phone.wait("hat")
    phone.give(photographs[0])
    page = phone.page
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    camera, choose = (
        page.locator(each).bounding_box() for each in ("#camera-start", ".first >> nth=0")
    )
    assert (camera["y"], camera["x"]) < (choose["y"], choose["x"])
    for each in page.locator("button:visible, a:visible, select:visible, label:visible").all():
        box = each.bounding_box()
        assert min(box["height"], box["width"]) >= 24, each.inner_text()
    assert share_of_pictures(page) >= 0.45
    unfold(page, "#settings")
    for each in page.locator("#settings label:visible").all():
        assert each.bounding_box()["height"] < 64, "no word is broken into letters"
    assert phone.complaints == []
    phone.context.close()


@pytest.mark.slow
def test_a_video_is_made_and_keeps_its_address(visitor: Visitor, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "walk.mp4", Clip(pictures=numbered(8)))
    sync_api = pytest.importorskip("playwright.sync_api")
    page = visitor.page
    page.set_input_files("#photo-file", clip)
    page.get_by_role("link", name="walk.depth.mp4").wait_for()
    # The page's own security policy refuses wait_for_function, which polls by eval.
    made = sync_api.expect(page.locator("#video-made"))
    made.to_have_js_property("videoWidth", 128, timeout=60_000)
    assert not page.locator("#result").is_visible()
    page.reload()
    page.get_by_role("link", name="walk.depth.mp4").wait_for()
    unfold(page, ".menu:has(#examples)")
    page.get_by_title("A cup of coffee").click()
    visitor.wait("coffee")
    assert page.locator("#result").is_visible()
    assert not page.locator("#video-result").is_visible()


@pytest.mark.slow
def test_a_video_is_stopped_and_leaves_nothing(
    visitor: Visitor, server: ServeProcess, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "long.mp4", Clip(pictures=numbered(400, (480, 640))))
    page, results = visitor.page, server.folders[0] / "results"
    before = {*results.iterdir()}
    page.set_input_files("#photo-file", clip)
    page.locator("#state", has_text="% done").wait_for()
    page.click("#video-stop")
    page.locator("#state", has_text="stopped").wait_for()
    assert {*results.iterdir()} == before


@pytest.mark.slow
def test_a_photograph_comes_from_the_camera_and_the_clipboard(visitor: Visitor) -> None:
    page = visitor.page
    page.click("#camera-start")
    page.locator("#rate", has_text="frames a second").wait_for()
    page.click("#camera-take")
    visitor.wait("camera")
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(
        """async () => {
            const canvas = document.createElement('canvas');
            [canvas.width, canvas.height] = [300, 200];
            canvas.getContext('2d').fillRect(50, 50, 100, 100);
            const file = await new Promise(done => canvas.toBlob(done, 'image/png'));
            await navigator.clipboard.write([new ClipboardItem({'image/png': file})]);
        }"""
    )
    page.keyboard.press("Control+V")
    visitor.wait("image")
