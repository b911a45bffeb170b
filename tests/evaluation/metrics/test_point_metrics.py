"""Errors in space: cameras that differ, and clouds compared by every pair of points."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.errors import InputError, OptionError
from rilievo.evaluation.metrics import DEPTH_METRICS, DepthPair, measure
from rilievo.evaluation.metrics.cloud import cloud_accuracy, cloud_completeness, cloud_f_score
from rilievo.geometry.cameras.camera import Camera

seeds = st.integers(0, 2**32 - 1)
POINT = {name: metric for name, metric in DEPTH_METRICS.items() if name.startswith("point")}


def camera(focal: float) -> Camera:
    return Camera(K=np.array([[focal, 0.0, 0.0], [0.0, focal, 0.0], [0.0, 0.0, 1.0]]))


def test_a_point_worked_out_by_hand() -> None:
    """One pixel right of the centre with f = 1 at 2 m is (2, 0, 2); at 3 m it is (3, 0, 3)."""
    pair = DepthPair(
        predicted=np.array([[9.0, 3.0]]),
        true=np.array([[9.0, 2.0]]),
        valid=np.array([[False, True]]),
        camera=camera(1.0),
    )
    scores = measure(POINT, pair)
    assert scores["point_distance"] == pytest.approx(math.sqrt(2))
    assert scores["point_rel"] == pytest.approx(0.5, rel=1e-6)
    assert scores["point_delta1"] == 0.0


def test_the_models_own_camera_counts_where_it_is_given() -> None:
    """The depth is right, but half the focal length takes (2, 0, 2) to (4, 0, 2)."""
    pair = DepthPair(
        predicted=np.array([[2.0, 2.0]]),
        true=np.array([[2.0, 2.0]]),
        valid=np.array([[True, True]]),
        camera=camera(1.0),
        predicted_camera=camera(0.5),
    )
    scores = measure(POINT, pair)
    assert scores["point_distance"] == pytest.approx(1.0)
    assert scores["point_rel"] == pytest.approx(2 / math.sqrt(8) / 2, rel=1e-6)
    assert scores["point_delta1"] == 0.5


def by_every_pair(points: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    return np.sqrt(((points[:, None] - cloud[None]) ** 2).sum(axis=2)).min(axis=1)


@given(seed=seeds, n=st.integers(1, 30), m=st.integers(1, 30))
def test_clouds_score_as_every_pair_of_points_says(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, true = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))
    to_true, to_predicted = by_every_pair(predicted, true), by_every_pair(true, predicted)
    assert cloud_accuracy(predicted, true) == pytest.approx(to_true.mean())
    assert cloud_completeness(predicted, true) == pytest.approx(to_predicted.mean())
    precision, recall = np.mean(to_true < 0.5), np.mean(to_predicted < 0.5)
    harmonic = 2 / (1 / precision + 1 / recall) if precision and recall else 0.0
    assert cloud_f_score(predicted, true, 0.5) == pytest.approx(harmonic)


def test_half_a_surface_is_accurate_but_not_complete() -> None:
    """Points 0 and 1 of a true row 0, 1, 2, 3: the others lie 1 and 2 m away."""
    row = np.stack([np.arange(4.0), np.zeros(4), np.zeros(4)], axis=1)
    assert cloud_accuracy(row[:2], row) == 0.0
    assert cloud_completeness(row[:2], row) == 0.75
    assert cloud_f_score(row[:2], row, 0.5) == pytest.approx(2 / 3)
    assert cloud_f_score(row, row, 1e-9) == 1.0


def test_a_point_exactly_at_the_threshold_is_too_far() -> None:
    """Knapitsch et al. (2017) count distances below the threshold; here one is equal to it."""
    near = np.array([[0.0, 0.0, 0.0]])
    both = np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
    assert cloud_f_score(near, both, 0.5) == pytest.approx(2 / 3)
    assert cloud_f_score(both, near, 0.5) == pytest.approx(2 / 3)
    assert cloud_f_score(near, both, 0.501) == cloud_f_score(both, near, 0.501) == 1.0


def test_clouds_that_cannot_be_compared_are_refused() -> None:
    some = np.ones((2, 3))
    with pytest.raises(InputError, match="at least one"):
        cloud_accuracy(np.zeros((0, 3)), some)
    with pytest.raises(InputError, match="NaN or infinite"):
        cloud_completeness(some, np.full((1, 3), np.nan))
    with pytest.raises(OptionError, match="a positive distance, got 0"):
        cloud_f_score(some, some, 0.0)
