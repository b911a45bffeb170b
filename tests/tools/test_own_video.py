"""Scores of models on clips: triangulated corners and scaling by the median."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fixed_depth import FixedDepth

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import own_video

K = np.array([[200.0, 0, 79.5], [0, 210.0, 59.5], [0, 0, 1]])


def moved(x: float) -> np.ndarray:
    T = np.eye(4)
    T[0, 3] = -x
    return T


def test_a_point_is_found_where_all_rays_meet_and_nowhere_else() -> None:
    motions = {k: moved(0.1 * k) for k in range(-3, 4)}
    point = np.array([0.3, -0.2, 4.0])
    seen = {}
    for k, T in motions.items():
        x, y, z = K @ (T[:3] @ np.append(point, 1))
        seen[k] = np.array([x / z, y / z])
    found = own_video._point(seen, motions, K)
    np.testing.assert_allclose(found, point, atol=1e-6)
    assert own_video._point(seen | {2: seen[2] + 2}, motions, K) is None
    narrow = {k: moved(0.001 * k) for k in motions}
    assert own_video._point({k: seen[0] for k in motions}, narrow, K) is None


def test_depth_is_scaled_by_the_median_of_each_frame() -> None:
    depth = np.ones((40, 60))
    depth[:, 30:] = 3.0
    frame = own_video._dense(np.zeros((40, 60, 3), np.uint8), depth)
    error, share, constant = own_video.score(FixedDepth(7 * depth), [frame])
    assert error == pytest.approx(0, abs=1e-6)
    assert share == 1
    assert constant > 0.3
    flat = own_video.score(FixedDepth(np.ones((40, 60))), [frame])
    assert flat[0] > 0.5
