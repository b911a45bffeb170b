"""Small depth maps of chosen numbers."""

import numpy as np

from rilievo.alignment.ground_truth import METHODS
from rilievo.records.depth_map import DepthKind, DepthMap

SHAPE = (12, 16)
ALL = np.ones(SHAPE, bool)


def numbers(seed: int, low: float = 0.5, high: float = 8.0) -> np.ndarray:
    """Spread over the range, and already rounded to what a depth map holds."""
    values = np.random.default_rng(seed).uniform(low, high, SHAPE).astype(np.float32)
    values.flat[:2] = low, high
    return values


def depth_map(values: np.ndarray, kind: DepthKind, valid: np.ndarray | None = None) -> DepthMap:
    return DepthMap(
        values=values.astype(np.float32), kind=kind, valid=ALL if valid is None else valid
    )


CASES = [(kind, method) for kind, methods in METHODS.items() for method in methods]
