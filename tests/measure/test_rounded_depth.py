"""Ranges contain the rounding of depth that is stored as whole numbers."""

import math

import numpy as np
import pytest

import rilievo
from rilievo.measure import angle
from rilievo.records.instruments import DepthError, rounding_error
from support.fixed_depth import FixedDepth

SIZE, FOCAL = (240, 320), 280.0
PHOTO = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
V, U = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
RAYS = np.stack([(U - 159.5) / FOCAL, (V - 119.5) / FOCAL, np.ones(SIZE)])
SLANTED = 3 / (1 - 0.4 * RAYS[0] + 0.2 * RAYS[1])
CAMERA = np.array([[FOCAL, 0, 159.5], [0, FOCAL, 119.5], [0, 0, 1]])


def given(depth: np.ndarray, **options: object) -> rilievo.Prediction:
    return rilievo.Prediction.from_depth(PHOTO, depth, FOCAL, depth_error="0.1%", **options)


def place(u: int, v: int) -> np.ndarray:
    return RAYS[:, v, u] * SLANTED[v, u]


@pytest.mark.parametrize("step", [0.05, 0.25])
def test_ranges_contain_the_truth_on_coarse_counts(step: float) -> None:
    random = np.random.default_rng(2)
    room = given(np.round(SLANTED / step).astype(np.uint16), unit=step)
    distances, lengths = list[bool](), list[bool]()
    for _ in range(60):
        first, second = ((int(random.integers(9, 310)), int(random.integers(9, 230))) for _ in "ab")
        distance, true = room.distance(*first), float(np.linalg.norm(place(*first)))
        distances.append(distance.low <= true <= distance.high)
        length, true = room.measure(first, second), math.dist(place(*first), place(*second))
        lengths.append(length.low <= true <= length.high)
    assert np.mean(distances) >= 0.95
    assert np.mean(lengths) >= 0.85


def test_a_sensor_with_coarse_counts_has_their_rounding() -> None:
    counts = np.round(SLANTED / 0.25).astype(np.uint16)
    counts[60:180, 110:210] = 0
    model = FixedDepth(np.full(SIZE, 1.0))
    room = rilievo.predict(
        PHOTO, model=model, sparse=counts, sparse_unit=0.25, camera=CAMERA, depth_error="0.1%"
    )
    assert room.instrument is not None
    assert room.instrument.rounding == DepthError(absolute=pytest.approx(0.125))
    for point in ((40, 40), (280, 60), (60, 200)):
        measured = room.distance(*point)
        assert measured.high - measured.low > 0.2


def test_the_angle_of_surfaces_on_coarse_counts_may_be_any_that_the_steps_allow() -> None:
    room = given(np.round(SLANTED / 0.25).astype(np.uint16), unit=0.25)
    for second in ((260, 60), (200, 200), (90, 180)):
        measured = angle(room, (60, 120), second)
        assert measured.low == 0
        assert measured.high <= 180


def test_fine_counts_change_no_range() -> None:
    exact = given(SLANTED).distance(160, 120)
    fine = given(np.round(SLANTED * 1e4).astype(np.uint16), unit=1e-4).distance(160, 120)
    assert fine.high - fine.low == pytest.approx(exact.high - exact.low, rel=0.01)


COUNTS = np.arange(4, 4 + 96).reshape(8, 12)


@pytest.mark.parametrize(
    ("stored", "depth", "rounding"),
    [
        (COUNTS, 0.25 * COUNTS, DepthError(absolute=0.125)),
        (COUNTS * 257, 0.25 * COUNTS, DepthError(absolute=0.125)),
        (COUNTS, 1 + 0.5 * COUNTS, DepthError(absolute=0.25)),
        (COUNTS, 5 / COUNTS, DepthError(growth=0.1)),
        (COUNTS, np.sqrt(COUNTS), DepthError()),
        (COUNTS.astype(float), 0.25 * COUNTS, DepthError()),
        (np.full((8, 12), 8), np.full((8, 12), 2.0), DepthError(absolute=0.125)),
        (COUNTS, np.full((8, 12), np.nan), DepthError()),
    ],
)
def test_rounding_is_half_of_a_step(
    stored: np.ndarray, depth: np.ndarray, rounding: DepthError
) -> None:
    found = rounding_error(stored, depth.astype(float))
    assert found.absolute == pytest.approx(rounding.absolute)
    assert found.growth == pytest.approx(rounding.growth)
    assert found.relative == 0


@pytest.mark.parametrize("kind", ["up_to_scale", "affine", "affine_inverse"])
def test_counts_that_known_sizes_scale_keep_their_rounding(kind: str) -> None:
    step = 0.2
    numbers = 10 / SLANTED if kind == "affine_inverse" else SLANTED
    counts = np.round(numbers / step).astype(np.uint8)
    near, far = (60, 120), (280, 120)
    known = [f"{u},{v},{SLANTED[v, u]:.4f}" for u, v in (near, far)]
    room = given(counts, kind=kind, unit=1.0, known=known)
    assert room.instrument is not None
    depth = float(room.depth.values[120, 160])
    expected = 0.5 * step * (depth / 10 if kind == "affine_inverse" else 1 / depth)
    assert room.instrument.rounding.relative_at(depth) == pytest.approx(expected, rel=0.3)
