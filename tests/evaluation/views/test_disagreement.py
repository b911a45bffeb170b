"""Disagreement of models, for any kinds of their depth."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.evaluation.views.view_items import disagreement
from rilievo.records.depth_map import DepthKind, DepthMap


def field(seed: int, shape: tuple[int, int] = (96, 96)) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 5, shape).astype(np.float32)


def of(values: np.ndarray, kind: DepthKind = DepthKind.METRIC) -> DepthMap:
    return DepthMap(values=values, kind=kind)


def test_it_is_one_minus_the_rank_correlation_that_scipy_finds() -> None:
    one, other = field(0), field(0) + field(1)

    expected = 1 - scipy.stats.spearmanr(one.ravel(), other.ravel()).statistic

    assert disagreement([of(one), of(other)]) == pytest.approx(expected, abs=1e-9)


def test_ties_share_their_mean_rank_as_in_scipy() -> None:
    one, other = np.round(field(0)), np.round(field(0) + field(1))

    expected = 1 - scipy.stats.spearmanr(one.ravel(), other.ravel()).statistic

    assert disagreement([of(one), of(other)]) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(scale=st.floats(0.5, 20), shift=st.floats(-5, 5))
def test_scale_shift_and_the_inverse_change_nothing(scale: float, shift: float) -> None:
    depth = np.linspace(1, 3, 96 * 96, dtype=np.float32).reshape(96, 96)
    inverse = (scale / depth.astype(np.float64) + shift).astype(np.float32)

    found = disagreement([of(depth), of(inverse, DepthKind.AFFINE_INVERSE)])

    assert found == pytest.approx(0, abs=1e-4)


def test_near_and_far_exchanged_is_the_most() -> None:
    assert disagreement([of(field(0)), of(6 - field(0))]) == pytest.approx(2)


def test_the_two_models_that_differ_most_count() -> None:
    alike = [of(field(0)), of(2 * field(0))]

    assert disagreement([*alike, of(field(3))]) == disagreement([alike[0], of(field(3))])


def test_maps_of_two_sizes_are_compared_at_the_same_places() -> None:
    small = np.linspace(1, 2, 48, dtype=np.float32)[:, None].repeat(64, axis=1)
    large = np.linspace(1, 2, 480, dtype=np.float32)[:, None].repeat(640, axis=1)

    found = disagreement([of(small), of(large)])

    assert found is not None
    assert found < 0.001


@pytest.mark.parametrize(
    "depths",
    [[], [of(field(0))], [of(field(0)), of(np.full((96, 96), 2, np.float32))]],
    ids=["none", "one", "flat"],
)
def test_there_is_none_without_two_maps_with_relief(depths: list[DepthMap]) -> None:
    assert disagreement(depths) is None
