"""Volumes of boxes, heaps and hollows whose true volume is known in closed form."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from rilievo.errors import CalibrationError, OptionError
from rilievo.measure import volume
from rilievo.measure.polygons import polygon_mask
from support.heaps_and_hollows import (
    VolumeScene,
    box_scene,
    cone_scene,
    hollow_scene,
    sensor_depth,
)

EXACT = {"depth_error": "0.01%"}


def box_of(generator: np.random.Generator) -> VolumeScene:
    sides = generator.uniform(0.4, 0.7), generator.uniform(0.15, 0.25), generator.uniform(0.4, 0.6)
    return box_scene(sides, generator.uniform(52, 75), generator.uniform(-40, 40))


def heap_of(generator: np.random.Generator) -> VolumeScene:
    radius = generator.uniform(0.3, 0.5)
    return cone_scene(radius, radius * generator.uniform(0.7, 0.9), generator.uniform(48, 70))


def bowl_of(generator: np.random.Generator) -> VolumeScene:
    radius = generator.uniform(0.25, 0.45)
    return hollow_scene(radius, radius * generator.uniform(0.5, 0.8), generator.uniform(50, 75))


@pytest.mark.parametrize(
    "make_scene",
    [box_of, *(pytest.param(each, marks=pytest.mark.slow) for each in (heap_of, bowl_of))],
)
def test_eight_in_ten_ranges_by_a_sensor_contain_the_volume_and_are_narrow(
    make_scene: Callable[[np.random.Generator], VolumeScene],
) -> None:
    """Ten scenes whose depth has the errors that are assumed of a depth camera."""
    inside = []
    for seed in range(10):
        generator = np.random.default_rng([seed, 7])
        scene = make_scene(generator)
        prediction = scene.prediction(sensor_depth(scene.traced.depth, generator))
        measured = volume(prediction, scene.outline)
        inside.append(measured.low <= scene.volume <= measured.high)
        assert (measured.high - measured.low) / 2 <= 0.2 * measured.value
    assert sum(inside) >= 8


@pytest.mark.parametrize(
    ("scene", "error"),
    [
        (box_scene((0.5, 0.3, 0.4), 60), 0.03),
        (box_scene((0.5, 0.4, 0.4), 30), 0.03),
        (cone_scene(0.4, 0.2, 60), 0.01),
        (cone_scene(0.4, 0.4, 60), 0.04),
        (cone_scene(0.4, 0.4, 30), 0.06),
        (hollow_scene(0.4, 0.15, 60), 0.01),
        (hollow_scene(0.4, 0.35, 60), 0.06),
    ],
)
def test_exact_depth_gives_the_volume_by_the_symmetry_of_front_and_back(
    scene: VolumeScene, error: float
) -> None:
    measured = volume(scene.prediction(**EXACT), scene.outline)
    assert measured.value == pytest.approx(scene.volume, rel=error)
    assert measured.low <= scene.volume <= measured.high
    assert measured.unit == "m³"


def test_what_the_camera_does_not_see_is_said_and_widens_the_range() -> None:
    seen, hidden = cone_scene(0.4, 0.15, 60), cone_scene(0.4, 0.4, 30)
    by_seen, by_hidden = (volume(s.prediction(**EXACT), s.outline) for s in (seen, hidden))
    assert not any("hidden" in remark for remark in by_seen.remarks)
    assert any("the back of the object is hidden" in remark for remark in by_hidden.remarks)
    widths = [(each.high - each.low) / each.value for each in (by_seen, by_hidden)]
    assert widths[1] > 4 * widths[0]


def test_a_hollow_has_a_positive_volume_and_a_remark() -> None:
    scene = hollow_scene(0.4, 0.2, 60)
    measured = volume(scene.prediction(**EXACT), scene.outline)
    assert measured.value > 0
    assert any("hollow" in remark for remark in measured.remarks)


def test_the_volume_grows_with_the_cube_of_the_scale() -> None:
    scene = cone_scene(0.4, 0.3, 60)
    once = volume(scene.prediction(**EXACT), scene.outline)
    twice = volume(scene.prediction(2 * scene.traced.depth, **EXACT), scene.outline)
    assert twice.value == pytest.approx(8 * once.value, rel=1e-4)


def test_another_outline_around_the_object_gives_the_same_volume() -> None:
    scene = cone_scene(0.4, 0.3, 60)
    prediction = scene.prediction(**EXACT)
    middle = np.mean(scene.outline, axis=0)
    wide = [tuple(middle + 1.3 * (np.array(corner) - middle)) for corner in scene.outline]
    assert volume(prediction, wide).value == pytest.approx(
        volume(prediction, scene.outline).value, rel=0.01
    )


def test_points_of_the_plane_replace_the_surface_around() -> None:
    """A bowl that stands on the ground, 0.2 m high, has its rim above what surrounds it."""
    scene = hollow_scene(0.3, 0.2, 62)
    ground = scene.traced.depth.copy()
    rim = [scene.outline[index * len(scene.outline) // 4] for index in range(4)]
    around = ~scene.traced.mask
    ground[around] *= 1.15
    prediction = scene.prediction(ground, **EXACT)
    shrunk_rim = [tuple(np.round(np.array(p) * 0.97 + 0.03 * np.mean(rim, axis=0))) for p in rim]
    by_ring = volume(prediction, scene.outline)
    by_rim = volume(prediction, scene.outline, shrunk_rim)
    assert by_rim.value == pytest.approx(scene.volume, rel=0.2)
    is_hollow = ["hollow" in " ".join(each.remarks) for each in (by_rim, by_ring)]
    assert is_hollow == [True, False]


def test_a_network_has_a_range_of_three_lengths_and_the_plane() -> None:
    scene = box_scene((0.5, 0.2, 0.4), 60)
    network = volume(scene.prediction(depth_error="network"), scene.outline)
    length = scene.prediction(depth_error="network").measure(scene.outline[0], scene.outline[9])
    assert network.high / network.value > (length.high / length.value) ** 3
    assert network.low < network.value / (length.high / length.value) ** 2
    assert any("too flat" in remark for remark in network.remarks)
    sensor = volume(scene.prediction(**EXACT), scene.outline)
    assert not any("too flat" in remark for remark in sensor.remarks)


def test_an_object_before_the_horizon_is_refused() -> None:
    scene = box_scene((0.5, 1.6, 0.4), 5)
    outline = [(250.0, 180.0), (390.0, 180.0), (390.0, 330.0), (250.0, 330.0)]
    depth = np.minimum(np.where(np.isfinite(scene.traced.depth), scene.traced.depth, 50), 50)
    with pytest.raises(CalibrationError, match="from higher up"):
        volume(scene.prediction(depth, **EXACT), outline)


@pytest.mark.parametrize(
    ("outline", "base", "error", "words"),
    [
        ([(10, 10), (90, 10)], [], OptionError, "three corners"),
        ([(10, 10), (90, 90), (90, 10), (10, 90)], [], OptionError, "crosses"),
        ([(10, 10), (90, 10), (90, 90)], [(5, 5), (9, 9)], OptionError, "three points"),
        (
            [(10, 10), (90, 10), (90, 90)],
            [(20, 440), (200, 440), (400, 440), (600, 440)],
            OptionError,
            "nearly on one line",
        ),
        ([(10, 10), (90, 10), (9000, 90)], [], CalibrationError, "outside the image"),
    ],
)
def test_outlines_and_planes_that_are_none_are_refused(
    outline: list, base: list, error: type[Exception], words: str
) -> None:
    prediction = cone_scene(0.4, 0.3, 60).prediction(**EXACT)
    with pytest.raises(error, match=words):
        volume(prediction, outline, base)


def test_missing_depth_is_interpolated_and_too_much_is_refused() -> None:
    scene = cone_scene(0.4, 0.3, 60)
    whole = volume(scene.prediction(**EXACT), scene.outline)
    depth = scene.traced.depth.copy()
    depth[::5] = 0
    striped = volume(scene.prediction(depth, **EXACT), scene.outline)
    assert striped.value == pytest.approx(whole.value, rel=0.01)
    assert any("have no depth" in remark for remark in striped.remarks)
    depth[::2] = 0
    with pytest.raises(CalibrationError, match="have no depth"):
        volume(scene.prediction(depth, **EXACT), scene.outline)


def test_a_few_pixels_too_many_without_depth_read_as_more_than_the_limit() -> None:
    scene = cone_scene(0.4, 0.3, 60)
    inside = np.flatnonzero(polygon_mask(scene.traced.depth.shape, scene.outline))
    depth = scene.traced.depth.copy()
    depth.flat[inside[: int(0.3 * inside.size) + 2]] = 0
    with pytest.raises(CalibrationError, match=r"^30\.\d+% of the pixels .* at least 70%"):
        volume(scene.prediction(depth, **EXACT), scene.outline)


def test_an_object_beside_the_heap_does_not_tilt_its_plane() -> None:
    scene = cone_scene(0.3, 0.25, 60)
    columns = [u for u, _ in scene.outline]
    depth = scene.traced.depth.copy()
    depth[:, round(max(columns)) + 8 :] *= 0.9
    alone = volume(scene.prediction(**EXACT), scene.outline)
    beside = volume(scene.prediction(depth, **EXACT), scene.outline)
    assert beside.value == pytest.approx(alone.value, rel=0.02)
    assert not any("not flat" in remark for remark in beside.remarks)


def test_flat_ground_has_no_volume() -> None:
    scene = cone_scene(0.3, 0.25, 60)
    flat = cone_scene(0.3, 1e-6, 60)
    for depth in (flat.traced.depth, 1.001 * flat.traced.depth):
        depth = np.where(polygon_mask(depth.shape, scene.outline), depth, flat.traced.depth)
        measured = volume(flat.prediction(depth, depth_error="1%"), scene.outline)
        assert any("may be flat" in remark for remark in measured.remarks)
        assert not any("hollow" in remark for remark in measured.remarks)
    measured = volume(flat.prediction(depth_error="1%"), scene.outline)
    assert measured.value == pytest.approx(0, abs=1e-5)
    assert measured.low == 0


def test_uneven_ground_is_said() -> None:
    scene = cone_scene(0.3, 0.25, 60)
    rows = np.arange(scene.traced.depth.shape[0])[:, None]
    waves = np.where(scene.traced.mask, 0, 0.03 * np.sin(rows / 15))
    measured = volume(scene.prediction(scene.traced.depth * (1 + waves), **EXACT), scene.outline)
    assert any("not flat" in remark for remark in measured.remarks)
    assert math.isfinite(measured.high)
