"""OPW by true motion, against a loop over pixels, a plane by hand, and what it should not see."""

from dataclasses import replace

import numpy as np
import pytest

from rilievo.errors import NoGroundTruthError
from rilievo.evaluation.metrics.stability import StabilityPair, warping_error
from support.clip_dataset import SIZE, K, pose

MOTION = np.linalg.inv(pose(1)) @ pose(0)


def plane(cam_T_world: np.ndarray, normal: tuple[float, float, float], away: float) -> np.ndarray:
    """Depth of a plane of the world, seen by a camera."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    rays = np.linalg.inv(K) @ np.stack([u.ravel(), v.ravel(), np.ones(u.size)])
    n = cam_T_world[:3, :3] @ normal
    return ((away + n @ cam_T_world[:3, 3]) / (n @ rays)).reshape(SIZE)


def pair(first: np.ndarray, second: np.ndarray, motion: np.ndarray = MOTION) -> StabilityPair:
    """A pair whose truth is a slanted plane, with the given predictions."""
    true = [plane(each, (0.3, 0.2, 1.0), 4.0) for each in (np.eye(4), motion)]
    everywhere = np.ones(SIZE, bool)
    return StabilityPair(
        first_depth=first, second_depth=second, first_valid=everywhere, second_valid=everywhere,
        first_true=true[0], second_true=true[1], K=K, second_T_first=motion,
    )  # fmt: skip


def by_hand(given: StabilityPair) -> float:
    """Pixel by pixel of the later frame."""
    maps = []
    for depth in (given.first_depth, given.second_depth):
        inverse = 1 / depth - np.median(1 / depth)
        maps.append(inverse / np.mean(np.abs(inverse)))
    back, changes = np.linalg.inv(given.second_T_first), []
    for v in range(SIZE[0]):
        for u in range(SIZE[1]):
            z = given.second_true[v, u]
            X, Y, Z, _ = back @ [(u - K[0, 2]) * z / K[0, 0], (v - K[1, 2]) * z / K[1, 1], z, 1]
            x, y = X * K[0, 0] / Z + K[0, 2], Y * K[1, 1] / Z + K[1, 2]
            if not (-0.5 <= x <= SIZE[1] - 0.5 and -0.5 <= y <= SIZE[0] - 0.5):
                continue
            if abs(given.first_true[round(y), round(x)] / Z - 1) >= 0.05:
                continue
            x, y = min(max(x, 0), SIZE[1] - 1), min(max(y, 0), SIZE[0] - 1)
            i, j = min(int(y), SIZE[0] - 2), min(int(x), SIZE[1] - 2)
            a, b = y - i, x - j
            corners = maps[0][i : i + 2, j : j + 2]
            earlier = np.array([1 - a, a]) @ corners @ np.array([1 - b, b])
            changes.append(abs(maps[1][v, u] - earlier))
    return 30 * float(np.mean(changes))


def test_it_is_the_mean_along_the_true_flow() -> None:
    chance = np.random.default_rng(3)
    first, second = (chance.uniform(1, 9, SIZE) for _ in range(2))
    given = pair(first, second)
    assert warping_error(given)[0] == pytest.approx(by_hand(given), rel=1e-9)


def test_a_factor_and_a_shift_of_inverse_depth_in_each_frame_change_nothing() -> None:
    chance = np.random.default_rng(4)
    first, second = (chance.uniform(1, 9, SIZE) for _ in range(2))
    one = warping_error(pair(first, second))[0]
    other = warping_error(pair(1 / (3 / first + 0.2), 1 / (0.1 / second + 1.0)))[0]
    assert other == pytest.approx(one, rel=1e-9)


def test_depth_that_moves_with_the_surface_is_steady_and_flicker_is_not() -> None:
    still = pair(*(plane(each, (0.3, 0.2, 1.0), 4.0) for each in (np.eye(4), MOTION)))
    steady = warping_error(still)[0]
    assert 0 < steady < 4, "depth of a plane that turns away changes a little"
    noise = np.random.default_rng(5).normal(0, 0.2, SIZE)
    flickering = still.second_depth * np.exp(noise)
    assert warping_error(replace(still, second_depth=flickering))[0] > 3 * steady
    # Each frame by itself is as good as before, but it says the wrong place.
    mirrored = still.second_depth[:, ::-1].copy()
    assert warping_error(replace(still, second_depth=mirrored))[0] > 3 * steady


def test_what_is_hidden_in_the_earlier_frame_does_not_count() -> None:
    chance = np.random.default_rng(6)
    first, second = (chance.uniform(1, 9, SIZE) for _ in range(2))
    given = pair(first, second)
    true = given.first_true.copy()
    true[:, :20] *= 0.5
    changed = first.copy()
    hidden = replace(given, first_true=true)
    before = warping_error(hidden)[0]
    assert before == pytest.approx(by_hand(hidden), rel=1e-9)
    assert before != pytest.approx(warping_error(given)[0], rel=1e-6)
    changed[:, :18] = changed[:, 17::-1]
    assert warping_error(replace(hidden, first_depth=changed))[0] == pytest.approx(before, rel=1e-9)


def test_frames_that_share_no_surface_are_refused() -> None:
    away = np.eye(4)
    away[0, 3] = 1e3
    flat = np.full(SIZE, 2.0)
    with pytest.raises(NoGroundTruthError, match="visible in both frames"):
        warping_error(replace(pair(flat, flat), second_T_first=away))
    nothing = np.zeros(SIZE, bool)
    with pytest.raises(NoGroundTruthError):
        warping_error(replace(pair(flat, flat), second_valid=nothing))
