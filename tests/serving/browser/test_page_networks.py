"""Networks that a visitor of the page picks: every rule of preparation, against Python's."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from skimage import data

import rilievo
from rilievo.geometry.surfaces.meshes import point_cloud
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.measure.measurement_records import measure_points
from rilievo.models import MODELS
from rilievo.models.base import Model
from rilievo.models.catalogue.published_graph import open_graph
from rilievo.models.default.embedded import embedded_file
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.onnx_model import OnnxDescription
from rilievo.models.resampling.inference import DEFAULT_RESIZING, Filter, Resizing, Space
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.records.depth_map import DepthKind
from rilievo.serving.browser.folder import write_page
from support.browser import COARSE, chromium, unfold
from support.moge_lookalike import write_moge
from support.open_field import open_field
from support.ply_files import read_ply
from support.published_graphs import write_depth_pro
from support.static_host import Visitor, hosted


@dataclass(frozen=True)
class Case:
    """A network: its preparation, the kind and the resizing of its numbers, its focal length."""

    preparation: Preparation
    kind: DepthKind = DepthKind.UP_TO_SCALE
    resizing: Resizing = DEFAULT_RESIZING
    needs_focal: bool = False
    fov: float | None = None


def sized(rule: Rule, **numbers: int) -> Sizing:
    return Sizing(rule=rule, **numbers)


CASES = {
    "area, triangle": Case(Preparation(sizing=sized(Rule.AREA, pixel_count=5000, multiple=14))),
    "fixed, bicubic, fill": Case(
        Preparation(
            sizing=sized(Rule.FIXED, height=100, width=120),
            resampling=Resampling.BICUBIC,
            pad_multiple=14,
        )
    ),
    "least change, bilinear, affine": Case(
        Preparation(
            sizing=sized(Rule.LEAST_CHANGE, height=98, width=98, multiple=14),
            resampling=Resampling.BILINEAR,
        ),
        kind=DepthKind.AFFINE_INVERSE,
        resizing=Resizing(filter=Filter.CUBIC),
    ),
    "shortest edge, lanczos, metric": Case(
        Preparation(
            sizing=sized(Rule.SHORTEST_EDGE, height=70, width=70, multiple=7),
            resampling=Resampling.LANCZOS,
        ),
        kind=DepthKind.METRIC,
    ),
    "longest edge, inverse": Case(
        Preparation(sizing=sized(Rule.LONGEST_EDGE, height=112, width=112, multiple=14)),
        resizing=Resizing(space=Space.INVERSE),
    ),
    "floor": Case(Preparation(sizing=sized(Rule.FLOOR, pixel_count=9000, multiple=32))),
    "points, focal, field of view": Case(
        Preparation(
            sizing=sized(Rule.FIXED, height=96, width=96), resampling=Resampling.BILINEAR_POINTS
        ),
        kind=DepthKind.METRIC,
        resizing=Resizing(space=Space.INVERSE, filter=Filter.LINEAR, nearest=1.5, farthest=4.0),
        needs_focal=True,
        fov=48.0,
    ),
    "corners, padding": Case(
        Preparation(
            sizing=sized(Rule.FIXED, height=96, width=128),
            resampling=Resampling.BILINEAR_CORNERS,
            border_factor=3.0,
        )
    ),
}


def write_network(
    path: Path, case: Case, weights: tuple[float, float, float] = (0.01, 0.004, 0.002)
) -> None:
    """A network whose depth is one more than a weighted sum of the colours that it sees."""
    rounded = case.preparation.resampling.is_rounded
    sizing, fill = case.preparation.sizing, case.preparation.pad_multiple
    gaps = [-side % fill for side in (sizing.height, sizing.width)] if fill > 1 else [0, 0]
    pads = [0, gaps[0] // 2, gaps[1] // 2, 0, gaps[0] - gaps[0] // 2, gaps[1] - gaps[1] // 2]
    constants = {
        "weights": np.array(weights, np.float32)[:, None],
        "one": np.array([1], np.float32),
        "last": np.array([3], np.int64),
        "pads": np.array(pads, np.int64),
    }
    if case.fov is not None:
        constants["angle"] = np.array([case.fov], np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["floats", "weights"], ["summed"]),
        helper.make_node("Squeeze", ["summed", "last"], ["grey"]),
        helper.make_node("Pad", ["grey", "pads"], ["padded"], mode="edge"),
        helper.make_node("Add", ["padded", "one"], ["depth"]),
        helper.make_node("Identity", ["angle"], ["fov"]),
    ]
    kind = TensorProto.UINT8 if rounded else TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["b", "x", "y"])]
    if case.fov is not None:
        outputs.append(helper.make_tensor_value_info("fov", TensorProto.FLOAT, [1]))
    graph = helper.make_graph(
        nodes if case.fov is not None else nodes[:-1],
        "colours",
        [helper.make_tensor_value_info("image", kind, ["b", "h", "w", 3])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    facts = OnnxDescription(
        name="test/colours",
        kind=case.kind,
        licence="none",
        preparation=case.preparation,
        resizing=case.resizing,
        needs_focal=case.needs_focal,
    )
    helper.set_model_props(model, dict(facts.metadata()))
    onnx.save(model, path)


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    folder = tmp_path_factory.mktemp("page") / "site"
    write_page(folder)
    with chromium() as browser, hosted(folder) as address:
        context = browser.new_context(**COARSE)
        visitor = Visitor(context, address)
        yield visitor
        assert visitor.complaints == []


QUICK = {"fixed, bicubic, fill", "least change, bilinear, affine", "points, focal, field of view"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in CASES],
)
def test_a_network_answers_as_in_python(visitor: Visitor, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    network, photograph = tmp_path / "colours.onnx", tmp_path / f"{name.replace(', ', '-')}.png"
    write_network(network, case)
    Image.fromarray(data.coffee()[::2, ::2]).save(photograph)
    visitor.give(photograph)
    visitor.give_network(network, "test/colours")
    visitor.page.locator("#facts", has_text="test/colours").wait_for()
    depth, _ = visitor.depth(tmp_path)
    expected = rilievo.predict(photograph, model=str(network))
    scale = np.ptp(expected.depth.values)
    np.testing.assert_allclose(depth, expected.depth.values, rtol=0, atol=1e-3 * scale)
    button = visitor.page.locator("button[data-output=glb]")
    unfold(visitor.page, "#files")
    assert button.is_visible() == case.kind.is_depth
    if not case.kind.is_depth:
        return
    # The network gives no normals, so they are those of the triangles.
    K = expected.camera
    assert K is not None
    cloud = point_cloud(expected.depth.values, K.K, expected.depth.valid, cut=SaveOptions().cut)
    rows = read_ply(visitor.save("ply", tmp_path))["vertex"]
    assert len(rows) == pytest.approx(len(cloud.points), rel=2e-3)
    if len(rows) == len(cloud.points):
        found = np.stack([rows[each] for each in ("nx", "ny", "nz")], axis=1)
        assert np.mean(np.einsum("nc,nc->n", found, cloud.normals) > 0.999) > 0.999


@pytest.mark.slow
def test_heights_areas_and_angles_are_those_of_python(visitor: Visitor, tmp_path: Path) -> None:
    network, photograph = tmp_path / "depth.onnx", tmp_path / "room.png"
    case = Case(Preparation(sizing=sized(Rule.FIXED, height=150, width=200)), kind=DepthKind.METRIC)
    write_network(network, case, (2**8 / 1e4, 1 / 1e4, 0))
    write_room(photograph)
    page = visitor.page
    visitor.give_network(network, "test/colours")
    unfold(page, "#settings")
    page.locator("#fov").fill("80")
    page.locator("#fov").press("Enter")
    visitor.give(photograph)
    expected = rilievo.predict(photograph, model=str(network), fov=80)
    for what in ("line", "height", "area", "angle"):
        page.click(f"#add-{what}")
    # The fourth thing is lower than the others, and one of its points is on the floor.
    for _ in range(3):
        page.locator(".stage [aria-label='Point B of angle 4']").press("Shift+ArrowDown")
    handles = page.locator(".stage [role=slider]").all()
    told = [re.findall(r"\d+", each.get_attribute("aria-valuetext"))[:2] for each in handles]
    places = [(int(column), int(row)) for column, row in told]
    unfold(page, "#settings")
    page.locator("#fov").fill("")
    found = page.locator("#lines output").all_inner_texts()
    parts = (places[:2], places[2:3], places[3:7], places[7:])
    for text, points, what in zip(found, parts, ("length", "height", "area", "angle"), strict=True):
        assert measure_points(expected, points, what).text in text


def write_room(path: Path) -> None:
    """A floor 1.2 m below the camera and a wall at 4 m, as colours of 16 bits."""
    v, u = np.mgrid[:150, :200]
    focal = 100 / np.tan(np.radians(40))
    depth = np.minimum(1.2 * focal / np.maximum(v - 74.5, 1e-3), 4 + 0.002 * u)
    levels = np.rint((depth - 1) * 1e4).astype(np.int64)
    pixels = np.stack([levels >> 8, levels & 255, np.zeros_like(levels)], axis=-1)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.mark.parametrize("is_large", [False, True])
def test_moge_answers_as_in_python(visitor: Visitor, tmp_path: Path, *, is_large: bool) -> None:
    network, photograph = write_moge(tmp_path / "published.onnx"), tmp_path / "green.png"
    # A small photograph is not enlarged, a large one is: it is valid where it is green.
    pixels = data.coffee() if is_large else data.coffee()[::3, ::3]
    pixels = np.where(np.arange(pixels.shape[1])[:, None] < 50, pixels, [0, 255, 0] | pixels)
    Image.fromarray(pixels.astype(np.uint8)).save(photograph)
    visitor.give_network(network, "moge-2")
    visitor.give(photograph)
    depth, valid = visitor.depth(tmp_path)
    fov = visitor.page.locator("#facts").text_content()
    options = LoadOptions(device="cpu")
    model = open_graph(network, options, MODELS["moge-2/small"], weights_sha256="0")
    check_published(model, photograph, (depth, valid))
    assert "predicted by the model" in fov


@pytest.mark.slow
def test_depth_pro_answers_as_in_python(visitor: Visitor, tmp_path: Path) -> None:
    network, photograph = tmp_path / "published.onnx", tmp_path / "coffee.png"
    write_depth_pro(network, focal=1400)
    Image.fromarray(data.coffee()[::2, ::2]).save(photograph)
    visitor.give_network(network, "depth-pro")
    visitor.give(photograph)
    options = LoadOptions(device="cpu")
    model = open_graph(network, options, MODELS["depth-pro"], weights_sha256="0")
    check_published(model, photograph, visitor.depth(tmp_path))


def check_published(model: Model, path: Path, found: tuple[np.ndarray, np.ndarray]) -> None:
    expected = rilievo.predict(path, model=model).depth
    depth, valid = found
    assert np.mean(valid != expected.valid) < 1e-3
    both = valid & expected.valid
    assert both.any()
    np.testing.assert_allclose(depth[both], expected.values[both], rtol=1e-3)


@pytest.mark.slow
def test_the_larger_network_leaves_out_the_sky_as_in_python(
    visitor: Visitor, tmp_path: Path
) -> None:
    network, photograph = embedded_file("rilievo/base"), tmp_path / "field.png"
    Image.fromarray(open_field()[0]).save(photograph)
    visitor.give(photograph)
    visitor.give_network(network, "rilievo/base")
    visitor.page.locator("#facts", has_text="rilievo/base").wait_for(timeout=60_000)
    depth, _ = visitor.depth(tmp_path)
    expected = rilievo.predict(photograph, model="rilievo/base")
    assert expected.sky is not None
    assert 0.05 < expected.sky.mean() < 0.9
    apart = np.abs(np.log(depth / expected.depth.values))
    assert np.quantile(apart, 0.99) < 5e-3
    found = read_ply(visitor.save("ply", tmp_path))["vertex"]
    [path, _] = expected.save(tmp_path / "python", "ply")
    true = read_ply(path)["vertex"]
    assert len(found) == pytest.approx(len(true), rel=5e-3)
    assert len(true) < 0.97 * expected.sky.size
