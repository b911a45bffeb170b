"""Check of a focal length by tracked corners."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import Float
from rilievo.data.clips.pair_motion import corner_misfit
from rilievo.data.clips.tracks import FrameDepth, Tracks

_FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0)
_BETTER = 0.15  # share by which another focal length fits better
_AGREE = 0.8
_TURNING = 0.4
_LEAST_TURN = math.radians(0.5)
_FEWEST_PAIRS = 5


class CornerPair(NamedTuple):
    """Tracked corners of two frames, and depth of the first."""

    tracks: Tracks
    depth: FrameDepth


def better_focal_factor(pairs: Sequence[CornerPair], K: Float[np.ndarray, "3 3"]) -> float | None:
    """Factor of a focal length that fits clearly better, if any.

    The check finds errors of a third or more, from pairs that turn.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    turned = [
        pair_errors
        for pair in pairs
        if (pair_errors := _errors_by_focal_factor(pair, K)) is not None
    ]
    turned = [pair_errors for pair_errors in turned if pair_errors.turn >= _LEAST_TURN]
    turned = sorted(turned, key=lambda errors: errors.turn)[int((1 - _TURNING) * len(turned)) :]
    if len(turned) < _FEWEST_PAIRS:
        return None
    errors = np.array([pair_errors.errors for pair_errors in turned])
    means = errors.mean(axis=0)
    best, own = int(np.argmin(means)), _FACTORS.index(1.0)
    agree = (errors[:, best] < errors[:, own]).mean() >= _AGREE
    return _FACTORS[best] if agree and means[best] < (1 - _BETTER) * means[own] else None


class _PairErrors(NamedTuple):
    errors: list[float]
    turn: float


def _errors_by_focal_factor(pair: CornerPair, K: Float[np.ndarray, "3 3"]) -> _PairErrors | None:
    attempts = []
    for factor in _FACTORS:
        changed = K.astype(np.float64)
        changed[[0, 1], [0, 1]] *= factor
        attempts.append(corner_misfit(pair.tracks, pair.depth, changed))
    corner_fits = [corner_fit for corner_fit in attempts if corner_fit is not None]
    if len(corner_fits) < len(attempts):
        return None
    return _PairErrors(
        errors=[corner_fit.across for corner_fit in corner_fits],
        turn=corner_fits[_FACTORS.index(1.0)].turn,
    )
