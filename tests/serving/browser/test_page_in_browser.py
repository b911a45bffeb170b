"""The page of ``rilievo page`` in a real browser, against what Python says."""

import io
import json
import os
import re
import warnings
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.spatial import cKDTree
from skimage import data

import rilievo
from rilievo.calibration.sizes import KnownLength
from rilievo.geometry.surfaces.meshes import mesh, point_cloud
from rilievo.io.outputs.formats.stereo import stereo_picture
from rilievo.io.outputs.save_options import SaveOptions, StereoOptions
from rilievo.measure.page_terms import page_terms
from rilievo.prediction import Prediction
from rilievo.prediction.readback import read_prediction
from rilievo.serving.browser.folder import write_page
from support.browser import COARSE, chromium, share_of_pictures, unfold
from support.ply_files import read_ply
from support.round_pictures import round_picture
from support.static_host import PATIENCE, Isolating, Visitor, hosted

CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
RENDERED = Path(__file__).resolve().parents[3] / "lab/making/small-rendered.onnx"
"""A network besides those of every page."""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person in two formats."""
    folder = tmp_path_factory.mktemp("photographs")
    person = np.asarray(Image.fromarray(data.astronaut()).resize((320, 320)))
    Image.fromarray(person).save(folder / "person.png")
    Image.fromarray(person).save(folder / "person.jpg", quality=90)
    return folder


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("page") / "site"
    write_page(folder)
    with hosted(folder) as address:
        yield address


@pytest.fixture(scope="module")
def visitor(address: str) -> Iterator[Visitor]:
    with chromium(*CAMERA) as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **COARSE)
        visitor = Visitor(context, address)
        yield visitor
        assert visitor.complaints == []
        assert {url for url in visitor.asked if not url.startswith((address, "blob:"))} == set()


@pytest.fixture
def fresh_visitor(visitor: Visitor, address: str) -> Iterator[Visitor]:
    """A visitor with a page that no other test has changed."""
    other = Visitor(visitor.context, address)
    yield other
    assert other.complaints == []
    other.page.close()


def by_python(path: Path) -> Prediction:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*border|.*transparent", category=UserWarning)
        return rilievo.predict(path, model="rilievo/small")


@pytest.mark.parametrize("name", ["person.png", "bordered.png"])
def test_ranges_are_those_of_python(
    visitor: Visitor, photographs: Path, tmp_path: Path, name: str
) -> None:
    bordered = np.pad(
        np.asarray(Image.open(photographs / "person.png")), ((60, 20), (0, 0), (0, 0))
    )
    Image.fromarray(bordered).save(photographs / "bordered.png")
    visitor.give(photographs / name)
    expected = page_terms(by_python(photographs / name), floor=False)
    unfold(visitor.page, "#share")
    with visitor.page.expect_download() as download:
        visitor.page.click("#save-page")
    download.value.save_as(tmp_path / "saved.html")
    unfold(visitor.page, "nothing")
    saved = (tmp_path / "saved.html").read_text("utf-8")
    told = re.search(r'id="measure-terms">(.*?)</script>', saved, re.DOTALL)
    assert told
    found = json.loads(told[1])
    without_confidence = page_terms(replace(by_python(photographs / name), confidence=None))
    assert abs(expected.own - without_confidence.own) > 0.1
    for each in ("own", "known_length", "far", "along", "deeper"):
        assert found[each] == pytest.approx(getattr(expected, each), abs=0.01), each
    for each in ("own", "known_point", "known_length"):
        value = getattr(expected.distance, each)
        assert found["distance"][each] == pytest.approx(value, abs=0.01), each


def check_depth(depth: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(depth, expected, rtol=1e-3)


@pytest.mark.parametrize("backing", [0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_points_and_mesh_are_those_of_python(
    visitor: Visitor, photographs: Path, tmp_path: Path, backing: float
) -> None:
    photograph = tmp_path / "persön.png"
    photograph.write_bytes((photographs / "person.png").read_bytes())
    visitor.give(photograph)
    expected = by_python(photograph)
    depth, K, cut = expected.depth, expected.camera, SaveOptions().cut
    assert K is not None
    assert expected.photo is not None
    cloud = point_cloud(
        depth.values,
        K.K,
        depth.valid,
        colours=expected.photo.pixels,
        normals=expected.normals,
        cut=cut,
    )
    written = read_ply(visitor.save("ply", tmp_path))
    pieces = [each.removeprefix("rilievo: ") for each in written.comments[2:]]
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= 200
    assert json.loads("".join(pieces))["source"]["file"] == photograph.name
    rows = written["vertex"]
    assert len(rows) == pytest.approx(len(cloud.points), rel=1e-3)
    if len(rows) == len(cloud.points):
        np.testing.assert_allclose(rows["z"], cloud.points[:, 2], rtol=1e-3)
        np.testing.assert_array_equal(rows["red"], cloud.colours[:, 0])  # type: ignore[index]
        np.testing.assert_allclose(rows["ny"], cloud.normals[:, 1], atol=1e-2)
    unfold(visitor.page, "#surface-controls .menu")
    visitor.page.locator("#backing").set_checked(backing > 0)
    surface = mesh(
        depth.values,
        K.K,
        depth.valid,
        normals=expected.normals,
        cut=cut,
        flatness=0.004,
        smooth=True,
        backing=backing,
    )
    scene = trimesh.load(visitor.save("glb", tmp_path))
    assert isinstance(scene, trimesh.Scene)
    [shape] = scene.geometry.values()
    assert len(shape.vertices) == pytest.approx(len(surface.points), rel=1e-2)
    assert len(shape.faces) == pytest.approx(len(surface.triangles), rel=1e-2)
    low, high = scene.bounds
    points = surface.points * np.array([1, -1, -1])
    np.testing.assert_allclose(low, points.min(axis=0), rtol=1e-2)
    np.testing.assert_allclose(high, points.max(axis=0), rtol=1e-2)
    # Rims are moved, and the layer behind them is made, as in Python.
    far, _ = cKDTree(shape.vertices).query(points)
    assert np.mean(far > 1e-3 * surface.points[:, 2]) < 2e-3
    assert shape.area == pytest.approx(area_of(points, surface.triangles), rel=1e-2)


@pytest.mark.parametrize(("output", "layout"), [("side", "side-by-side"), ("anaglyph", "anaglyph")])
def test_stereo_pictures_are_those_of_python(
    visitor: Visitor, photographs: Path, tmp_path: Path, output: str, layout: str
) -> None:
    visitor.give(photographs / "person.png")
    expected = by_python(photographs / "person.png")
    assert expected.photo is not None
    picture = stereo_picture(
        expected.photo.pixels, expected.depth, StereoOptions(layout=layout)
    ).astype(int)
    with Image.open(visitor.save(output, tmp_path)) as image:
        found = np.asarray(image.convert("RGB")).astype(int)
    assert found.shape == picture.shape
    # Depth differs in its last digits, so some pixels fall one column beside.
    assert np.mean(np.abs(found - picture) > 3) < 0.01


def area_of(points: np.ndarray, triangles: np.ndarray) -> float:
    return float(trimesh.Trimesh(points, triangles, process=False).area)


def test_a_known_length_gives_the_metres_of_python_in_files_too(
    visitor: Visitor, photographs: Path, tmp_path: Path
) -> None:
    visitor.give(photographs / "person.png")
    page = visitor.page
    page.click("#add-line")
    page.locator("#lines input").fill("0.5")
    page.locator("#lines input").press("Enter")
    assert page.locator("#lines output").all_inner_texts() == ["0.5 m, known"]
    assert "in files" in page.locator("#measure-words").inner_text()
    found = read_prediction(visitor.save("png16", tmp_path))
    calibration = found.calibration
    assert calibration is not None
    [asked] = calibration.asked
    u1, v1, u2, v2, metres = map(float, asked.split(","))
    known = KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=metres)
    expected = rilievo.predict(photographs / "person.png", model="rilievo/small", known=[known])
    np.testing.assert_allclose(found.depth.values, expected.depth.values, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken.jpg", b"\xff\xd8\xff\xe0 and nothing more", "JPEG or PNG"),
        ("note.txt", b"no photograph", "JPEG or PNG"),
        ("empty.png", b"", "the file is empty"),
        ("speck.png", None, "each side needs at least 32"),
    ],
)
def test_what_is_no_photograph_is_told_in_one_line(
    visitor: Visitor, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is None:
        Image.new("RGB", (20, 40)).save(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    visitor.page.set_input_files("#photo-file", tmp_path / name)
    visitor.page.locator("#state.fault", has_text=name).wait_for()
    assert words in visitor.state
    assert "\n" not in visitor.state


@pytest.mark.slow
def test_a_photograph_above_the_limit_is_made_smaller_and_that_is_told(
    visitor: Visitor, tmp_path: Path
) -> None:
    Image.fromarray(data.coffee()).resize((4800, 3200)).save(tmp_path / "huge.jpg", quality=60)
    visitor.give(tmp_path / "huge.jpg")
    assert "reduced from 15.4 to 12.6 megapixels" in visitor.notes
    assert "4347 × 2898 px" in visitor.page.locator("#facts").text_content()


@pytest.mark.slow
def test_a_panorama_is_seen_in_views_as_python_sees_it(
    visitor: Visitor, photographs: Path, tmp_path: Path
) -> None:
    path = tmp_path / "hall.png"
    path.write_bytes(round_picture())
    visitor.give(path)
    assert "Looks like a panorama and is treated as one" in visitor.notes
    assert "360.0° wide" in (visitor.page.locator("#facts").text_content() or "")
    own = read_prediction(visitor.save("png16", tmp_path))
    expected = rilievo.predict(path, model="rilievo/small", projection="equirect")
    assert own.camera is not None
    assert expected.camera is not None
    assert own.depth.is_distance
    assert own.camera.lens == expected.camera.lens
    logs = [np.log(each.depth.values) for each in (own, expected)]
    misses = logs[0] - logs[1]
    assert np.median(np.abs(misses - np.median(misses))) < 0.1
    assert np.corrcoef(logs[0].ravel(), logs[1].ravel())[0, 1] > 0.8
    scene = trimesh.load(visitor.save("glb", tmp_path))
    assert isinstance(scene, trimesh.Scene)
    [shape] = scene.geometry.values()
    assert np.abs(shape.bounds).min() > 0.2 * np.abs(shape.bounds).max()
    assert not visitor.page.locator("[data-output=anaglyph]").is_visible()
    with Image.open(photographs / "person.png") as image:
        image.resize((512, 256)).save(tmp_path / "wide.png")
        full = "GPano:ProjectionType='equirectangular'"
        image.resize((512, 256)).save(tmp_path / "named.jpg", xmp=f"<x {full}/>".encode())
    visitor.give(tmp_path / "wide.png")
    assert "panorama" not in visitor.notes
    visitor.give(tmp_path / "named.jpg")
    assert "is treated as one" in visitor.notes


TALLER = "least => document.getElementById('photo').getBoundingClientRect().height > least"
"""Whether the photograph is taller than ``least`` [px], once the page is laid out anew."""


@pytest.mark.slow
def test_in_a_low_window_an_upright_photograph_lies_beside_its_depth(
    fresh_visitor: Visitor, tmp_path: Path
) -> None:
    Image.fromarray(data.astronaut()[:, 100:441]).save(tmp_path / "upright.png")
    fresh_visitor.give(tmp_path / "upright.png")
    page = fresh_visitor.page
    for width, height in ((1280, 600), (1366, 650)):
        page.set_viewport_size({"width": width, "height": height})
        page.locator(".views.beside").wait_for()
        page.locator("#tabs button", has_text="Normals").click()
        page.wait_for_function(TALLER, arg=0.3 * height)  # a strip of results takes its part
        photo, normals = (page.locator(each).bounding_box() for each in ("#photo", "#normals"))
        assert photo is not None
        assert normals is not None
        assert photo["height"] == pytest.approx(normals["height"], abs=1)
        assert photo["x"] + photo["width"] == pytest.approx(normals["x"], abs=1)
        label = page.locator(".stage .right").bounding_box()
        assert label is not None
        assert label["x"] > normals["x"]
        assert label["x"] + label["width"] <= normals["x"] + normals["width"]


def test_exif_tells_the_camera(visitor: Visitor, photographs: Path, tmp_path: Path) -> None:
    with Image.open(photographs / "person.jpg") as image:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0xA405] = 28
        image.save(tmp_path / "exif.jpg", exif=exif)
    visitor.give(tmp_path / "exif.jpg")
    camera = rilievo.read_photo(tmp_path / "exif.jpg").camera
    assert camera is not None
    degrees = np.degrees(2 * np.arctan(160 / camera.K[0, 0]))
    facts = visitor.page.locator("#facts").text_content()
    assert f"from EXIF, 35 mm equivalent focal length; {degrees:.1f}° wide" in facts


def test_a_field_of_view_is_taken_in_place_of_the_assumed_one(
    visitor: Visitor, photographs: Path, tmp_path: Path
) -> None:
    page = visitor.page
    unfold(page, "#settings")
    page.locator("#fov").fill("300")
    page.locator("#fov").press("Enter")
    page.locator("#state.fault", has_text="1 to 170").wait_for()
    unfold(page, "#settings")
    page.locator("#fov").fill("80")
    visitor.give(photographs / "person.png")
    found = read_prediction(visitor.save("png16", tmp_path)).camera
    unfold(page, "#settings")
    page.locator("#fov").fill("")
    expected = rilievo.predict(photographs / "person.png", model="rilievo/small", fov=80).camera
    assert found is not None
    assert expected is not None
    np.testing.assert_allclose(found.K, expected.K)
    assert found.source is expected.source


@pytest.mark.slow
def test_a_network_of_ones_own_is_run_and_what_is_none_is_told(
    visitor: Visitor, photographs: Path, tmp_path: Path
) -> None:
    visitor.give(photographs / "person.png")
    (tmp_path / "none.onnx").write_bytes(b"no network at all")
    visitor.page.set_input_files("#model-file", tmp_path / "none.onnx")
    visitor.page.locator("#state.fault", has_text="none.onnx").wait_for()
    assert "not an ONNX file" in visitor.state
    visitor.give_network(RENDERED, "rilievo/small-rendered")
    assert "small-rendered.onnx" in visitor.page.locator("#model option:checked").text_content()
    unfold(visitor.page, "#settings")
    visitor.page.select_option("#model", "rilievo/small")
    visitor.page.locator("#state", has_text="Done").wait_for()


# Hands a file to the page as a browser does when something is dropped or pasted.
HAND_OVER = """([kind, name, bytes]) => {
  const files = new DataTransfer();
  const content = Uint8Array.from(atob(bytes), (each) => each.charCodeAt(0));
  if (bytes) files.items.add(new File([content], name, { type: "image/png" }));
  else files.setData("text/plain", "no picture");
  dispatchEvent(kind === "drop" ? new DragEvent(kind, { dataTransfer: files, cancelable: true })
    : new ClipboardEvent(kind, { clipboardData: files }));
}"""


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_photographs_are_dropped_and_pasted(visitor: Visitor, photographs: Path, kind: str) -> None:
    page, content = visitor.page, b64encode((photographs / "person.png").read_bytes())
    page.evaluate(HAND_OVER, [kind, f"{kind}.png", content.decode()])
    page.locator("#result-title", has_text=f"{kind}.png").wait_for()
    page.locator("#state", has_text="Done").wait_for()
    page.evaluate(HAND_OVER, [kind, "", ""])
    page.locator("#state.fault", has_text="first" if kind == "paste" else "not a file").wait_for()


def test_without_a_camera_the_page_says_so(fresh_visitor: Visitor) -> None:
    page = fresh_visitor.page
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () => "
        "Promise.reject(new DOMException('', 'NotFoundError')); }"
    )
    page.click("#camera-start")
    page.locator("#state.fault", has_text="no camera was found").wait_for()
    assert not page.locator("#live").is_visible()


@pytest.mark.slow
def test_the_camera_is_live_and_gives_a_photograph(fresh_visitor: Visitor) -> None:
    page = fresh_visitor.page
    page.click("#camera-start")
    page.locator("#rate", has_text="frames a second").wait_for()
    page.click("#camera-take")
    page.locator("#result-title", has_text="camera.png").wait_for()
    page.locator("#state", has_text="Done").wait_for()
    assert not page.locator("#live").is_visible()


@pytest.mark.slow
def test_a_phone_shows_everything_without_scrolling_sideways(
    visitor: Visitor, address: str, photographs: Path
) -> None:
    context = visitor.context.browser.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, **COARSE
    )
    phone = Visitor(context, address)
    phone.give(photographs / "person.png")
    assert share_of_pictures(phone.page) >= 0.45
    line = phone.page.locator(".stage input")
    for whole in ("0", "50"):
        phone.page.locator("#tabs button", has_text="Depth").click()
        assert line.input_value() == whole
    box = phone.page.locator("html").bounding_box()
    assert box is not None
    assert box["width"] == 390
    for each in phone.page.locator(
        "section:visible, button:visible, .button:visible, select:visible"
    ).all():
        place = each.bounding_box()
        assert place is not None
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= 390
        assert place["height"] >= 24
    assert phone.complaints == []
    context.close()


def test_depth_is_as_large_as_the_photograph_and_the_legend_has_no_bare_number(
    fresh_visitor: Visitor, photographs: Path
) -> None:
    page = fresh_visitor.page
    fresh_visitor.give(photographs / "person.png")
    page.locator("#state.settled").wait_for()  # a sharper answer shows the lines anew
    photo, depth = (page.locator(each).bounding_box() for each in ("#photo", "#depth"))
    assert (photo["width"], photo["height"]) == (depth["width"], depth["height"])
    assert depth["y"] == pytest.approx(photo["y"] + photo["height"], abs=1)
    # The flat pane beside the surface is full: its last button ends at the lower edge.
    pane, foot = (page.locator(each).bounding_box() for each in (".flat", ".foot"))
    assert foot["y"] + foot["height"] == pytest.approx(pane["y"] + pane["height"], abs=1)
    assert page.locator("#ticks span").all_inner_texts() == ["far", "", "", "", "near"]
    length, told = page.locator("#lines input"), []
    in_metres = page.locator("#ticks span", has_text=" m")
    for _ in range(4):  # on a busy machine a surface may come without what measures it
        page.click("#add-line")
        for _ in range(60):
            page.wait_for_timeout(150)
            if length.count():
                break
        if length.count():
            length.first.fill("0.5")
            length.first.press("Enter")
            for _ in range(60):
                page.wait_for_timeout(150)
                if in_metres.count():
                    break
        if in_metres.count():
            break
        state = page.locator("#surface-state").text_content()
        told.append([fresh_visitor.state, state, page.url, page.locator("#lines").inner_html()])
        fresh_visitor.give(photographs / "person.png")
    assert in_metres.count(), told
    ticks = page.locator("#ticks span").all_inner_texts()
    assert all(each.endswith(" m") for each in ticks)
    assert ticks[0].startswith("far ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wait", "is_kept"),
    [
        pytest.param(0, True, id="at once-kept", marks=pytest.mark.slow),
        pytest.param(0, False, id="at once-in a private window"),
        pytest.param(500, True, id="later-kept", marks=pytest.mark.slow),
        pytest.param(500, False, id="later-in a private window", marks=pytest.mark.slow),
    ],
)
def test_lines_stay_where_their_photograph_is_predicted_anew(
    visitor: Visitor, address: str, photographs: Path, is_kept: bool, wait: int
) -> None:
    """Lines are handed on after 0.3 s of quiet; a field of view is asked for at once or later."""
    context = visitor.context.browser.new_context(viewport={"width": 1280, "height": 900}, **COARSE)
    if not is_kept:
        context.add_init_script("IDBFactory.prototype.open = () => { throw new Error('private'); }")
    other = Visitor(context, address)
    page = other.page
    other.give(photographs / "person.png")
    page.click("#add-line")
    page.locator("#lines input").fill("0.5")
    page.locator("#lines input").press("Enter")
    page.wait_for_timeout(wait)
    page.evaluate(
        "document.getElementById('state').textContent = '';"
        "document.getElementById('add-height').click();"
        "const view = document.getElementById('fov');"
        "view.value = 80; view.dispatchEvent(new Event('change'));"
    )
    page.locator("#state", has_text="Done").wait_for()
    assert "80.0° wide" in page.locator("#facts").text_content()
    length, height = page.locator("#lines output").all_inner_texts()
    assert length == "0.5 m, known"
    assert height.startswith("height above the floor")
    if is_kept:
        page.wait_for_url("**/?own=*#m=l*;h*")
    other.give(photographs / "person.jpg")
    assert page.locator("#lines li").count() == 0
    assert other.complaints == []
    context.close()


@pytest.mark.slow
def test_the_first_result_wipes_once_and_invites_to_drag(visitor: Visitor, address: str) -> None:
    assert visitor.page.locator(".wipes").count() == 0, "motion is not wanted there"
    browser = visitor.context.browser
    context = browser.new_context(viewport={"width": 1280, "height": 800}, device_scale_factor=0.5)
    # It may be over before the page is said to be loaded.
    context.add_init_script(
        "new MutationObserver((_, watch) => { if (!document.querySelector('.wipes')) return;"
        " watch.disconnect(); document.documentElement.dataset.wiped = ''; })"
        ".observe(document, {subtree: true, childList: true});"
    )
    page = context.new_page()
    page.goto(address)
    wipes, words = page.locator(".wipes"), page.locator(".hint")
    page.locator("html[data-wiped]").wait_for(timeout=PATIENCE)
    wipes.wait_for(state="detached", timeout=PATIENCE)
    assert words.inner_text().endswith("Drag to turn the surface")
    page.locator("#state", has_text="Done").wait_for(timeout=PATIENCE)
    assert page.url == address, "a turn that nobody made is no mark"
    shot = np.asarray(Image.open(io.BytesIO(page.locator("#surface").screenshot())).convert("RGB"))
    rim = np.concatenate([shot[0], shot[-1], shot[:, 0], shot[:, -1]])
    # Ground and grid are grey; the photograph is not.
    assert np.ptp(rim, axis=1).max() < 40, "the whole surface is in view, with air around it"
    assert np.ptp(shot, axis=2).max() > 150
    assert not page.locator("#add-line").is_visible(), "an example hides what measures"
    page.click("#measure-more")
    assert page.evaluate("document.activeElement.id") == "add-line"
    page.click("#add-line")
    assert not words.is_visible(), "it would lie on the lines"
    page.click("#undo")
    page.focus("#surface")
    page.keyboard.press("ArrowRight")
    words.wait_for(state="detached")
    page.wait_for_url("**#v=*")
    context.close()


def test_a_tablet_shows_the_whole_state(visitor: Visitor, photographs: Path) -> None:
    page, before = visitor.page, visitor.page.viewport_size
    page.set_viewport_size({"width": 768, "height": 1024})
    visitor.give(photographs / "person.png")
    assert visitor.state.endswith("nothing was uploaded.")
    hidden = "(state) => [state.scrollHeight - state.clientHeight, document.body.scrollWidth]"
    assert page.locator("#state").evaluate(hidden) == [0, 768]
    page.set_viewport_size(before)


@pytest.mark.slow
def test_threads_are_used_where_the_host_allows_them(
    visitor: Visitor, photographs: Path, tmp_path: Path
) -> None:
    write_page(tmp_path / "site")
    with hosted(tmp_path / "site", Isolating) as address:
        context = visitor.context.browser.new_context(**COARSE)
        isolated = Visitor(context, address)
        isolated.give(photographs / "person.png")
        facts = isolated.page.locator("#facts").text_content()
        assert ("one thread" in facts) == (len(os.sched_getaffinity(0)) == 1)
        depth, _ = isolated.depth(tmp_path)
        assert isolated.complaints == []
        context.close()
    check_depth(depth, by_python(photographs / "person.png").depth.values)


@pytest.mark.slow
def test_it_works_offline_after_the_first_visit(
    visitor: Visitor, photographs: Path, tmp_path: Path
) -> None:
    write_page(tmp_path / "site", [RENDERED])
    context = visitor.context.browser.new_context(**COARSE)
    with hosted(tmp_path / "site") as address:
        guest = Visitor(context, address)
        guest.page.locator("html[data-offline]").wait_for()
    # The host is gone.
    guest.page.reload()
    guest.wait_until_ready()
    guest.give(photographs / "person.png")
    depth, _ = guest.depth(tmp_path)
    check_depth(depth, by_python(photographs / "person.png").depth.values)
    unfold(guest.page, "#settings")
    guest.page.select_option("#model", "rilievo/small-rendered")
    guest.page.locator("#state.fault", has_text="cannot be reached").wait_for()
    context.close()


FULL = 'Cache.prototype.put = () => Promise.reject(new DOMException("", "QuotaExceededError"));'


@pytest.mark.slow
@pytest.mark.parametrize("is_full", [False, True])
def test_models_are_kept_where_there_is_room_and_answered_where_there_is_none(
    visitor: Visitor, tmp_path: Path, *, is_full: bool
) -> None:
    write_page(tmp_path / "site", [RENDERED])
    script = tmp_path / "site/sw.js"
    script.write_text(f"{FULL if is_full else ''}\n{script.read_text('utf-8')}", "utf-8")
    (tmp_path / "site/note.txt").write_text("no part of the page")
    with hosted(tmp_path / "site") as address:
        context = visitor.context.browser.new_context(**COARSE)
        guest = Visitor(context, address)
        guest.page.locator("html[data-offline]").wait_for()
        guest.page.reload()
        guest.wait_until_ready()
        guest.choose("rilievo/small-rendered")
        kept = guest.page.evaluate(
            """async () => {
                await fetch("note.txt");
                const [name] = await caches.keys(), cache = await caches.open(name);
                return (await cache.keys()).map((each) => each.url.split("/").at(-1));
            }"""
        )
        assert any(each.startswith("rilievo-small-rendered") for each in kept) == (not is_full)
        assert any(re.match("rilievo-small-(?!rendered)", each) for each in kept)
        assert "note.txt" not in kept
        assert guest.complaints == []
        context.close()


@pytest.mark.slow
@pytest.mark.parametrize(("gpu", "runtime"), [("0", "ort"), ("1", "ort-gpu")])
def test_a_browser_is_given_the_runtime_of_one_device_and_has_it_without_a_network(
    visitor: Visitor, photographs: Path, tmp_path: Path, gpu: str, runtime: str
) -> None:
    write_page(tmp_path / "site")
    with hosted(tmp_path / "site") as address:
        context = visitor.context.browser.new_context(**COARSE)
        guest = Visitor(context, f"{address}?gpu={gpu}")
        if gpu == "1" and not guest.page.evaluate("() => 'Suspending' in WebAssembly"):
            pytest.skip("this Chromium cannot suspend WebAssembly")
        guest.page.locator("html[data-offline]").wait_for()
        kept = guest.page.evaluate(
            """async () => {
                const [name] = await caches.keys(), cache = await caches.open(name);
                return (await cache.keys()).map((each) => each.url.split("/").at(-1));
            }"""
        )
    assert [each for each in kept if each.endswith(".wasm.gz")] == [f"{runtime}.wasm.gz"]
    guest.page.reload()
    guest.wait_until_ready()
    guest.give(photographs / "person.png")
    depth, _ = guest.depth(tmp_path)
    check_depth(depth, by_python(photographs / "person.png").depth.values)
    context.close()


@pytest.mark.slow
def test_webgpu_answers_as_in_python_where_it_is_asked_for(
    address: str, photographs: Path, tmp_path: Path
) -> None:
    software = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
    with chromium(*software, "--enable-features=Vulkan", "--use-vulkan=swiftshader") as browser:
        context = browser.new_context(**COARSE)
        guest = Visitor(context, f"{address}?gpu=1")
        if not guest.page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())"):
            pytest.skip("this Chromium has no WebGPU in software")
        guest.give(photographs / "person.png")
        assert "device webgpu" in guest.page.locator("#facts").text_content()
        depth, _ = guest.depth(tmp_path)
        check_depth(depth, by_python(photographs / "person.png").depth.values)
        assert not [each for each in guest.complaints if "provider" in each]
