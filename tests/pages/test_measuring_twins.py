"""Functions with which a saved page measures against those of Python that they repeat."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from rilievo.calibration.readings import Pixel, end_values_of_line, pixel_index
from rilievo.errors import OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.json_record import to_json
from rilievo.measure.depth_noise import log_depth_noise, smooth_depth, smoothing_radius
from rilievo.measure.masks import eroded, without_specks
from rilievo.measure.measurements import Measurement, Quantity
from rilievo.measure.object_sizes import ObjectExtent
from rilievo.measure.page_terms import page_terms
from rilievo.measure.planes import fit_planes
from rilievo.measure.polygons import require_simple_outline
from rilievo.measure.separation import VALLEY_IN_BOX, mask_around_mode
from rilievo.measure.sharpening import sharpen_edges
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.instruments import DepthSource, make_instrument
from support.browser import chromium
from support.grids import mostly_slow
from support.predictions import MADE_BY
from support.traced_objects import varied_scene

SCRIPTS = Path(__file__).parents[2] / "src/rilievo/pages/surface_view"
NAMES = (
    "relief",
    "planes",
    "faces",
    "contour",
    "viewer",
    "separation",
    "thing",
    "rectangle",
    "ruler",
)
HEIGHT, WIDTH = 90, 120
K = np.array([[70.0, 0.0, 59.5], [0.0, 70.0, 44.5], [0.0, 0.0, 1.0]])

Call = Callable[[str, Mapping[str, Any]], Any]
"""Value of an expression of JavaScript, in which the facts are `facts`."""


@pytest.fixture(scope="module")
def call() -> Iterator[Call]:
    with chromium() as browser:
        page = browser.new_page()
        for name in NAMES:
            page.add_script_tag(content=(SCRIPTS / f"{name}.js").read_text())

        def value(expression: str, facts: Mapping[str, Any]) -> Any:
            # As texts, since arrays of numbers cost a browser's protocol a hundred times as much.
            told = f"JSON.stringify({expression})"
            script = f"(text) => {{ const facts = JSON.parse(text); return {told}; }}"
            return json.loads(page.evaluate(script, json.dumps(facts)))

        yield value


def room() -> np.ndarray:
    """A floor 1.2 below the camera, a wall behind it, and a box that stands on the floor."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    depth = np.minimum(1.2 * 70 / np.maximum(v - 44.5, 1e-3), 4 + 0.005 * u)
    depth[40:80, 50:75] = depth[80, 60] + 0.004 * (u[40:80, 50:75] - 60)
    return depth


def changed(depth: np.ndarray, change: str) -> tuple[np.ndarray, np.ndarray]:
    """Depth with noise, holes or edges that are not sharp, and which pixels have depth."""
    valid = np.ones(depth.shape, bool)
    rng = np.random.default_rng(0)
    if change == "noise":
        depth = depth * (1 + 0.004 * rng.standard_normal(depth.shape))
    elif change == "enlarged":
        depth = zoom(depth[::2, ::2], 2, order=1)
    elif change == "blurred":
        depth = gaussian_filter(depth, 1.2)
    elif change == "holes":
        valid = rng.random(depth.shape) > 0.03
    return depth, valid


CHANGES = ("none", "noise", "enlarged", "blurred", "holes")
GRID = "{ rows: facts.size[0], columns: facts.size[1] }"
DEPTH = f"Float64Array.from(facts.depth), Uint8Array.from(facts.valid), {GRID}"


def plain(depth: np.ndarray, valid: np.ndarray) -> dict[str, Any]:
    return {
        "depth": depth.ravel().tolist(),
        "valid": valid.ravel().astype(int).tolist(),
        "size": depth.shape,
    }


@pytest.mark.parametrize("change", CHANGES)
def test_noise_is_estimated_and_averaged_as_in_python(call: Call, change: str) -> None:
    depth, valid = changed(room(), change)
    facts = plain(np.log(depth), valid)
    noise = log_depth_noise(np.log(depth), valid)
    assert call(f"noiseOf({DEPTH})", facts) == pytest.approx(noise, abs=1e-12)
    for each in (noise, 0.002, 0.007, 0.03):
        assert call("smoothingRadius(facts.noise)", {"noise": each}) == smoothing_radius(each)
        facts = {**plain(depth, valid), "noise": each}
        smooth = call(f"[...smoothedDepth({DEPTH}, facts.noise)]", facts)
        expected = smooth_depth(depth, valid, each)
        np.testing.assert_allclose(np.reshape(smooth, depth.shape), expected, rtol=1e-12)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("width", [1.2, 2.0, 3.1])
def test_edges_are_sharpened_as_in_python(call: Call, width: float, change: str) -> None:
    depth, valid = changed(room(), change)
    facts = {**plain(depth, valid), "width": width}
    sharp = call(f"[...sharpenedDepth({DEPTH}, facts.width, 0.0003)]", facts)
    expected = sharpen_edges(depth, valid, width, 0.0003)
    np.testing.assert_allclose(np.reshape(sharp, depth.shape), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_masks_are_shrunk_and_cleaned_as_in_python(call: Call, seed: int) -> None:
    mask = np.random.default_rng(seed).random((20, 31)) < 0.6 + 0.1 * seed
    facts = {"mask": mask.ravel().astype(int).tolist(), "size": mask.shape}
    for width in (1, 2):
        found = call(f"[...erodedMask(Uint8Array.from(facts.mask), {GRID}, {width})]", facts)
        np.testing.assert_array_equal(np.reshape(found, mask.shape), eroded(mask, width))
    found = call(f"[...withoutSpecks(Uint8Array.from(facts.mask), {GRID})]", facts)
    np.testing.assert_array_equal(np.reshape(found, mask.shape), without_specks(mask))


@pytest.mark.parametrize("seed", range(4))
def test_the_most_frequent_distance_is_that_of_python(call: Call, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(0.3 * mode, 0.03, 200) for mode in range(3)])
    weights = rng.random(len(values))
    facts = {"values": values.tolist(), "weights": weights.tolist()}
    found = call("modeOf(facts.values, facts.weights)", facts)
    np.testing.assert_array_equal(found, mask_around_mode(values, weights, VALLEY_IN_BOX))


@pytest.mark.parametrize("change", CHANGES)
def test_planes_are_those_of_python(call: Call, change: str) -> None:
    depth, valid = changed(room(), change)
    points = Camera(K=K).points(depth)[:, valid].T[::5]
    planes = call("planesOf(facts.points, 0.12)", {"points": points.ravel().tolist()})
    expected = fit_planes(points, 0.12)
    assert len(planes) == len(expected) > 0
    for plane, other in zip(planes, expected, strict=True):
        np.testing.assert_allclose(plane["m"], other.vector, atol=1e-9)
        assert plane["tolerance"] == pytest.approx(other.tolerance, rel=1e-6)


@pytest.mark.parametrize(
    "range_", [(0.8231, 0.71, 0.95), (12.0, 3.0, 70.0), (2.5, 2.5, 2.5), (-0.004, -0.2, 0.1)]
)
def test_numbers_have_the_digits_of_python(call: Call, range_: tuple[float, ...]) -> None:
    value, low, high = range_
    measurement = Measurement(what=Quantity.LENGTH, value=value, low=low, high=high)
    assert call('ranged(" m", ...facts.range)', {"range": range_}) == measurement.text


@pytest.mark.parametrize("seed", range(20))
def test_outlines_that_cross_are_those_of_python(call: Call, seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.random((3 + seed % 4, 2)).tolist()
    try:
        require_simple_outline([tuple(corner) for corner in corners])
        is_crossed = False
    except OptionError:
        is_crossed = True
    assert call("isCrossed(facts.corners)", {"corners": corners}) == is_crossed, corners


def changed_room(source: str, change: str) -> Prediction:
    """The room of a network, or of a depth map with a stated error."""
    depth, valid = changed(room(), change)
    values = np.where(valid, depth, 0).astype(np.float32)
    return Prediction(
        depth_or_none=DepthMap(values=values, kind=DepthKind.METRIC, valid=valid),
        camera=Camera(K=K, source="given"),
        instrument=make_instrument(DepthSource.DEPTH_MAP, "1%") if source == "map" else None,
        made_by=MADE_BY,
    )


def page_facts(prediction: Prediction) -> dict[str, Any]:
    """Depth, its form and the terms, as a page has them that leaves the depth as it is."""
    form = {"rows": HEIGHT, "columns": WIDTH, "height": HEIGHT, "width": WIDTH, "step": 1}
    lens = {"first_row": 0, "first_column": 0, "fx": 70, "fy": 70, "cx": 59.5, "cy": 44.5}
    return {
        "depth": np.nan_to_num(prediction.depth.values).ravel().tolist(),
        "form": {**form, **lens, "lens": "pinhole"},
        "terms": json.loads(to_json(page_terms(prediction))),
    }


@pytest.mark.parametrize(("change", "source"), mostly_slow([*CHANGES], ["network", "map"]))
def test_ends_of_lines_have_the_depth_of_python(call: Call, source: str, change: str) -> None:
    """Lines on one surface and across several, with ends on and between pixels."""
    prediction = changed_room(source, change)
    facts = page_facts(prediction)
    rng = np.random.default_rng(1)
    for _ in range(30):
        (u1, v1), (u2, v2) = (
            (float(u), float(v)) for u, v in rng.uniform(3, (WIDTH - 4, HEIGHT - 4), (2, 2))
        )
        ends = Pixel(u1, v1, ""), Pixel(u2, v2, "")
        if not all(prediction.depth.valid[pixel_index(prediction.depth, end)] for end in ends):
            continue
        facts["line"] = ((u1, v1), (u2, v2))
        found = call(
            "readings(facts.depth, facts.form, facts.terms).ends(...facts.line).depths", facts
        )
        expected = end_values_of_line(
            prediction.depth, *ends, prediction.known_camera, require_match_at_ends=source == "map"
        )
        assert found == pytest.approx(expected, rel=1e-6), facts["line"]


@pytest.mark.parametrize(("change", "source"), mostly_slow([*CHANGES], ["network", "map"]))
def test_objects_in_boxes_have_the_sizes_of_python(call: Call, source: str, change: str) -> None:
    prediction = changed_room(source, change)
    facts = page_facts(prediction)
    for box in ((48, 37, 77, 81), (50, 40, 74, 79), (20, 30, 80, 85), (60, 10, 119, 89)):
        facts["box"] = (box[:2], box[2:])
        found = call("boxedThing(facts.depth, facts.form, facts.terms, facts.box)", facts)
        expected = prediction.measure_box(box)
        lengths = [found["value"], *(each["seen"] for each in found["sizes"])]
        measured = [each.value for each in (expected.distance, expected.width, expected.height)]
        assert lengths == pytest.approx(measured, rel=1e-5), box


def page_range(
    size: dict[str, float], distance_error: float, outline_error: float
) -> tuple[float, float]:
    """Ends of the range of a size that the page found, by log errors."""
    extent = ObjectExtent(
        visible_length=size["seen"],
        max_length=size["longest"],
        border_error=size["border"],
        gap_width=size["gap"],
    )
    length = extent.with_range(distance_error, outline_error)
    return length.low, length.high


@pytest.mark.slow
def test_floor_and_wall_that_join_an_object_change_its_ranges_as_in_python(call: Call) -> None:
    """Depth of a sensor that melts where two surfaces are close, with bumps on the floor."""
    scene = varied_scene(3001)
    melted = gaussian_filter(1 / scene.depth, 4)
    is_close = np.abs(np.log(melted * scene.depth)) < 0.12
    bumps = gaussian_filter(np.random.default_rng(0).standard_normal(melted.shape), 20)
    values = (1 + 0.004 * bumps / bumps.std()) / np.where(is_close, melted, 1 / scene.depth)
    prediction = Prediction(
        depth_or_none=DepthMap(values=values.astype(np.float32), kind=DepthKind.METRIC),
        camera=scene.camera,
        instrument=make_instrument(DepthSource.DEPTH_MAP, "1%"),
        made_by=MADE_BY,
    )
    facts = page_facts(prediction)
    (height, width), lens = values.shape, scene.camera.K
    facts["form"] |= {"rows": height, "columns": width, "height": height, "width": width}
    facts["form"] |= {"fx": lens[0, 0], "fy": lens[1, 1], "cx": lens[0, 2], "cy": lens[1, 2]}
    extensions = []
    for looseness in (0.0, 0.05):
        box = scene.tight_box(looseness)
        facts["things"] = [{"what": "box", "points": (box[:2], box[2:]), "metres": None}]
        found = call("ruler(facts.depth, facts.form, facts.terms)(facts.things).texts", facts)
        expected = prediction.measure_box(box)
        sizes = f"{expected.width.text} wide, {expected.height.text} high"
        assert found == [f"{expected.distance.text} away, {sizes}"], looseness
        facts["box"] = (box[:2], box[2:])
        thing = call("boxedThing(facts.depth, facts.form, facts.terms, facts.box)", facts)
        error = math.log(expected.distance.high / expected.distance.value)
        of_outline = facts["terms"]["outline"]
        measured_sizes = (expected.width, expected.height)
        for size, outline, measured in zip(thing["sizes"], of_outline, measured_sizes, strict=True):
            extended = size.get("extended", size)
            ranges = [page_range(each, error, outline) for each in (size, extended)]
            assert min(low for low, _ in ranges) == pytest.approx(measured.low, rel=1e-4)
            assert max(high for _, high in ranges) == pytest.approx(measured.high, rel=1e-4)
            extensions.append(extended["seen"] / size["seen"])
    assert max(extensions) > 1.2
