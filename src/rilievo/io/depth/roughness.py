"""How much the numbers of a map change between neighbours, which tells surfaces from noise."""

import math

import numpy as np

from rilievo.arrays.shapes import Shaped

MAX_SURFACE_ROUGHNESS = 0.2
_MIN_NOISE_ROUGHNESS = 0.1  # where another reading of the same numbers is far smoother
_MIN_ROUGHNESS_RATIO = 5.0  # of noise to the surfaces in another reading
_MIN_PAIRS = 100


def roughness(stored: Shaped[np.ndarray, "h w"]) -> float:
    """Mean step between neighbours in standard deviations: about 0.05 on surfaces, 1 in noise.

    NaN if there are hardly any neighbours with depth.
    """
    values = stored.astype(np.float64)
    known = np.isfinite(values) & (values > 0)
    are_known = known[:, 1:] & known[:, :-1]
    if np.count_nonzero(are_known) < _MIN_PAIRS:
        return math.nan
    spread = float(values[known].std())
    steps = np.abs(np.diff(values, axis=1))[are_known]
    return float(steps.mean()) / spread if spread else 0.0


def is_much_smoother(stored: np.ndarray, alternative: np.ndarray) -> bool:
    """Whether an alternative reading shows surfaces, and the stored numbers are noise beside it."""
    noise, surfaces = roughness(stored), roughness(alternative)
    is_noise = noise > _MIN_NOISE_ROUGHNESS and noise > _MIN_ROUGHNESS_RATIO * surfaces
    return is_noise and surfaces < MAX_SURFACE_ROUGHNESS
