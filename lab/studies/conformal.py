"""Conformal quantiles: bounds on the scores of scenes that were not seen.

A score is what a bound is asked for: the size of an error, or an error over the one that was
expected. Scores of one scene resemble each other, so the unit that is drawn is the scene: every
scene has the same weight, however many scores it gives, and one scene more, with an infinite score,
stands for the one to come. Where scenes are exchangeable, a score of a new scene then stays below
the quantile with at least the probability that was asked for, and at most 2 / (n + 1) more with n
scenes (hierarchical conformal prediction, Y. Lee, R. Barber and R. Willett, "Distribution-free
inference with hierarchical data", 2023). With one score a scene it is split conformal prediction.
"""

import math
from collections.abc import Sequence

import numpy as np

from rilievo.arrays.shapes import Float64
from rilievo.errors import InputError, OptionError


def conformal_quantile(scenes: Sequence[Float64[np.ndarray, "_"]], level: float) -> float:
    """Number that a score of a new scene stays below with a probability of ``level`` or more.

    Args:
        scenes: Scores of every scene, each at least one; none is NaN.
        level: Probability over the draw of the scenes and of the score, in (0, 1).

    Raises:
        InputError: If there are too few scenes for the level, or scores that are missing.
    """
    fewest = fewest_scenes(level)
    if len(scenes) < fewest:
        raise InputError(
            f"{len(scenes)} scenes are too few for a range that holds {level:.0%}: "
            f"give at least {fewest}, or ask for less"
        )
    for place, scores in enumerate(scenes):
        if not len(scores) or np.isnan(scores).any():
            raise InputError(
                f"scene {place} has {len(scores)} scores, {np.isnan(scores).sum()} of them NaN: "
                "leave out scenes without scores, and scores that are not known"
            )
    values = np.concatenate(scenes)
    shares = np.concatenate([np.full(len(each), 1 / len(each)) for each in scenes])
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(shares[order])
    # In units of scenes; sums of shares are exact to rounding alone.
    wanted = level * (len(scenes) + 1) * (1 - 1e-12)
    return float(values[order][min(np.searchsorted(reached, wanted), len(values) - 1)])


def fewest_scenes(level: float) -> int:
    """Number of scenes that a quantile of ``level`` takes: with fewer it is infinite."""
    if not 0 < level < 1:
        raise OptionError(f"a level lies between 0 and 1, got {level}")
    return max(1, math.ceil(level / (1 - level) * (1 - 1e-12)))
