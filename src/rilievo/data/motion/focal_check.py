"""Check of a focal length by tracked corners."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import Float, Pixels
from rilievo.data.motion.pair_motion import TRACKING, corner_misfit
from rilievo.data.motion.tracks import FrameDepth, Tracks, grey, track_corners

_FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0)
"""Factors of the focal length that are tried."""
_MIN_GAIN = 0.15
"""Fraction of the mean error by which another focal length must fit better."""
_MIN_AGREEING_PAIRS = 0.8
"""Fraction of the pairs for which it must fit better."""
_MOST_TURNED_FRACTION = 0.4
"""Fraction of the pairs that are used, those that rotate most."""
_MIN_ROTATION = math.radians(0.5)
_MIN_PAIRS = 5


class CornerPair(NamedTuple):
    """Tracked corners of two frames, and depth of the first."""

    tracks: Tracks
    depth: FrameDepth

    @classmethod
    def between(cls, first: Pixels, second: Pixels, depth: FrameDepth) -> "CornerPair":
        """Track corners from the first frame, whose ``depth`` is known, to the second."""
        return cls(track_corners(grey(first), grey(second), TRACKING), depth)


def better_focal_factor(pairs: Sequence[CornerPair], K: Float[np.ndarray, "3 3"]) -> float | None:
    """Factor of the focal length that fits clearly better; None if the given one is fine.

    The check finds errors of a third or more, from pairs between which the camera turns.
    """
    all_misfits = [_misfit_by_factor(pair, K) for pair in pairs]
    misfits = [
        misfit
        for misfit in all_misfits
        if misfit is not None and misfit.rotation_angle >= _MIN_ROTATION
    ]
    misfits.sort(key=lambda misfit: misfit.rotation_angle)
    most_turned = misfits[int((1 - _MOST_TURNED_FRACTION) * len(misfits)) :]
    if len(most_turned) < _MIN_PAIRS:
        return None

    errors = np.array([misfit.errors for misfit in most_turned])
    mean_errors = errors.mean(axis=0)
    best = int(np.argmin(mean_errors))
    given = _FACTORS.index(1.0)
    agreeing_fraction = (errors[:, best] < errors[:, given]).mean()
    gains_enough = mean_errors[best] < (1 - _MIN_GAIN) * mean_errors[given]
    if agreeing_fraction < _MIN_AGREEING_PAIRS or not gains_enough:
        return None
    return _FACTORS[best]


class _PairMisfit(NamedTuple):
    """Misfit of a pair of frames.

    Attributes:
        errors: Median error across epipolar lines for each factor of the focal length [px].
        rotation_angle: Angle of the rotation under the given focal length [rad].
    """

    errors: list[float]
    rotation_angle: float


def _misfit_by_factor(pair: CornerPair, K: Float[np.ndarray, "3 3"]) -> _PairMisfit | None:
    """Fit the motion of a pair under each focal length; None if too few corners have depth."""
    errors = []
    rotation_angle = math.nan
    for factor in _FACTORS:
        scaled_K = K.astype(np.float64)
        scaled_K[[0, 1], [0, 1]] *= factor
        misfit = corner_misfit(pair.tracks, pair.depth, scaled_K)
        if misfit is None:
            return None
        errors.append(misfit.epipolar_error)
        if factor == 1.0:
            rotation_angle = misfit.rotation_angle
    return _PairMisfit(errors=errors, rotation_angle=rotation_angle)
