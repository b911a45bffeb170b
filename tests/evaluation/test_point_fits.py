"""Fits of points in space, against the published search over every anchor, written in loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.errors import CalibrationError
from rilievo.evaluation.point_fit import PointFit, fit_points
from support.point_fits_by_hand import best_scale, every_anchor

SHIFT = np.array([0.3, -0.2, 1.0])


def cloud(
    seed: int, noise: float, *, count: int = 60, ahead: float = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points around a place ``ahead`` of the camera, the true ones, and their weights."""
    chance = np.random.default_rng(seed)
    x = chance.normal(0, 1, (3, count)) + np.array([[0], [0], [ahead]])
    y = 2.3 * x * np.exp(chance.normal(0, noise, x.shape)) + SHIFT[:, None]
    return x, y, 1 / np.linalg.norm(y, axis=0)


@pytest.mark.parametrize("ahead", [4.0, 0.0, -4.0], ids=["ahead", "all around", "behind"])
@pytest.mark.parametrize("seed", range(6))
def test_scale_and_shift_are_those_of_the_best_anchor(seed: int, ahead: float) -> None:
    """Also of a panorama, whose points lie around the camera."""
    x, y, w = cloud(seed, 0.05 + 0.1 * seed, ahead=ahead)
    fitted = fit_points(x, y, w, PointFit.POINT_SCALE_SHIFT)
    scale, shift = every_anchor(x, y, w)
    assert fitted.scale == pytest.approx(scale, rel=1e-12)
    np.testing.assert_allclose(fitted.shift, shift, atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_scale_alone_and_shift_alone_are_weighted_medians(noise: float) -> None:
    x, y, w = cloud(9, noise)
    scale, _ = best_scale(x.T.ravel().tolist(), y.T.ravel().tolist(), np.repeat(w, 3).tolist())
    fitted = fit_points(x, y, w, PointFit.POINT_SCALE)
    assert fitted.scale == pytest.approx(scale, rel=1e-12)
    assert not fitted.shift.any()
    moved = fit_points(x, y, w, PointFit.POINT_SHIFT)
    expected = [best_scale([1.0] * w.size, each.tolist(), w.tolist())[0] for each in y - x]
    np.testing.assert_allclose(moved.shift, expected, atol=1e-12)
    assert moved.scale == 1


@given(scale=st.floats(0.01, 100), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=30)
def test_a_scale_and_a_shift_are_found_again_from_outliers(scale: float, seed: int) -> None:
    x, _, w = cloud(seed, 0.0)
    y = scale * x + SHIFT[:, None]
    y[:, :15] *= 3
    fitted = fit_points(x, y, w, PointFit.POINT_SCALE_SHIFT)
    assert fitted.scale == pytest.approx(scale, rel=1e-9)
    np.testing.assert_allclose(fitted.shift, SHIFT, atol=1e-7 * max(1, scale))


def test_what_determines_no_fit_is_refused() -> None:
    x, y, w = cloud(0, 0.1)
    with pytest.raises(CalibrationError, match="swaps near and far"):
        fit_points(-x, y, w, PointFit.POINT_SCALE)
    with pytest.raises(CalibrationError, match="swaps near and far"):
        fit_points(-x, y, w, PointFit.POINT_SCALE_SHIFT)
    with pytest.raises(CalibrationError, match="which does not determine"):
        fit_points(np.ones_like(x), y, w, PointFit.POINT_SCALE_SHIFT)
    with pytest.raises(CalibrationError, match="at the camera's centre"):
        fit_points(np.zeros_like(x), y, w, PointFit.POINT_SCALE)
