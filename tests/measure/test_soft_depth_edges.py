"""Boxes on depth whose edges are not sharp: resized, blurred, with mixed pixels, gaps and noise.

The code was written with scenes of other seeds (100 to 115).
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

import rilievo
from rilievo.calibration.floor import find_floor
from rilievo.errors import CalibrationError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.measure import RegionMeasurement, height
from rilievo.measure.depth_edges import block_side, edge_width
from rilievo.measure.sharpening import sharpen_edges
from support.traced_objects import (
    Cuboid,
    TracedScene,
    View,
    floor_cuboid_scene,
    trace_scene,
    turned,
)

BOX = Cuboid(centre=(0.1, 0.4, 3.2), sides=(0.9, 0.8, 0.5), R=turned(20))
SCENE = trace_scene([BOX], view=View(pitch=10), wall=6.0)

Change = Callable[[np.ndarray], np.ndarray]


def blurred(depth: np.ndarray) -> np.ndarray:
    """Depth averaged with weights of a normal distribution of one pixel."""
    weights = np.exp(-0.5 * np.arange(-4, 5) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        padded = np.pad(depth, [(4, 4) if each == axis else (0, 0) for each in (0, 1)], "edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 9, axis=axis)
        depth = windows @ weights
    return depth


def enlarged(depth: np.ndarray) -> np.ndarray:
    """Every second pixel, and bilinear interpolation between them."""
    for axis in (0, 1):
        size = depth.shape[axis]
        known = np.arange(0, size, 2)
        place = np.clip((np.arange(size) - 0.5) / 2, 0, len(known) - 1)
        low = np.minimum(place.astype(int), len(known) - 2)
        share = (place - low).reshape((-1, 1) if axis == 0 else (1, -1))
        small = depth.take(known, axis)
        depth = (1 - share) * small.take(low, axis) + share * small.take(low + 1, axis)
    return depth


def with_mixed_pixels(depth: np.ndarray) -> np.ndarray:
    """Depth in which each last pixel before an edge shows a mixture of both surfaces."""
    chance = np.random.default_rng(3).random(depth.shape)
    mixed = depth
    for axis in (0, 1):
        beside = np.roll(depth, 1, axis)
        is_edge = np.abs(np.log(depth / beside)) > 0.03
        mixed = np.where(is_edge, chance * mixed + (1 - chance) * beside, mixed)
    return mixed


def with_shadow(depth: np.ndarray) -> np.ndarray:
    """Depth without the four columns to the right of the object, as stereo leaves them."""
    is_hidden = np.roll(SCENE.mask, 4, 1) & ~SCENE.mask
    return np.where(is_hidden, 0, depth)


def with_holes(depth: np.ndarray) -> np.ndarray:
    return np.where(np.random.default_rng(1).random(depth.shape) < 0.3, 0, depth)


def on_grid(step: int, first: int) -> Change:
    """Depth at every so many pixels alone."""

    def change(depth: np.ndarray) -> np.ndarray:
        sparse = np.zeros_like(depth)
        sparse[first::step, first::step] = depth[first::step, first::step]
        return sparse

    return change


def noisy(deviation: float) -> Change:
    def change(depth: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(5).standard_normal(depth.shape)
        return depth * np.exp(deviation * noise)

    return change


CHANGES = [
    pytest.param(lambda depth: depth[::2, ::2], 0.03, id="half the size, resized by rilievo"),
    pytest.param(lambda depth: depth[1::4, 1::4], 0.06, id="a quarter of the size"),
    pytest.param(enlarged, 0.03, id="half the size, interpolated"),
    pytest.param(blurred, 0.03, id="blurred"),
    pytest.param(lambda depth: 1 / blurred(1 / depth), 0.03, id="inverse depth blurred"),
    pytest.param(with_mixed_pixels, 0.03, id="mixed pixels"),
    pytest.param(with_shadow, 0.03, id="a gap beside the object"),
    pytest.param(with_holes, 0.03, id="holes"),
    pytest.param(lambda depth: with_holes(blurred(depth)), 0.05, id="blurred, with holes"),
    pytest.param(on_grid(2, 1), 0.03, id="every second pixel"),
    pytest.param(on_grid(3, 1), 0.03, id="every third pixel"),
    pytest.param(lambda depth: blurred(noisy(0.005)(depth)), 0.05, id="blurred noise"),
    pytest.param(noisy(0.0012), 0.02, id="noise of .12%"),
    pytest.param(noisy(0.003), 0.02, id="noise of .3%"),
]


def measured_on(
    scene: TracedScene, depth: np.ndarray, camera: Camera | None = None
) -> RegionMeasurement:
    prediction = prediction_of(scene, depth, camera)
    return prediction.measure_box(scene.tight_box(0.05))


def prediction_of(
    scene: TracedScene, depth: np.ndarray, camera: Camera | None = None
) -> rilievo.Prediction:
    photo = np.full((*scene.depth.shape, 3), 128, np.uint8)
    return rilievo.Prediction.from_depth(photo, depth, camera or scene.camera, depth_error="1%")


def is_said_to_be_blurred(found: RegionMeasurement) -> bool:
    return any("the depth map is blurred" in remark for remark in found.remarks)


@pytest.mark.parametrize(("change", "most"), CHANGES)
def test_a_box_leaves_out_what_is_behind_without_a_remark_though_edges_are_not_sharp(
    change: Change, most: float
) -> None:
    found = measured_on(SCENE, change(SCENE.depth))
    for what in ("width", "height"):
        size, truth = getattr(found, what), SCENE.sizes[what]
        assert size.value == pytest.approx(truth, rel=most), what
        assert size.low <= truth <= size.high, what
    assert found.depth.value < 1.5 * SCENE.sizes["depth"]
    assert not is_said_to_be_blurred(found)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda depth: blurred(blurred(blurred(blurred(depth)))), id="blur of 2 px"),
        pytest.param(lambda depth: gaussian_filter(depth, 3), id="blur of 3 px"),
        pytest.param(lambda depth: gaussian_filter(depth, 6), id="blur of 6 px"),
        pytest.param(lambda depth: gaussian_filter(depth, 10), id="blur of 10 px"),
        pytest.param(lambda depth: zoom(depth[::8, ::8], 8, order=1), id="linear, eight times"),
        pytest.param(lambda depth: zoom(depth[::2, ::2], 2, order=3), id="cubic, twice"),
        pytest.param(lambda depth: zoom(depth[::4, ::4], 4, order=3), id="cubic, four times"),
    ],
)
def test_an_object_that_melts_into_what_is_behind_is_said_to(change: Change) -> None:
    assert is_said_to_be_blurred(measured_on(SCENE, change(SCENE.depth)))


@pytest.mark.parametrize("side", [4, 8])
def test_sizes_on_maps_enlarged_by_the_nearest_pixel_lie_inside_their_ranges(side: int) -> None:
    depth = SCENE.depth[side // 2 :: side, side // 2 :: side]
    found = measured_on(SCENE, np.kron(depth, np.ones((side, side))))
    for what in ("width", "height"):
        size = getattr(found, what)
        assert size.low <= SCENE.sizes[what] <= size.high, what
        assert size.high < 1.2 * size.value


def test_boxes_on_a_lattice_are_no_blocks_of_pixels() -> None:
    depth = np.full((240, 320), 5.0)
    depth[::20] = 4.0
    depth[:, ::20] = 4.0
    depth[40:60, 100:120] = 2.0
    assert block_side(depth) == 1
    small = np.add.outer(np.arange(40.0), np.arange(40.0))
    assert block_side(np.kron(small, np.ones((5, 5)))) == 5


def test_an_object_of_a_few_pixels_is_measured() -> None:
    depth = np.full((240, 320), 5.0)
    depth[100:105, 100:104] = 2.0
    camera = Camera(K=np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]]))
    photo = np.zeros((240, 320, 3), np.uint8)
    prediction = rilievo.Prediction.from_depth(photo, depth, camera, depth_error="1%")
    found = prediction.measure_box((100, 100, 103, 104))
    assert found.width.low <= 4 / 300 * 2 <= found.width.high
    assert found.height.low <= 5 / 300 * 2 <= found.height.high


@pytest.mark.parametrize("seeds", [4, pytest.param(12, marks=pytest.mark.slow)])
def test_sizes_on_maps_of_half_the_size_lie_inside_their_ranges(seeds: int) -> None:
    errors, inside = [], []
    for seed in range(3000, 3000 + seeds):
        scene = floor_cuboid_scene(seed)
        mask = scene.mask
        if any(border.any() for border in (mask[0], mask[-1], mask[:, 0], mask[:, -1])):
            continue
        found = measured_on(scene, scene.depth[::2, ::2])
        for what in ("width", "height"):
            size, truth = getattr(found, what), scene.sizes[what]
            errors.append(size.value / truth - 1)
            inside.append(size.low <= truth <= size.high)
    assert np.abs(errors).mean() < 0.025
    assert np.mean(inside) > 0.75


@pytest.mark.slow
def test_a_range_tells_how_many_pixels_the_edges_of_depth_are_wide() -> None:
    def half_width(depth: np.ndarray) -> float:
        width = measured_on(SCENE, depth).width
        return width.high / width.value - 1

    sharp = half_width(SCENE.depth)
    half, quarter = half_width(SCENE.depth[::2, ::2]), half_width(SCENE.depth[1::4, 1::4])
    gap = half_width(with_shadow(SCENE.depth))
    assert sharp < half < quarter
    assert sharp < gap


def test_edges_are_as_wide_as_they_were_made() -> None:
    depth = SCENE.depth
    is_valid = np.ones(depth.shape, bool)
    assert edge_width(depth, is_valid) == 1.0
    assert edge_width(enlarged(depth), is_valid) == pytest.approx(2.0, abs=0.3)
    # The largest step of a normal distribution of one pixel is .383 of the whole.
    assert edge_width(blurred(depth), is_valid) == pytest.approx(1 / 0.383, abs=0.3)
    assert edge_width(noisy(0.01)(depth), is_valid) == 1.0


def test_a_blurred_step_is_sharp_again_and_planes_stay() -> None:
    v, u = np.mgrid[:40, :60]
    near, far = 1 / (0.4 + 0.001 * u), 1 / (0.2 + 0.0005 * v)
    depth = np.where(u < 30, near, far)
    is_valid = np.ones(depth.shape, bool)
    inverse = 1 / depth
    soft = inverse.copy()
    soft[:, 29] = 0.75 * inverse[:, 29] + 0.25 * inverse[:, 30]
    soft[:, 30] = 0.25 * inverse[:, 29] + 0.75 * inverse[:, 30]
    np.testing.assert_allclose(sharpen_edges(1 / soft, is_valid, 2.0, 0.0), depth, rtol=2e-3)
    np.testing.assert_array_equal(sharpen_edges(near, is_valid, 2.0, 0.0), near)


@pytest.mark.parametrize(
    "width", [0.06, 0.3, *(pytest.param(each, marks=pytest.mark.slow) for each in (0.1, 0.2))]
)
def test_a_post_in_a_wide_box_is_measured_and_not_what_is_behind(width: float) -> None:
    post = Cuboid(centre=(0.0, 0.7, 3.0), sides=(width, 1.4, 0.1))
    scene = trace_scene([post], view=View(pitch=12), wall=6.0)
    rows = np.flatnonzero(scene.mask.any(axis=1))
    prediction = prediction_of(scene, scene.depth)
    found = prediction.measure_box((170, rows[0] - 10, 470, rows[-1] + 10))
    assert found.width.value == pytest.approx(width, rel=0.05)
    assert found.width.low <= width <= found.width.high
    assert found.height.value == pytest.approx(1.4, rel=0.02)


@pytest.mark.parametrize(
    ("pixels", "scenes"),
    [(20, 6), *(pytest.param(each, 20, marks=pytest.mark.slow) for each in (8, 12, 20, 50))],
)
def test_small_objects_have_no_bias_and_ranges_of_a_pixel(pixels: int, scenes: int) -> None:
    chance = np.random.default_rng(pixels)
    errors, inside = [], []
    for _ in range(scenes):
        z = chance.uniform(1.5, 4)
        side = pixels * z / 520
        solid = Cuboid(
            centre=(chance.uniform(-0.25, 0.25) * z, side / 2, z), sides=(side, side, side)
        )
        scene = trace_scene([solid], view=View(height=0.35 * z, pitch=15), wall=z + 3)
        found = prediction_of(scene, scene.depth).measure_box(scene.tight_box(0.15))
        errors.append((found.width.value - side) / side * pixels)
        inside.append(found.width.low <= side <= found.width.high)
    assert abs(np.median(errors)) < 0.3  # [px]
    assert np.mean(inside) >= 0.8


def test_scattered_depth_is_refused_with_what_to_give() -> None:
    is_known = np.random.default_rng(2).random(SCENE.depth.shape) < 0.1
    with pytest.raises(CalibrationError, match=r"scattered.*sparse"):
        measured_on(SCENE, np.where(is_known, SCENE.depth, 0))


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_floor_is_found_where_depth_is_known_at_every_third_pixel(first: int) -> None:
    prediction = prediction_of(SCENE, on_grid(3, first)(SCENE.depth))
    found = find_floor(prediction.depth, SCENE.camera, normals=prediction.normals)
    assert found.height == pytest.approx(1.4, rel=0.01)


def test_a_floor_without_depth_is_no_traceback() -> None:
    depth = np.zeros(SCENE.depth.shape)
    depth[100, 101] = 2.0
    with pytest.raises(CalibrationError, match="no floor was found"):
        height(prediction_of(SCENE, depth), (101, 100))


@pytest.mark.parametrize(
    "azimuth", [0, 135, *(pytest.param(each, marks=pytest.mark.slow) for each in (60, 90))]
)
def test_width_in_a_panorama_is_across_the_direction_to_the_object(azimuth: float) -> None:
    """A cuboid of 1 by .8 by .3 m faces the camera wherever it stands."""
    photo = np.full((400, 800, 3), 128, np.uint8)
    panorama = rilievo.Prediction.from_depth(photo, np.ones((400, 800)), "equirect")
    camera = panorama.known_camera
    v, u = np.indices((400, 800))
    camera_rays = camera.rays(np.stack([u, v]).reshape(2, -1).astype(np.float64))
    rays = camera_rays.T * [1, -1, 1]
    R, origin = turned(azimuth), np.array([0.0, 1.5, 0.0])
    solid = Cuboid(centre=tuple(R @ [0, 0.4, 3]), sides=(1.0, 0.8, 0.3), R=R)
    room = Cuboid(centre=(0, 1.35, 0), sides=(10, 2.7, 10))
    distance = solid.trace(origin, rays)
    is_object = np.isfinite(distance).reshape(400, 800)
    half, start = np.array(room.sides) / 2, origin - np.array(room.centre)
    with np.errstate(divide="ignore"):
        walls = np.stack([(side * half - start) / rays for side in (-1, 1)]).max(axis=0)
    distance = np.minimum(distance, walls.min(axis=-1)).reshape(400, 800)
    rows, columns = np.nonzero(is_object)
    box = (columns.min() - 8, rows.min() - 8, columns.max() + 8, rows.max() + 8)
    prediction = rilievo.Prediction.from_depth(
        photo, distance, "equirect", kind="distance", depth_error="1%"
    )
    found = prediction.measure_box(box)
    assert found.width.value == pytest.approx(1.0, rel=0.03)
    assert found.height.value == pytest.approx(0.8, rel=0.03)
    assert found.depth.low <= 0.3 <= found.depth.high


def test_a_camera_that_looks_down_says_that_the_vertical_is_the_picture_s() -> None:
    solid = Cuboid(centre=(0.0, 0.2, 0.5), sides=(0.6, 0.4, 0.3))
    scene = trace_scene([solid], view=View(pitch=75))
    remarks = measured_on(scene, scene.depth).remarks
    assert any("axes of the picture" in remark for remark in remarks)
    assert not any("surface on which the object stands" in remark for remark in remarks)
    assert not any("does not reach down" in remark for remark in remarks)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (CameraSource.GIVEN, 0.0),
        (CameraSource.EXIF_35MM, 0.03),
        (CameraSource.PREDICTED, 0.1),
        (CameraSource.ASSUMED, 0.35),
    ],
)
def test_sizes_carry_the_error_of_the_focal_length(source: CameraSource, error: float) -> None:
    given = squared_log_error_of_width(CameraSource.GIVEN)
    other = squared_log_error_of_width(source)
    assert np.sqrt(max(other - given, 0)) == pytest.approx(error, abs=0.005)


@cache
def squared_log_error_of_width(source: CameraSource) -> float:
    """What the range of a width has more than that of the distance."""
    found = measured_on(SCENE, SCENE.depth, Camera(K=SCENE.camera.K, source=source))
    own = np.log(found.width.high / found.width.value) ** 2
    return float(own - np.log(found.distance.high / found.distance.value) ** 2)
