"""A smooth field is found where many facts ask for it, and only there."""

import numpy as np
import pytest

from rilievo.calibration import correction_field
from rilievo.calibration.correction_field import (
    MAX_POSITIONS,
    CorrectionField,
    fit_correction_field,
)
from rilievo.calibration.points import calibrate
from rilievo.calibration.sizes import KnownLength, KnownPoint
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.records.depth_map import DepthKind, DepthMap

SIZE = (90, 120)


def tilted() -> np.ndarray:
    """Depth whose network leans: true over predicted goes from 0.7 to 1.4 across the picture."""
    u, v = np.meshgrid(np.linspace(0, 1, SIZE[1]), np.linspace(0, 1, SIZE[0]))
    return 3.0 * np.exp(0.7 * (u - 0.5) - 0.2 * v)


def facts(true: np.ndarray, count: int, seed: int = 0) -> list[KnownPoint]:
    chance = np.random.default_rng(seed)
    chosen = chance.choice(true.size, count, replace=False)
    return [
        KnownPoint(u=int(i % SIZE[1]), v=int(i // SIZE[1]), metres=float(true.flat[i]))
        for i in chosen
    ]


def flat() -> DepthMap:
    return DepthMap(values=np.full(SIZE, 2.0, np.float32), kind=DepthKind.UP_TO_SCALE)


def test_a_lean_is_mended_by_points_that_agree_on_it() -> None:
    true = tilted()
    bent, plain = (calibrate(flat(), facts(true, 16), smooth=smooth) for smooth in (True, False))
    assert bent.field is not None
    assert plain.field is None
    misses = [np.abs(each.depth.values / true - 1) for each in (bent, plain)]
    assert np.median(misses[0]) < 0.1 * np.median(misses[1])
    worst = [max(abs(each.relative) for each in found.residuals) for found in (bent, plain)]
    assert worst[0] < 0.2 * worst[1]
    np.testing.assert_allclose(bent.depth.values, true, rtol=0.1)


def test_a_lean_is_mended_by_lengths_where_their_middles_are() -> None:
    """Upright lengths of 20 pixels each show the true depth of their column."""
    column = 3.0 * np.exp(0.7 * np.linspace(-0.5, 0.5, SIZE[1]))
    camera = Camera(K=K_from_focal(100.0, 100.0, SIZE))
    chance = np.random.default_rng(0)
    lengths = [
        KnownLength(u1=int(u), v1=int(v), u2=int(u), v2=int(v) + 20, metres=0.2 * float(column[u]))
        for u, v in zip(chance.integers(2, 118, 16), chance.integers(2, 68, 16), strict=True)
    ]
    found = calibrate(flat(), lengths, camera=camera)
    assert found.field is not None
    np.testing.assert_allclose(found.depth.values, np.broadcast_to(column, SIZE), rtol=0.1)


def test_residuals_are_of_the_bent_depth() -> None:
    result = calibrate(flat(), facts(tilted(), 12))
    for each in result.residuals:
        assert isinstance(each.known, KnownPoint)
        there = result.depth.values[int(each.known.v), int(each.known.u)]
        assert there / each.known.metres - 1 == pytest.approx(each.relative, abs=5e-3)
        assert there - each.known.metres == pytest.approx(each.metres, abs=2e-2)


def test_points_of_one_factor_bend_nothing() -> None:
    result = calibrate(flat(), facts(np.full(SIZE, 5.0), 12))
    assert result.field is None
    np.testing.assert_allclose(result.depth.values, 5.0, rtol=1e-6)


def test_noise_bends_nothing_nearly_always() -> None:
    chance = np.random.default_rng(1)
    bends = 0
    for seed in range(40):
        places = [(float(u), float(v)) for u, v in chance.uniform(0, 90, (10, 2))]
        logs = np.random.default_rng(seed).normal(0, 0.1, 10)
        bends += fit_correction_field(places, list(logs), SIZE) is not None
    assert bends <= 4


def test_one_slip_among_many_points_bends_little() -> None:
    true = tilted()
    known = facts(true, 16)
    slip = KnownPoint(u=known[0].u, v=known[0].v, metres=known[0].metres * 2.8)
    found = calibrate(flat(), [slip, *known[1:]])
    assert np.median(np.abs(found.depth.values / true - 1)) < 0.05


def test_a_miss_left_out_is_what_leaving_it_out_gives() -> None:
    """The closed form beside solving anew without each place."""
    chance = np.random.default_rng(3)
    at, y = chance.uniform(0, 1, (9, 2)), chance.normal(0, 0.2, 9)
    kernel = correction_field._Kernel(variance=2.0, length_scale=0.4)
    misses = []
    for out in range(9):
        rest = np.arange(9) != out
        precision, offset = correction_field._precision_and_mean(at[rest], y[rest], kernel)
        weights = 2.0 * correction_field._gaussian_kernels(at[out : out + 1], at[rest], 0.4)
        misses.append(abs(y[out] - offset - float((weights @ precision @ (y[rest] - offset))[0])))
    assert correction_field._leave_one_out_error(at, y, kernel) == pytest.approx(
        np.mean(misses), rel=1e-9
    )


@pytest.mark.slow
def test_thousands_of_points_are_brought_together() -> None:
    true = tilted()
    result = calibrate(flat(), facts(true, 3000))
    assert result.field is not None
    assert len(result.field.centres) <= MAX_POSITIONS
    assert np.median(np.abs(result.depth.values / true - 1)) < 0.01


def test_the_factor_is_the_same_on_the_grid_and_at_the_places() -> None:
    result = calibrate(flat(), facts(tilted(), 16)).field
    assert result is not None
    factors = result.factors(SIZE)
    at = np.array([[10, 10], [60, 45], [110, 80]])
    np.testing.assert_allclose(
        factors[at[:, 1], at[:, 0]], np.exp(result.log_factors(at / SIZE[1])), rtol=2e-3
    )


def test_a_place_pulls_less_the_farther_it_is_and_nothing_far_away() -> None:
    field = CorrectionField(
        centres=np.array([[0.5, 0.4]]),
        weights=np.array([0.3]),
        log_offset=0.1,
        kernel_deviation=0.2,
    )
    away = np.array([0.0, 0.2, 0.4, 3.0])
    at = np.stack([0.5 + 0.6 * away, 0.4 - 0.8 * away], axis=1)
    expected = 0.1 + 0.3 * np.exp([0, -0.5, -2, -112.5])
    np.testing.assert_allclose(field.log_factors(at), expected, rtol=1e-12)
