"""Agreement of neighbouring frames: by hand, and without regard to the unit of length."""

from dataclasses import replace

import numpy as np
import pytest

from rilievo.evaluation.metrics.stability import StabilityPair, temporal_error

SIZE = (6, 8)
K = np.array([[10.0, 0, 3.5], [0, 10.0, 2.5], [0, 0, 1]])


def pair_of(first: np.ndarray, second: np.ndarray, motion: np.ndarray) -> StabilityPair:
    everywhere = np.ones(SIZE, bool)
    return StabilityPair(
        first_depth=first, second_depth=second, first_valid=everywhere, second_valid=everywhere,
        first_true=first, second_true=second, K=K, second_T_first=motion,
    )  # fmt: skip


def test_frames_of_a_camera_that_stands_still_differ_by_their_depth() -> None:
    pair = pair_of(np.full(SIZE, 0.5), np.full(SIZE, 0.6), np.eye(4))
    [error] = temporal_error(pair)
    assert error == pytest.approx(100 * (0.1 / 0.6 + 0.1 / 0.5) / 2)
    mask = np.zeros(SIZE, bool)
    [half] = temporal_error(replace(pair, first_valid=mask))
    assert half == pytest.approx(100 * (0.1 / 0.6) / 2), "a direction without points counts as 0"


@pytest.mark.parametrize("factor", [0.1, 20.0])
def test_the_unit_of_length_has_no_effect(factor: float) -> None:
    first, second = np.random.default_rng(2).uniform(1, 4, (2, *SIZE))
    motion = np.eye(4)
    motion[:3, 3] = 0.2, -0.1, 0.3
    scaled = motion.copy()
    scaled[:3, 3] *= factor
    expected = temporal_error(pair_of(first, second, motion))
    errors = temporal_error(pair_of(factor * first, factor * second, scaled))
    np.testing.assert_allclose(errors, expected, rtol=1e-9)
