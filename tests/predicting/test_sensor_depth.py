"""Depth of a sensor: measured pixels stay, outliers go, holes are filled by the network."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import rilievo
from rilievo.io.resizing import resize_measured
from rilievo.predicting.metres.sensor_depth import (
    MIN_MEASURED_FRACTION,
    fill_measured_depth,
    fill_smoothly,
    nearest_known_pixels,
)
from rilievo.predicting.metres.sparse import read_sparse
from rilievo.records.depth_map import DepthKind, DepthMap

SIZE = (120, 160)


def room() -> np.ndarray:
    """A floor, a wall and a box before it [m]."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    depth = np.minimum(4.0 + u / 160, 150 / (v - 40 + 1e-3) * (v > 45) + 99 * (v <= 45))
    box = (abs(u - 60) < 20) & (abs(v - 70) < 25)
    return np.where(box, 1.6 + u / 800, depth).astype(np.float32)


def network() -> DepthMap:
    """The room as a network sees it: another scale here and there, and blunt edges."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    values = room() * np.exp(0.3 * np.sin(u / 50) + 0.2 * np.cos(v / 40))
    blunt = sum(np.roll(values, step, axis=1) for step in (-2, -1, 0, 1, 2)) / 5
    return DepthMap(values=blunt.astype(np.float32), kind=DepthKind.METRIC)


def blobs(seed: int = 0) -> np.ndarray:
    """Holes over half of the picture."""
    chance = np.random.default_rng(seed)
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    holes = np.zeros(SIZE, bool)
    while holes.mean() < 0.5:
        y, x, side = chance.uniform(0, 120), chance.uniform(0, 160), chance.uniform(4, 15)
        holes |= np.hypot(v - y, u - x) < side
    return holes


def test_measured_pixels_stay_and_holes_are_closer_than_the_nearest_pixel() -> None:
    true, holes = room(), blobs()
    result = fill_measured_depth(network(), np.where(holes, 0, true))
    assert result is not None
    error = np.abs(result.depth.values / true - 1)
    assert np.mean(error[~holes] < 0.01) > 0.995
    rows, columns = nearest_known_pixels(~holes)
    nearest = np.abs(true[rows, columns] / true - 1)
    alone = np.abs(network().values / true - 1)
    assert np.median(error[holes]) <= min(np.median(nearest[holes]), np.median(alone[holes]))
    assert result.relative_error is not None
    assert 0.65 < np.mean(error[holes] < result.relative_error) < 0.95


@pytest.mark.parametrize("same", [False, True])
def test_a_fifth_of_planted_outliers_is_left_out_and_counted(same: bool) -> None:
    true, chance = room(), np.random.default_rng(1)
    planted = chance.random(SIZE) < 0.2
    factor = 1.5 if same else np.exp(chance.choice([-1, 1], SIZE) * chance.uniform(0.3, 1.2, SIZE))
    result = fill_measured_depth(
        network(), np.where(planted, true * factor, true).astype(np.float32)
    )
    assert result is not None
    assert np.mean(result.measured[planted]) < 0.02
    assert np.mean(result.measured[~planted]) > 0.99
    assert abs(result.outlier_count - planted.sum()) < 0.03 * planted.sum()
    assert np.median(np.abs(result.depth.values / true - 1)[planted]) < 0.01


def test_a_smaller_map_is_kept_at_the_pixels_that_it_covers() -> None:
    true = room()
    result = fill_measured_depth(network(), true[::2, ::2])
    assert result is not None
    assert np.quantile(np.abs(result.depth.values / true - 1), 0.9) < 0.02
    assert result.depth.shape == SIZE


@pytest.mark.parametrize(
    ("far", "expected"),
    [
        (23.0, [20, 20.75, 22.25, 23]),
        (24.0, [20, 20, 23, 24]),
        (40.0, [20, 20, 40, 40]),
    ],
    ids=["one surface", "exactly 5% at the second pixel", "an edge"],
)
def test_a_coarse_map_is_interpolated_where_that_changes_it_by_less_than_5_per_cent(
    far: float, expected: list[float]
) -> None:
    """Two pixels become four, whose centres lie a quarter and three quarters between theirs."""
    resized = resize_measured(np.array([[20.0, far]]), (1, 4))
    assert resized.values.tolist() == [expected]
    assert resized.known.all()


@pytest.mark.parametrize("share", [0.002, 0.02, 0.5])
def test_the_nearest_known_pixel_is_at_the_distance_that_scipy_finds(share: float) -> None:
    """Jump flooding misses the nearest pixel rarely, and then by less than a pixel."""
    known = np.random.default_rng(0).random(SIZE) < share
    rows, columns = nearest_known_pixels(known)
    assert known[rows, columns].all()
    v, u = np.indices(SIZE)
    found = np.hypot(rows - v, columns - u)
    true = np.asarray(ndimage.distance_transform_edt(~known))
    assert (found - true).max() < 1
    assert np.mean(found < true + 1e-9) > 0.99


def test_a_membrane_continues_what_it_knows() -> None:
    v, u = np.mgrid[:40, :50]
    plane = 0.1 * u - 0.05 * v
    known = (u % 50 < 3) | (u > 46) | (v < 3) | (v > 36)
    assert np.abs(fill_smoothly(np.where(known, plane, 9.0), known) - plane).max() < 0.15
    some = np.full((3, 3), 7.0)
    np.testing.assert_array_equal(fill_smoothly(some, np.ones((3, 3), bool)), some)


def test_few_points_are_fitted_as_before_and_many_stay(tmp_path: Path) -> None:
    true, chance = room(), np.random.default_rng(2)
    few = np.where(chance.random(SIZE) < 0.5 * MIN_MEASURED_FRACTION, true, 0)
    assert read_sparse(few, SIZE, None).measured is None
    photo = chance.integers(0, 255, (*SIZE, 3), np.uint8)
    model = rilievo.model(kind="up_to_scale")(lambda pixels: network().values)
    many = rilievo.predict(photo, sparse=np.where(blobs(), 0, true), model=model)
    calibration = many.calibration
    assert calibration is not None
    assert calibration.method == "measured pixels"
    assert calibration.measured_pixels is not None
    assert many.network_depth is not None
    assert any("measured pixels (8 in 10 are" in note for note in many.notes)
    [path, _] = many.save(tmp_path / "a", "npz")
    with np.load(path) as arrays:
        assert not np.array_equal(arrays["depth"], arrays["network_depth"])
    again = rilievo.read_prediction(path)
    assert again.calibration == calibration
    assert again.network_depth == many.network_depth
    by_points = rilievo.predict(photo, sparse=few, model=model)
    assert by_points.calibration is not None
    assert by_points.calibration.measured_pixels is None
    assert by_points.network_depth is None


def test_a_narrow_picture_says_the_error_of_its_filled_pixels() -> None:
    """A band of holes is judged elsewhere along the picture, not beside itself."""
    v, _ = np.mgrid[:200, :12]
    true = (2 + v / 100).astype(np.float32)
    band = (v >= 90) & (v < 110)
    network = DepthMap(values=true * np.float32(1.2), kind=DepthKind.METRIC)
    filling = fill_measured_depth(network, np.where(band, 0, true))
    assert filling is not None
    assert filling.relative_error is not None
    assert np.mean(np.abs(filling.depth.values / true - 1)[band] < filling.relative_error) > 0.8
