"""Check of a focal length by tracked corners."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import Float
from rilievo.data.clips.pair_motion import corner_misfit
from rilievo.data.clips.tracks import FrameDepth, Tracks

_FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0)
"""Factors of the focal length that are tried."""
_MIN_GAIN = 0.15
"""Fraction of the mean error by which another focal length must fit better."""
_MIN_AGREEING_PAIRS = 0.8
"""Fraction of the pairs for which it must fit better."""
_MOST_TURNED_FRACTION = 0.4
"""Fraction of the pairs that are used, those that turn most."""
_MIN_TURN = math.radians(0.5)
_MIN_PAIRS = 5


class CornerPair(NamedTuple):
    """Tracked corners of two frames, and depth of the first."""

    tracks: Tracks
    depth: FrameDepth


def better_focal_factor(pairs: Sequence[CornerPair], K: Float[np.ndarray, "3 3"]) -> float | None:
    """Factor of a focal length that fits clearly better, if any.

    The check finds errors of a third or more, from pairs between which the camera turns.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    misfits = [misfit for pair in pairs if (misfit := _misfit_by_factor(pair, K)) is not None]
    turned = sorted(
        (misfit for misfit in misfits if misfit.turn >= _MIN_TURN), key=lambda misfit: misfit.turn
    )
    turned = turned[int((1 - _MOST_TURNED_FRACTION) * len(turned)) :]
    if len(turned) < _MIN_PAIRS:
        return None

    errors = np.array([misfit.errors for misfit in turned])
    mean_errors = errors.mean(axis=0)
    best, given = int(np.argmin(mean_errors)), _FACTORS.index(1.0)
    agreeing_pairs = (errors[:, best] < errors[:, given]).mean()
    gains_enough = mean_errors[best] < (1 - _MIN_GAIN) * mean_errors[given]
    return _FACTORS[best] if agreeing_pairs >= _MIN_AGREEING_PAIRS and gains_enough else None


class _PairMisfit(NamedTuple):
    """Misfit of a pair of frames.

    Attributes:
        errors: Median error across epipolar lines for each factor of the focal length [px].
        turn: Angle of the rotation under the given focal length [rad].
    """

    errors: list[float]
    turn: float


def _misfit_by_factor(pair: CornerPair, K: Float[np.ndarray, "3 3"]) -> _PairMisfit | None:
    """Misfit under each focal length; None if too few corners have depth."""
    errors = []
    turn = math.nan
    for factor in _FACTORS:
        changed_K = K.astype(np.float64)
        changed_K[[0, 1], [0, 1]] *= factor
        misfit = corner_misfit(pair.tracks, pair.depth, changed_K)
        if misfit is None:
            return None
        errors.append(misfit.across)
        if factor == 1.0:
            turn = misfit.turn
    return _PairMisfit(errors=errors, turn=turn)
