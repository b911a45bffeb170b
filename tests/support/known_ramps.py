"""A map that rises from left to right, and points on it whose depth is known."""

import numpy as np

from rilievo.calibration.sizes import KnownPoint
from rilievo.records.depth_map import DepthKind, DepthMap

SIZE = (40, 60)
AFFINE_KINDS = (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE)


def ramp(low: float = 1.0, high: float = 5.0) -> np.ndarray:
    """Numbers that rise evenly from left to right and not at all downwards."""
    return np.broadcast_to(np.linspace(low, high, SIZE[1], dtype=np.float32), SIZE).copy()


def depth_map(values: np.ndarray, kind: DepthKind, valid: np.ndarray | None = None) -> DepthMap:
    valid = np.ones(values.shape, bool) if valid is None else valid
    return DepthMap(values=values.astype(np.float32), kind=kind, valid=valid)


def points(true: np.ndarray, *pixels: tuple[int, int]) -> list[KnownPoint]:
    return [KnownPoint(u=u, v=v, metres=float(true[v, u])) for u, v in pixels]
