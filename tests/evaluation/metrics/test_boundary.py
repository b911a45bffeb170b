"""Boundary scores agree with loops over neighbours, written from the paper's description."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.evaluation.metrics import DEPTH_METRICS, DepthPair, value

F1 = DEPTH_METRICS["boundary_f1"]
FACTORS = [1.05 + k * 0.2 / 9 for k in range(10)]
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))

seeds = st.integers(0, 2**32 - 1)


def blocks(seed: int, shape: tuple[int, int] = (11, 14)) -> np.ndarray:
    """Boxes in front of one another, lightly noisy: edges of every strength."""
    rng = np.random.default_rng(seed)
    depth = np.full(shape, 6.0)
    for _ in range(6):
        (top, bottom), (left, right) = (sorted(rng.integers(0, side + 1, 2)) for side in shape)
        depth[top:bottom, left:right] = rng.uniform(1.0, 6.0)
    return depth * rng.uniform(0.97, 1.03, shape)


def edges(depth: np.ndarray, valid: np.ndarray, step: tuple[int, int], t: float) -> set:
    """Pixels in front of their neighbour one step on, by more than the factor."""
    height, width = depth.shape
    found = set()
    for v in range(height):
        for u in range(width):
            y, x = v + step[0], u + step[1]
            if 0 <= y < height and 0 <= x < width and valid[v, u] and valid[y, x]:
                near, far = 1 / depth[v, u], 1 / depth[y, x]
                if near / far > t:
                    found.add((v, u))
    return found


def f1_by_loops(predicted: np.ndarray, true: np.ndarray, valid: np.ndarray) -> float:
    total = 0.0
    for t in FACTORS:
        precision = recall = 0.0
        for step in DIRECTIONS:
            p, g = edges(predicted, valid, step, t), edges(true, valid, step, t)
            precision += len(p & g) / max(len(p), 1) / 4
            recall += len(p & g) / max(len(g), 1) / 4
        if precision + recall:
            total += t * 2 * precision * recall / (precision + recall)
    return total / sum(FACTORS)


@given(seed=seeds, share=st.sampled_from([0.8, 1.0]))
def test_f1_is_what_loops_over_neighbours_give(seed: int, share: float) -> None:
    true, predicted = blocks(seed), blocks(seed) * blocks(seed + 1) ** 0.05
    valid = np.random.default_rng(seed).random(true.shape) <= share
    pair = DepthPair(predicted=predicted, true=true, valid=valid)
    assert value(F1, pair) == pytest.approx(f1_by_loops(predicted, true, valid), rel=1e-9)


def island(near: float) -> np.ndarray:
    depth = np.full((9, 9), 4.0)
    depth[3:6, 3:6] = near
    return depth


def test_a_weak_edge_counts_for_the_factors_below_it() -> None:
    """A step of 1.1 exceeds three of the ten factors, 1.05, 1.0722 and 1.0944, and is 0.306."""
    pair = DepthPair(predicted=island(4 / 1.1), true=island(2.0), valid=np.ones((9, 9), bool))
    assert value(F1, pair) == pytest.approx((1.05 + 1.05 + 0.2 / 9 + 1.05 + 0.4 / 9) / 11.5)


def test_a_scene_without_edges_scores_zero_as_published() -> None:
    flat = np.full((4, 5), 2.0)
    assert value(F1, DepthPair(predicted=flat, true=flat, valid=np.ones((4, 5), bool))) == 0.0
