"""Functions of the page's scripts against those of Python that they repeat, on the same numbers."""

import io
import json
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational
from skimage import data

import rilievo
from rilievo.alignment.anchor import anchor
from rilievo.calibration.floor import find_floor
from rilievo.geometry.borders import Margins, find_margins
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.normals import normals_from_depth
from rilievo.geometry.surfaces.meshes import mesh, point_cloud
from rilievo.io.json_record import to_json
from rilievo.io.outputs.formats.stereo import stereo_picture
from rilievo.io.outputs.save_options import SaveOptions, StereoOptions
from rilievo.io.outputs.sky import surface_pixels, surface_sky
from rilievo.io.outputs.sky_backdrop import sky_backdrop, sky_plane
from rilievo.io.photographs.photo import read_photo
from rilievo.models.resampling.inference import Filter
from rilievo.models.resampling.preparation import Grid, bilinear_points, shrink
from rilievo.models.resampling.resizing import resize, resize_by_filter
from rilievo.pages.relief import pack_relief
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from rilievo.serving.app.view_file import view_bytes
from support.browser import chromium
from support.exif_blocks import exif_block, scene
from support.grids import mostly_slow
from support.open_field import open_field
from support.predictions import prediction
from support.static_host import hosted

WEB = Path(__file__).parents[3] / "web"
PAGE = """<!doctype html><meta charset="utf-8"><title>Twins</title>
<script type="importmap">{"imports": {"relief": "./relief.js"}}</script>
<script type="module">
globalThis.modules = {};
for (const name of ["anchor", "app_view", "exif", "floor", "glb", "margins", "resample",
  "sky_backdrop", "stereo", "surface"]) {
  modules[name] = await import(`./${name}.js`);
}
globalThis.pictureOf = (field) => ({ ...field, values: Uint8ClampedArray.from(field.values) });
globalThis.fieldOf = (field) => ({ ...field, values: Float32Array.from(field.values) });
globalThis.mapOf = (map) => ({ ...map, name: "photo.png", madeBy: {}, notes: [],
  depth: Float32Array.from(map.depth), valid: map.valid && Uint8Array.from(map.valid),
  photo: map.photo && pictureOf(map.photo), sky: map.sky && Uint8Array.from(map.sky),
  transparent: map.transparent && Uint8Array.from(map.transparent) });
globalThis.base64Of = async (blob) => {
  const address = await new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(blob);
  });
  return address.split(",")[1];
};
document.documentElement.dataset.ready = "";
</script>
"""
HEIGHT, WIDTH = 90, 120
K = np.array([[110.0, 0.0, 59.5], [0.0, 110.0, 44.5], [0.0, 0.0, 1.0]])
CAMERA = Camera(K=K, source=CameraSource.GIVEN)
CUT = SaveOptions().cut

Call = Callable[[str, Mapping[str, Any] | str], Any]
"""Value of an expression of JavaScript, in which the facts are `facts`."""


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Call]:
    folder = tmp_path_factory.mktemp("twins")
    for path in (WEB / "source").glob("*.js"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "relief.js").write_text(relief_module())
    (folder / "index.html").write_text(PAGE)
    with chromium() as browser, hosted(folder) as address:
        page = browser.new_page()
        page.goto(address)
        page.locator("html[data-ready]").wait_for(state="attached")

        def value(expression: str, facts: Mapping[str, Any] | str) -> Any:
            # As texts, since arrays of numbers cost a browser's protocol a hundred times as much.
            script = f"""async (text) => {{
              const value = async (facts) => {expression};
              return JSON.stringify(await value(JSON.parse(text)));
            }}"""
            return json.loads(page.evaluate(script, json.dumps(facts)))

        yield value


def relief_module() -> str:
    """The scripts of saved pages as one module, as web/build.js makes it."""
    build = (WEB / "build.js").read_text()
    names = re.search(r"SHAPES = view\((.*?)\)", build)
    exports = re.search(r'exports: "(export \{.*?)"\s*\+ "(.*?)"', build, re.DOTALL)
    assert names is not None
    assert exports is not None
    folder = WEB.parent / "src/rilievo/pages/surface_view"
    texts = [(folder / f"{name}.js").read_text() for name in re.findall(r"\w+", names[1])]
    return "\n".join([*texts, exports[1] + exports[2]])


def plain_picture(pixels: np.ndarray) -> dict[str, Any]:
    opaque = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    return {"height": len(pixels), "width": pixels.shape[1], "values": opaque.ravel().tolist()}


def plain_field(field: np.ndarray) -> dict[str, Any]:
    return {"height": len(field), "width": field.shape[1], "values": field.ravel().tolist()}


def plain_map(depth: DepthMap, photo: np.ndarray | None = None) -> dict[str, Any]:
    height, width = depth.shape
    return {
        "height": height,
        "width": width,
        "kind": depth.kind.value,
        "depth": np.nan_to_num(depth.values).ravel().tolist(),
        "valid": None if depth.valid.all() else depth.valid.ravel().astype(int).tolist(),
        "camera": {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]},
        "photo": None if photo is None else plain_picture(photo),
    }


def room(*, holes: bool = True) -> DepthMap:
    """A floor 1.5 below the camera, a wall 5 away, a box before them and, if asked for, holes."""
    rng = np.random.default_rng(3)
    v = np.arange(HEIGHT)[:, None]
    down = (v - K[1, 2]) / K[1, 1]
    depth = np.tile(np.minimum(5, 1.5 / np.maximum(down, 1e-6)), WIDTH)
    depth[30:70, 40:75] = 2.0
    depth *= 1 + 0.002 * rng.standard_normal(depth.shape)
    valid = rng.random(depth.shape) > 0.01 if holes else np.ones(depth.shape, bool)
    values = np.where(valid, depth, 0).astype(np.float32)
    return DepthMap(values=values, kind=DepthKind.UP_TO_SCALE, valid=valid)


def photograph(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.asarray(Image.fromarray(data.coffee()).resize((width, height)))


SIDES = ("top", "right", "bottom", "left")
BARS = {
    "none": (0, 0, 0, 0),
    "above and below": (12, 0, 14, 0),
    "beside": (0, 20, 0, 18),
    "all round": (10, 12, 10, 12),
}


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("sides", BARS.values(), ids=BARS)
def test_borders_are_those_of_python(
    call: Call, sides: tuple[int, int, int, int], level: int
) -> None:
    top, right, bottom, left = sides
    pixels = np.full((HEIGHT + top + bottom, WIDTH + left + right, 3), level, np.uint8)
    pixels[top : top + HEIGHT, left : left + WIDTH] = photograph()
    expected = find_margins(pixels)
    assert bool(expected) == any(sides)
    assert borders_of_page(call, pixels) == sides_of(expected)


def borders_of_page(call: Call, pixels: np.ndarray) -> dict[str, int]:
    borders = call("modules.margins.marginsOf(pictureOf(facts))", plain_picture(pixels))
    return borders or dict.fromkeys(SIDES, 0)


def sides_of(margins: Margins) -> dict[str, int]:
    return {name: getattr(margins, name) for name in SIDES}


@pytest.mark.parametrize("blur", [1, 3, 6, 12])
def test_blurred_bars_and_thin_frames_are_those_of_python(call: Call, blur: int) -> None:
    pixels = np.zeros((HEIGHT + 40, WIDTH, 3), np.uint8)
    pixels[20:-20] = photograph()
    share = np.linspace(0, 1, blur + 2)[1:-1, None, None]
    pixels[20 - blur : 20] = share * pixels[20]
    pixels[-20 : blur - 20] = share[::-1] * pixels[-21]
    assert borders_of_page(call, pixels) == sides_of(find_margins(pixels))
    framed = photograph().copy()
    framed[[0, -1]] = framed[:, [0, -1]] = (120, 30, 60)
    assert find_margins(framed)
    assert borders_of_page(call, framed) == sides_of(find_margins(framed))


@pytest.mark.parametrize("size", [(30, 40), (45, 31), (13, 120), (90, 17)])
def test_shrunk_pictures_have_the_bytes_of_python(call: Call, size: tuple[int, int]) -> None:
    pixels = photograph()
    facts = {"picture": plain_picture(pixels), "size": size}
    small = call("[...modules.resample.shrink(pictureOf(facts.picture), facts.size).values]", facts)
    np.testing.assert_array_equal(np.reshape(small, (*size, 4))[..., :3], shrink(pixels, size))


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(30, 40), (130, 150), (60, 200)])
def test_resized_pictures_have_the_bytes_of_pillow(
    call: Call, size: tuple[int, int], name: str
) -> None:
    pixels = photograph()
    facts = {"picture": plain_picture(pixels), "size": size, "name": name}
    result = call(
        "[...modules.resample.resizePicture(pictureOf(facts.picture), facts.size, "
        "modules.resample.FILTERS[facts.name]).values]",
        facts,
    )
    expected = Image.fromarray(pixels).resize(size[::-1], Image.Resampling[name.upper()])
    np.testing.assert_array_equal(np.reshape(result, (*size, 4))[..., :3], np.asarray(expected))


@pytest.mark.parametrize("filter", list(Filter))
@pytest.mark.parametrize("size", [(45, 60), (181, 203)])
def test_resized_fields_are_those_of_python(
    call: Call, size: tuple[int, int], filter: Filter
) -> None:
    field = np.random.default_rng(0).uniform(1, 9, (HEIGHT, WIDTH)).astype(np.float32)
    facts = {"field": plain_field(field), "size": size, "filter": filter.value}
    result = call(
        "[...modules.resample.resizeField(fieldOf(facts.field), facts.size, null, "
        "modules.resample.ANSWER_FILTERS[facts.filter]).values]",
        facts,
    )
    expected = resize_by_filter(field, size, filter)
    np.testing.assert_allclose(np.reshape(result, size), expected, atol=3e-5)
    if filter is Filter.ANTIALIASED:
        np.testing.assert_allclose(np.reshape(result, size), resize(field, size), atol=3e-5)


@pytest.mark.parametrize("grid", list(Grid))
def test_points_between_pixels_are_those_of_python(call: Call, grid: Grid) -> None:
    pixels, size, border = photograph(), (77, 150), (3, 5)
    facts = {
        "picture": plain_picture(pixels),
        "size": size,
        "corners": grid is Grid.CORNERS,
        "border": border,
    }
    result = call(
        "[...modules.resample.bilinearPoints(pictureOf(facts.picture), facts.size, facts.corners, "
        "facts.border)]",
        facts,
    )
    expected = bilinear_points(pixels, size, grid=grid, border=border)
    np.testing.assert_allclose(np.reshape(result, expected.shape), expected, atol=3e-3)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_surfaces_have_the_triangles_of_python(call: Call, step: int) -> None:
    depth = room()
    facts = {"map": plain_map(depth), "step": step}
    surface = call(
        """{
        const { lattice, faces } = modules.surface.meshOf(mapOf(facts.map), facts.step, false);
        const { triangles, pixelOf } = await import("./relief.js");
        return { normals: [...modules.surface.normalsOn(lattice, faces)],
          corners: [...triangles(faces, lattice)],
          pixels: [...lattice.z.keys()].map((at) => pixelOf(lattice, at)) };
        }""",
        facts,
    )
    expected = mesh(depth.values, CAMERA, depth.valid, step=step, cut=CUT)
    pixels, corners = np.array(surface["pixels"]), np.reshape(surface["corners"], (-1, 3))
    assert pixel_triangles(pixels, corners) == pixel_triangles(expected.pixels, expected.triangles)
    normals = dict(
        zip(map(tuple, pixels.tolist()), np.reshape(surface["normals"], (-1, 3)), strict=True)
    )
    own = np.array([normals[tuple(pixel)] for pixel in expected.pixels.tolist()])
    np.testing.assert_allclose(own, expected.normals, atol=1e-4)


def pixel_triangles(pixels: np.ndarray, triangles: np.ndarray) -> set[frozenset[Any]]:
    return {frozenset(map(tuple, pixels[triangle].tolist())) for triangle in triangles}


@pytest.mark.parametrize("step", [1, 2])
def test_clouds_have_the_points_of_python(call: Call, step: int) -> None:
    depth = room()
    facts = {"map": plain_map(depth), "step": step}
    mask = call("[...modules.surface.cloudOf(mapOf(facts.map), facts.step).valid]", facts)
    expected = point_cloud(depth.values, CAMERA, depth.valid, step=step, cut=CUT)
    assert sum(mask) == len(expected.points)


def street() -> DepthMap:
    """A floor that deep places bend: depth to the power 0.6 beyond 3, 100 away at most."""
    down = np.tile(((np.arange(HEIGHT) - K[1, 2]) / K[1, 1])[:, None], WIDTH)
    depth = np.minimum(100, 1.5 / np.maximum(down, 1e-6))
    depth = np.where(depth > 3, 3 * (depth / 3) ** 0.6, depth)
    return DepthMap(
        values=depth.astype(np.float32),
        kind=DepthKind.UP_TO_SCALE,
        valid=np.ones(depth.shape, bool),
    )


FLOOR = """{
  const map = mapOf(facts.map), normals = facts.normals;
  const normalsAt = (rows, columns) => Float32Array.from(rows.flatMap((row) =>
    columns.flatMap((column) => normals.map((axis) => axis[row * map.width + column]))));
  return modules.floor.floorOf({ ...map, normalsAt });
}"""


@pytest.mark.parametrize("scene", [room, street])
def test_the_floor_is_that_of_python(call: Call, scene: Callable[[], DepthMap]) -> None:
    depth = scene()
    normals, _ = normals_from_depth(depth.values.astype(np.float64), CAMERA, depth.valid)
    expected = find_floor(depth, CAMERA, normals=normals)
    floor = call(
        FLOOR, {"map": plain_map(depth), "normals": np.nan_to_num(normals).reshape(3, -1).tolist()}
    )
    assert floor["height"] == pytest.approx(expected.height, rel=1e-5)
    np.testing.assert_allclose(floor["normal"], expected.normal, atol=1e-5)


def test_where_python_finds_no_floor_the_page_finds_none(call: Call) -> None:
    wall = DepthMap(
        values=np.full((HEIGHT, WIDTH), 3, np.float32),
        kind=DepthKind.UP_TO_SCALE,
        valid=np.ones((HEIGHT, WIDTH), bool),
    )
    with pytest.raises(Exception, match="floor"):
        find_floor(wall, CAMERA)
    assert call("modules.floor.floorOf(mapOf(facts))", plain_map(wall)) is None


@pytest.mark.parametrize("kind", [DepthKind.AFFINE, DepthKind.AFFINE_INVERSE])
def test_anchors_are_those_of_python(call: Call, kind: DepthKind) -> None:
    reference = room()
    rng = np.random.default_rng(5)
    true = np.where(reference.valid, reference.values, 1).astype(np.float64)
    values = 1 / true if kind is DepthKind.AFFINE_INVERSE else true
    values = (0.3 * values + 0.7) * (1 + 0.01 * rng.standard_normal(true.shape))
    own = DepthMap(values=values.astype(np.float32), kind=kind, valid=reference.valid)
    facts = {"own": plain_map(own), "reference": plain_map(reference)}
    fit = call(
        """{
        const [own, reference] = [facts.own, facts.reference].map(mapOf);
        const { sampleOnGrid, anchorValues } = modules.anchor;
        const [values, known] = [own, reference].map(sampleOnGrid);
        return anchorValues(values, known, own.kind === "affine_inverse");
        }""",
        facts,
    )
    expected = anchor(own, reference)
    assert fit["space"] == expected.fit.space.value
    for name in ("scale", "shift", "residual"):
        assert fit[name] == pytest.approx(getattr(expected.fit, name), rel=1e-6), name
    assert fit["rank_correlation"] == pytest.approx(expected.rank_correlation, rel=1e-9)


@pytest.mark.parametrize(("layout", "name"), [("side-by-side", "side"), ("anaglyph", "anaglyph")])
def test_stereo_pictures_have_the_pixels_of_python(call: Call, layout: str, name: str) -> None:
    depth, pixels = room(), photograph()
    facts = {"map": plain_map(depth, pixels), "layout": name}
    encoded = call(
        "base64Of((await modules.stereo.stereo(mapOf(facts.map), facts.layout)).blob)", facts
    )
    expected = stereo_picture(pixels, depth, StereoOptions(layout=layout))
    with Image.open(io.BytesIO(b64decode(encoded))) as image:
        picture = np.asarray(image.convert("RGB"))
    assert picture.shape == expected.shape
    assert np.mean(picture != expected) < 1e-3


@pytest.mark.parametrize("backing", [0.0, 0.3])
def test_glb_files_have_the_points_triangles_and_colours_of_python(
    call: Call, backing: float
) -> None:
    depth, pixels = room(), photograph()
    facts = {"map": plain_map(depth, pixels), "backing": backing}
    encoded, soft = call(
        """(async () => {
          let soft = null;
          const paint = (picture) => {
            soft = picture;
            const bytes = new Uint8Array(4);
            return { bytes, width: 120, photoShare: 1, softStart: 0, softShare: 1 };
          };
          const { blob } = await modules.glb.glb(mapOf(facts.map), paint, facts.backing);
          return [await base64Of(blob), soft && { ...soft, data: [...soft.data] }];
        })()""",
        facts,
    )
    document, points, triangles = read_glb(b64decode(encoded))
    expected = mesh(
        depth.values,
        CAMERA,
        depth.valid,
        colours=pixels,
        cut=CUT,
        flatness=0.004,
        most=26_000,
        smooth=True,
        backing=backing,
    )
    assert document["asset"]["version"] == "2.0"
    assert len(triangles) == len(expected.triangles)
    turned = points * np.array([1, -1, -1])
    corners, own = (
        {frozenset(map(tuple, triangle)) for triangle in np.rint(1000 * of[faces]).tolist()}
        for of, faces in ((expected.points, expected.triangles), (turned, triangles))
    )
    assert len(corners ^ own) < 0.02 * len(triangles)
    if not backing:
        assert soft is None
        return
    assert expected.soft_picture is not None
    found = np.array(soft["data"]).reshape(soft["height"], soft["width"], 4)[..., :3]
    assert found.shape == expected.soft_picture.shape
    assert abs(found - expected.soft_picture.astype(int)).max() <= 1


def outdoors(kind: str) -> Prediction:
    """A tower and ground before the sky, whose mask is `kind`."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    is_tower = (abs(columns - 45) < 12) & (rows > 15)
    values = np.where(rows >= 60, 2 + 0.01 * rows, np.where(is_tower, 4, 100)).astype(np.float32)
    sky, valid, transparent = values == 100, np.ones(values.shape, bool), None
    if kind == "strip":  # too narrow to be certain of
        sky &= rows < 2
        values = np.where(sky | (values < 100), values, np.float32(5))
    if kind == "transparent":
        transparent = (columns > 100) & (rows < 50)
        valid, sky = ~transparent, sky & ~transparent
        values = np.where(valid, values, np.float32(np.nan))
    depth = DepthMap(values=values, kind=DepthKind.UP_TO_SCALE, valid=valid)
    return replace(
        prediction(),
        depth_or_none=depth,
        normals=None,
        confidence=None,
        sky=None if kind == "distant" else sky,
        camera=CAMERA,
        photo=Photo(pixels=photograph(), name="photo.png", transparent=transparent),
    )


def plain_outdoors(given: Prediction) -> dict[str, Any]:
    assert given.photo is not None
    masks = {"sky": given.sky, "transparent": given.photo.transparent}
    plain = {
        name: None if mask is None else mask.ravel().astype(int).tolist()
        for name, mask in masks.items()
    }
    return {**plain_map(given.depth, given.photo.pixels), **plain}


def coloured_triangles(
    points: np.ndarray, pixels: np.ndarray, triangles: np.ndarray
) -> set[frozenset[Any]]:
    """Triangles by the points and the colours of their corners, in thousandths."""
    corners = np.rint(1000 * np.concatenate([points, pixels], axis=1)).astype(int)
    return {frozenset(map(tuple, triangle)) for triangle in corners[triangles].tolist()}


OUTDOORS = ("masked", "strip", "transparent", "distant")


@pytest.mark.parametrize("kind", OUTDOORS)
def test_the_sky_is_where_python_has_it(call: Call, kind: str) -> None:
    given = outdoors(kind)
    mask = surface_pixels(given, ())
    depths = given.depth.depth()[mask]
    expected = sky_backdrop(given, depths, CAMERA, ())
    assert expected is not None
    found = call(
        """{
        const map = mapOf(facts), { form, flags } = modules.sky_backdrop.skyPlane(map);
        const { backdropOf } = await import("./relief.js");
        return { form, flags: [...flags], mesh: backdropOf(form, flags, map.camera, map) };
        }""",
        plain_outdoors(given),
    )
    points, pixels = (np.array(found["mesh"][name]) for name in ("points", "pixels"))
    triangles = np.reshape(found["mesh"]["index"], (-1, 3))
    own = coloured_triangles(points, pixels, triangles)
    assert len(triangles) == len(expected.triangles)
    assert own == coloured_triangles(expected.points, expected.pixels, expected.triangles)

    plane = sky_plane(given, depths, ())
    relief = pack_relief(given.depth.depth(), CAMERA, mask, step=1, cut=CUT, sky=plane)
    assert relief is not None
    assert relief.form.sky is not None
    assert zlib.decompress(relief.data)[-len(found["flags"]) :] == bytes(found["flags"])
    assert found["form"].pop("depth") == pytest.approx(relief.form.sky.depth)
    form = json.loads(to_json(relief.form.sky))
    assert found["form"] == {name: value for name, value in form.items() if name != "depth"}


def test_without_a_sky_there_is_no_backdrop(call: Call) -> None:
    given = replace(outdoors("masked"), sky=np.zeros((HEIGHT, WIDTH), bool))
    assert call("modules.sky_backdrop.skyPlane(mapOf(facts))", plain_outdoors(given)) is None
    room_facts = plain_map(room(holes=False))
    assert call("modules.sky_backdrop.skyPlane(mapOf(facts))", room_facts) is None


def test_the_sky_of_a_result_of_the_server_is_in_pixels_of_the_photograph(call: Call) -> None:
    photo = Photo(pixels=open_field(1200, 1600)[0])
    model = rilievo.load_model("rilievo/base")
    [inference] = model.infer([photo])
    given = model.finish(inference, photo)
    assert given.camera is not None
    expected = sky_plane(given, given.depth.depth()[surface_pixels(given, ())], ())
    assert expected is not None
    view = view_bytes(given, "a", model, inference)
    found = call(
        """{
        const address = `data:application/octet-stream;base64,${facts}`;
        const { camera, prediction } = await modules.app_view.fetchView(address);
        const { form, flags } = modules.sky_backdrop.skyPlane(prediction);
        const whole = prediction.formInPhotograph(
          { step: 1, first_row: 0, first_column: 0, sky: form });
        const { backdropOf } = await import("./relief.js");
        const mesh = backdropOf(whole.sky, flags, camera, whole);
        return { ...whole.sky, pixels: mesh.pixels, points: mesh.points };
        }""",
        b64encode(view).decode(),
    )
    assert found["step"] == pytest.approx(expected.step, abs=4)
    assert found["depth"] == pytest.approx(expected.depth, rel=0.02)
    sky = surface_sky(given)
    columns, rows = np.array([found["middle"], *found["pixels"]]).T
    assert sky[rows, columns].mean() > 0.99
    seen_at = given.camera.project(np.array(found["points"]).T)
    np.testing.assert_allclose(seen_at.min(axis=1), 0, atol=1e-6)
    assert seen_at[0].max() == pytest.approx(1599)
    last_sky_row = np.flatnonzero(sky.any(axis=1))[-1]
    assert seen_at[1].max() == pytest.approx(last_sky_row + 100, abs=2 * expected.step)


def test_glb_files_begin_with_the_sky_of_python(call: Call) -> None:
    given = outdoors("masked")
    expected = sky_backdrop(given, given.depth.depth()[surface_pixels(given, ())], CAMERA, ())
    assert expected is not None
    encoded = call(
        """(async () => {
          const paint = () => ({ bytes: new Uint8Array(4), width: 120, photoShare: 0.8,
            softStart: 0.9, softShare: 0.1 });
          return base64Of((await modules.glb.glb(mapOf(facts), paint, 0.3)).blob);
        })()""",
        plain_outdoors(given),
    )
    content = b64decode(encoded)
    document, points, triangles = read_glb(content)
    surface = document["asset"]["extras"]["rilievo"]["files"][0]["surface"]
    assert surface["backdrop"] == len(expected.triangles)
    assert surface["triangles"] == len(triangles)
    pixels = texels_of_glb(content) / (1, 0.8) * (WIDTH, HEIGHT) - 0.5
    own = coloured_triangles(
        points * np.array([1, -1, -1]), pixels, triangles[: surface["backdrop"]]
    )
    assert own == coloured_triangles(expected.points, expected.pixels, expected.triangles)


def read_glb(content: bytes) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Document, points and triangles, read by the layout of the standard alone."""
    document, binary = parts_of_glb(content)
    primitive = document["meshes"][0]["primitives"][0]
    points = numbers_of_glb(document, binary, primitive["attributes"]["POSITION"])
    return document, points, numbers_of_glb(document, binary, primitive["indices"]).reshape(-1, 3)


def texels_of_glb(content: bytes) -> np.ndarray:
    document, binary = parts_of_glb(content)
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    return numbers_of_glb(document, binary, attributes["TEXCOORD_0"])


def parts_of_glb(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[12:16], "little")
    return json.loads(content[20 : 20 + length]), content[20 + length + 8 :]


def numbers_of_glb(document: dict[str, Any], binary: bytes, index: int) -> np.ndarray:
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    kind = {5123: np.uint16, 5125: np.uint32, 5126: np.float32}[accessor["componentType"]]
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[accessor["type"]]
    flat = np.frombuffer(binary, kind, accessor["count"] * width, view["byteOffset"])
    return flat.reshape(-1, width)


def tags_of(size: tuple[int, int], **tags: Any) -> bytes:
    """EXIF with the size of its picture, and other tags by their numbers."""
    exif = Image.Exif()
    block = exif.get_ifd(0x8769)
    for name, value in {"t0xA002": size[0], "t0xA003": size[1], **tags}.items():
        tag = int(name.removeprefix("t"), 16)
        is_ratio = isinstance(value, float)
        (block if tag >= 0x8000 else exif)[tag] = IFDRational(value) if is_ratio else value
    return exif.tobytes()


STALE = {"t0x920A": 35.0, "t0xA20E": 160.0, "t0xA20F": 160.0, "t0xA210": 4}


@pytest.mark.parametrize(
    "tags",
    [
        {"t0xA405": 35, **STALE},
        {"t0xA405": 35, **STALE, "t0xA20E": 26.5, "t0xA20F": 26.5},
        {"t0xA405": 35, "t0x920A": 70.0},
        {"t0xA405": 4, "t0x920A": 4.2},
        {**STALE, "t0x010F": "Canon", "t0x0110": "Canon EOS 5D"},
        {**STALE, "t0x0131": "GIMP 2.10"},
        {**STALE, "t0x0110": "Canon PowerShot A95"},
        {**STALE, "t0xA20E": 380.0, "t0xA20F": 380.0},
        {"t0xA405": 12, "t0xA434": "8mm F3.5 Fisheye"},
        {"t0xA405": 15, "t0x010F": "GoPro", "t0x0110": "HERO8 Black"},
        {"t0xA434": "Circular Fish-Eye"},
    ],
    ids=str,
)
@pytest.mark.parametrize("crop", ["", "False", "True"])
def test_doubts_about_exif_are_those_of_python(call: Call, tags: dict[str, Any], crop: str) -> None:
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><a crs:HasCrop='{crop}'/></x:xmpmeta>".encode()
    stream = io.BytesIO()
    more = {"xmp": xmp} if crop else {}
    scene((960, 640)).save(stream, "JPEG", exif=tags_of((960, 640), **tags), **more)
    photo = read_photo(stream.getvalue())
    facts = {"bytes": list(stream.getvalue()), "size": {"height": 640, "width": 960}}
    found = call("modules.exif.exifCamera(Uint8Array.from(facts.bytes).buffer, facts.size)", facts)
    assert (found["camera"] is None) == (photo.camera is None)
    if photo.camera is not None:
        assert found["camera"]["fx"] == pytest.approx(photo.camera.fx)
    # What to do has other names there.
    notes = [note.partition(";")[0] for note in photo.notes]
    said = [] if found["note"] is None else [found["note"].partition(";")[0]]
    assert said == notes


@pytest.mark.parametrize(
    ("size", "stated", "orientation"),
    mostly_slow(
        [(1200, 900), (900, 1200), (600, 450), (450, 600), (800, 800), (1000, 640), (1280, 720)],
        [(1200, 900), None],
        [1, 6],
        rounds=2,
    ),
)
def test_exif_of_crops_is_that_of_python(
    call: Call, size: tuple[int, int], stated: tuple[int, int] | None, orientation: int
) -> None:
    """But for thumbnails, which the page does not read."""
    crop = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><a crs:HasCrop='True'/></x:xmpmeta>"
    cases = ((None, False, b""), (None, False, crop), (None, True, b""), (2.0, True, b""))
    for zoom, sensor, xmp in cases:
        block = exif_block(stated=stated, zoom=zoom, sensor=sensor, orientation=orientation)
        stream = io.BytesIO()
        scene(size).save(stream, "JPEG", exif=block, **({"xmp": xmp} if xmp else {}))
        photo = read_photo(stream.getvalue())
        height, width = photo.shape
        facts = {"bytes": list(stream.getvalue()), "size": {"height": height, "width": width}}
        found = call(
            "modules.exif.exifCamera(Uint8Array.from(facts.bytes).buffer, facts.size)", facts
        )
        camera = photo.camera
        assert (found["camera"] is None) == (camera is None)
        if camera is not None:
            assert found["camera"]["fx"] == pytest.approx(camera.fx)
            assert found["camera"]["source"] == camera.source
        notes = [note.partition(":")[0] for note in photo.notes]
        said = [] if found["note"] is None else [found["note"].partition(":")[0]]
        assert said == notes
