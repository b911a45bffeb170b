"""A focal length that is wrong by far is told from turns of the camera."""

import numpy as np
import pytest
from test_pair_motion import K, motion, relief, tracks_of

from rilievo.data.motion.focal_check import CornerPair, better_focal_factor
from rilievo.data.motion.tracks import Tracks


def pairs(turn: float, *, corners: int = 200) -> list[CornerPair]:
    """Pairs of a camera that turns and travels, with depth that is wrong by a fifth."""
    motions = []
    for k in range(14):
        T = motion((0.3 * turn, turn, 0.1 * turn), (0.2, 0.02 * k, 0.1))
        rng = np.random.default_rng(k)
        wrong = np.kron(np.exp(0.2 * rng.normal(size=(12, 16))), np.ones((8, 8)))
        motions.append(
            CornerPair(tracks_of(relief(k), T, count=corners, noise=0.05), relief(k) * wrong)
        )
    return motions


@pytest.mark.slow
def test_the_right_focal_length_has_no_better_one() -> None:
    assert better_focal_factor(pairs(0.15), K) is None


@pytest.mark.slow
def test_focal_lengths_that_are_wrong_by_a_factor_of_two_are_told() -> None:
    for factor in (0.5, 2.0):
        wrong = K.copy()
        wrong[[0, 1], [0, 1]] /= factor
        assert better_focal_factor(pairs(0.15), wrong) == factor


@pytest.mark.slow
def test_without_turns_nothing_is_said() -> None:
    assert better_focal_factor(pairs(0.0), K / np.array([[2], [2], [1]])) is None


def test_a_large_photograph_whose_corners_miss_by_pixels_is_judged_as_a_small_one() -> None:
    scale = 8
    large = [
        CornerPair(
            Tracks(
                start=scale * (pair.tracks.start + 0.5) - 0.5,
                displacement=scale * pair.tracks.displacement,
                returned_fraction=1.0,
            ),
            np.kron(pair.depth, np.ones((scale, scale))),
        )
        for pair in pairs(0.15, corners=60)
    ]
    wrong = K.copy()
    wrong[:2, 2] += 0.5
    wrong[:2] *= scale
    wrong[:2, 2] -= 0.5
    wrong[[0, 1], [0, 1]] /= 2
    assert better_focal_factor(large, wrong) == 2
