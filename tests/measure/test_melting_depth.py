"""Boxes on a sensor's depth, which melts from an object into the floor and the background.

Real frames show one parcel in three places; its front is 0.40 m wide and 0.316 m high.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

import rilievo
from rilievo.measure import Measurement, RegionMeasurement
from rilievo.measure.separation import _without_specks_apart
from support.grids import mostly_slow
from support.traced_objects import Cuboid, Cylinder, TracedScene, View, trace_scene

K = np.array([[617.25, 0, 317.39], [0, 617.55, 245.98], [0, 0, 1]])


def parcel_on_floor(x: float) -> TracedScene:
    """Parcel on a floor that a camera near the floor sees, before a wall."""
    solid = Cuboid(centre=(x, 0.16, 1.0), sides=(0.4, 0.32, 0.3))
    return trace_scene([solid], view=View(height=0.2, pitch=5, focal=617), wall=2.8)


def as_stereo_sees(depth: np.ndarray) -> np.ndarray:
    """Depth [m] that melts where two surfaces are close, on a floor and walls with slow errors."""
    inverse = 1 / depth
    melted = gaussian_filter(inverse, 4)
    is_close = np.abs(np.log(melted / inverse)) < 0.12
    slow_error = gaussian_filter(np.random.default_rng(0).standard_normal(depth.shape), 20)
    slow_error *= 0.004 / slow_error.std()
    return np.round((1 + slow_error) / np.where(is_close, melted, inverse), 3)


def contains(size: Measurement, truth: float) -> bool:
    return size.low <= truth <= size.high


@pytest.mark.parametrize("looseness", [0.0, 0.05])
@pytest.mark.parametrize("x", [-0.1, 0.1])
def test_floor_at_the_foot_of_an_object_does_not_widen_it(x: float, looseness: float) -> None:
    scene = parcel_on_floor(x)
    photo = np.full((*scene.depth.shape, 3), 128, np.uint8)
    prediction = rilievo.Prediction.from_depth(
        photo, as_stereo_sees(scene.depth), scene.camera, depth_error="1%"
    )
    found = prediction.measure_box(scene.tight_box(looseness))
    assert contains(found.width, scene.sizes["width"]), found
    assert contains(found.height, scene.sizes["height"]), found
    if found.width.high > 1.2 * scene.sizes["width"]:
        assert any("not sure where the object ends" in remark for remark in found.remarks)


@pytest.mark.parametrize("change", ["reduced", "blurred", "noisy"])
def test_the_low_base_of_a_lamp_is_not_floor_where_planes_are_flat(change: str) -> None:
    base = Cylinder(base=(0.1, 0, 2.2), radius=0.18, height=0.04)
    post = Cylinder(base=(0.1, 0.04, 2.2), radius=0.05, height=1.2)
    scene = trace_scene([base, post], view=View(height=1.2, pitch=12), wall=4.0)
    noise = np.random.default_rng(0).standard_normal(scene.depth.shape)
    depth = {
        "reduced": scene.depth[::2, ::2],
        "blurred": 1 / gaussian_filter(1 / scene.depth, 1),
        "noisy": scene.depth * np.exp(0.003 * noise),
    }[change]
    photo = np.full((*scene.depth.shape, 3), 128, np.uint8)
    prediction = rilievo.Prediction.from_depth(photo, depth, scene.camera, depth_error="1%")
    for looseness in (0.0, 0.05):
        found = prediction.measure_box(scene.tight_box(looseness))
        assert found.width.value == pytest.approx(scene.sizes["width"], rel=0.08), found
        assert contains(found.height, scene.sizes["height"]), found


def parcel(frames: Path, name: str, box: tuple[float, float, float, float]) -> RegionMeasurement:
    """Measure the parcel in a box of a frame."""
    is_test = name == "test_img"
    color = frames / ("test_img_color.png" if is_test else f"color/{name}.png")
    depth = frames / ("test_img_depth.png" if is_test else f"depth/{name}.png")
    prediction = rilievo.Prediction.from_depth(
        np.array(Image.open(color).convert("RGB")),
        np.array(Image.open(depth)).astype(np.float64),
        K,
        unit="mm",
    )
    return prediction.measure_box(box)


@pytest.mark.parametrize(
    ("frame", "grown"),
    mostly_slow(
        [
            ("000002", (244, 44, 554, 292)),
            ("000003", (213, 20, 429, 193)),
            ("test_img", (40, 37, 510, 393)),
        ],
        [(0, 0, 0, 0), (3, 2, 3, 2), (0, 0, 12, 8), (10, 8, 10, 8)],
    ),
)
def test_a_parcel_has_the_same_width_in_three_frames_of_a_sensor(
    data_folder: Path,
    frame: tuple[str, tuple[int, int, int, int]],
    grown: tuple[int, int, int, int],
) -> None:
    name, (left, top, right, bottom) = frame
    grown_box = (left - grown[0], top - grown[1], right + grown[2], bottom + grown[3])
    found = parcel(data_folder / "realsense_10", name, grown_box)
    assert contains(found.width, 0.402), found
    assert found.width.value == pytest.approx(0.402, rel=0.05)
    assert found.height.value == pytest.approx(0.316, rel=0.05)


@pytest.mark.parametrize("grown", [-1, 0, 1, 3])
def test_a_speck_of_wall_beside_a_parcel_does_not_widen_it(data_folder: Path, grown: int) -> None:
    """The camera is turned, so that the box shows more of the wall, which melts into the parcel."""
    box = (106 - grown, 74 - grown, 405 + grown, 380 + grown)
    found = parcel(data_folder / "realsense_10", "000000", box)
    assert contains(found.width, 0.42), found
    assert found.height.value == pytest.approx(0.316, rel=0.05)


def test_specks_apart_from_an_object_are_removed_and_parts_and_slivers_stay() -> None:
    mask = np.zeros((60, 80), bool)
    mask[10:50, 10:50] = True  # the object
    mask[20:40, 50] = True  # a sliver beside it
    mask[20:24, 60:64] = True  # a part of it
    without = mask.copy()
    mask[40:42, 70:72] = True  # a speck
    np.testing.assert_array_equal(_without_specks_apart(mask), without)
    assert not _without_specks_apart(np.zeros((4, 5), bool)).any()
