"""Depth as 16-bit pictures for viewers: 0 is nothing, what is there is 1 or more."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.predictions.sources import open_predictions
from rilievo.evaluation.stored_numbers import ValueEncoding
from rilievo.evaluation.views.heat_maps import Limits, heat_map_limits, heat_maps, write_heat_map
from rilievo.records.depth_map import DepthKind, DepthMap


def depth_map(values: list[list[float]], kind: DepthKind = DepthKind.METRIC) -> DepthMap:
    """NaN is a pixel without an answer."""
    array = np.array(values, np.float32)
    return DepthMap(values=array, kind=kind, valid=np.isfinite(array))


def test_metres_are_stored_as_millimetres_and_holes_as_zero() -> None:
    [stored] = heat_maps([depth_map([[1.2344, 2.5], [np.nan, 0.0001]])])

    # A tenth of a millimetre would round to the number of a hole.
    assert stored.stored.tolist() == [[1234, 2500], [0, 1]]
    assert stored.unit == "mm"


@pytest.mark.parametrize(
    ("farthest", "unit", "number"), [(65.535, "mm", 65535), (80.0, "cm", 8000), (700.0, "dm", 7000)]
)
def test_what_reaches_beyond_65_metres_is_stored_in_larger_units(
    farthest: float, unit: str, number: int
) -> None:
    [stored] = heat_maps([depth_map([[1.0, farthest]])])

    assert (stored.unit, int(stored.stored.max())) == (unit, number)


def test_all_maps_in_metres_of_an_image_share_a_unit() -> None:
    near, far = heat_maps([depth_map([[1.0, 2.0]]), depth_map([[1.0, 80.0]])])

    assert near.unit == far.unit == "cm"
    assert near.stored[0, 0] == far.stored[0, 0] == 100


@settings(deadline=None)
@given(
    kind=st.sampled_from(list(DepthKind)),
    numbers=st.lists(st.floats(0.0625, 1024, width=32), min_size=2, max_size=20),
    shift=st.floats(-512, 512, width=32),
)
def test_every_kind_comes_back_to_within_half_a_step(
    kind: DepthKind, numbers: list[float], shift: float
) -> None:
    given_numbers = np.array(numbers) + (0 if kind.is_depth else shift)
    [stored] = heat_maps([depth_map([given_numbers.tolist()], kind)])

    back = stored.stored.astype(np.float64) * stored.coding.scale + stored.coding.offset
    size = np.abs(given_numbers).max()
    assert stored.stored.min() >= 1
    np.testing.assert_allclose(
        back[0], given_numbers, rtol=0, atol=0.51 * stored.coding.scale + 1e-5 * size
    )


def test_limits_hold_the_smallest_of_all_maps_and_the_98th_percentile_of_the_truth() -> None:
    true = depth_map([list(np.linspace(1, 2, 101))])
    other = depth_map([[0.5, *([1.5] * 99), 40.0]])
    stored = heat_maps([true, other])

    # Worked out by hand: 1000, 1010, ..., 2000 mm; the 98th of a hundred steps is 1980.
    assert heat_map_limits(stored, stored[0]) == Limits(low=500, high=1980)


def test_the_upper_limit_leaves_the_sky_out() -> None:
    [stored] = heat_maps([depth_map([[1.0, 2.0, 60.0]])])
    sky = np.array([[False, False, True]])

    assert heat_map_limits([replace(stored, sky=sky)]) == Limits(low=1000, high=1980)


def test_a_constant_map_has_a_range_all_the_same() -> None:
    [stored] = heat_maps([depth_map([[2.0, 2.0]])])

    assert heat_map_limits([stored]) == Limits(low=2000, high=2001)


def test_a_map_without_a_pixel_is_all_holes() -> None:
    [stored] = heat_maps([depth_map([[np.nan, np.nan]], DepthKind.AFFINE)])

    assert not stored.stored.any()
    limits = heat_map_limits([stored])
    assert limits.low < limits.high


def test_the_file_is_a_grey_png_of_16_bits_that_says_what_it_holds(tmp_path: Path) -> None:
    [stored] = heat_maps([depth_map([[1.5, np.nan], [3.0, 2.0]])])
    write_heat_map(tmp_path / "map.png", stored)

    with Image.open(tmp_path / "map.png") as image:
        assert image.mode == "I;16"
        assert np.asarray(image).tolist() == [[1500, 0], [3000, 2000]]
        assert image.info["unit"] == "metre"
        assert float(image.info["scale"]) == 0.001


@pytest.mark.parametrize("kind", DepthKind)
def test_a_folder_of_heat_maps_is_a_folder_of_predictions(kind: DepthKind, tmp_path: Path) -> None:
    shown = depth_map([[1.5, 2.25], [np.nan, 40.0]], kind)
    [stored] = heat_maps([shown])
    write_heat_map(tmp_path / "a.png", stored)
    unstated = ValueEncoding(number_kind=None)
    predictions = open_predictions(tmp_path, ["a"], value_encoding=unstated, task=Task.DEPTH)
    depth = predictions.read("a").depth

    assert predictions.kind is depth.kind is kind
    assert depth.valid.tolist() == shown.valid.tolist()
    np.testing.assert_allclose(depth.values[depth.valid], shown.values[shown.valid], atol=6e-4)
