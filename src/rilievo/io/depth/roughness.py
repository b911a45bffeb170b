"""Measure how much a map changes between neighbours, which tells surfaces from noise."""

import math

import numpy as np

from rilievo.arrays.shapes import StoredMap

MAX_SURFACE_ROUGHNESS = 0.2
_MIN_NOISE_ROUGHNESS = 0.1  # of values that are decoded wrongly
_MIN_ROUGHNESS_RATIO = 5.0  # of values that are decoded wrongly to the same decoded rightly
_MIN_PAIRS = 100


def roughness(raw_values: StoredMap) -> float:
    """Return the mean absolute step between neighbours, divided by the standard deviation.

    It is about 0.05 on surfaces and 1 in noise, or NaN if hardly any neighbours have depth.
    """
    values = raw_values.astype(np.float64)
    valid = np.isfinite(values) & (values > 0)
    both_valid = valid[:, 1:] & valid[:, :-1]
    if np.count_nonzero(both_valid) < _MIN_PAIRS:
        return math.nan
    standard_deviation = float(values[valid].std())
    steps = np.abs(np.diff(values, axis=1))[both_valid]
    return float(steps.mean()) / standard_deviation if standard_deviation else 0.0


def is_much_smoother(raw_values: np.ndarray, alternative: np.ndarray) -> bool:
    """Whether an alternative decoding shows surfaces, and the values are noise in comparison."""
    noise, surfaces = roughness(raw_values), roughness(alternative)
    is_noise = noise > _MIN_NOISE_ROUGHNESS and noise > _MIN_ROUGHNESS_RATIO * surfaces
    return is_noise and surfaces < MAX_SURFACE_ROUGHNESS
