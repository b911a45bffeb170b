"""Bundle adjustment over windows of frames: derivatives, exact cases, wrong depth, wrong points."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rilievo.data.motion import window_adjustment
from rilievo.data.motion.bundle_adjustment import (
    TRACKING_DEVIATION,
    Adjustment,
    PointObservations,
    State,
    bundle_adjust,
    normal_equations,
    residuals,
)
from rilievo.data.motion.followed_points import MAX_FRAMES_OF_POINT, Observations, PointTracker
from rilievo.data.motion.tracks import grey
from rilievo.data.motion.window_adjustment import adjust_part, group_observations_by_point
from rilievo.geometry.transforms import invert
from support.footage import SHAPE, view

K = np.array([[110.0, 0, 63.5], [0, 105.0, 47.5], [0, 0, 1]])
FRAMES, POINTS = 8, 150
EDGE = (128, 96)


def poses(count: int = FRAMES) -> np.ndarray:
    """A camera that moves to the side on a curve, and turns a little."""
    k = np.arange(count)
    T = np.tile(np.eye(4), (count, 1, 1))
    T[:, :3, :3] = Rotation.from_rotvec(np.c_[0.01 * np.sin(k), 0.015 * k, 0.005 * k]).as_matrix()
    T[:, :3, 3] = np.c_[-0.08 * k, 0.03 * np.sin(k / 2), 0.02 * k]
    return T


def points(count: int = POINTS) -> np.ndarray:
    rng = np.random.default_rng(5)
    z = rng.uniform(2, 6, count)
    place = rng.uniform((20, 10), (EDGE[0] - 5, EDGE[1] - 10), (count, 2))
    return np.c_[(place - K[[0, 1], [2, 2]]) / K[[0, 1], [0, 1]], np.ones(count)] * z[:, None]


def project(T: np.ndarray, world: np.ndarray, K: np.ndarray = K) -> tuple[np.ndarray, np.ndarray]:
    """Positions [px] and depth, by the definition of a pinhole."""
    seen = world @ T[:3, :3].T + T[:3, 3]
    flat = seen @ K.T
    return flat[:, :2] / flat[:, 2:], seen[:, 2]


def observations(
    T: np.ndarray, *, wrong: float = 0.0, noise: float = 0.0, moved: int = 0, K: np.ndarray = K
) -> Observations:
    """Observations of all points in all frames; depth is wrong by a smooth factor of the place."""
    rng = np.random.default_rng(11)
    world = points()
    rows = []
    for frame, pose in enumerate(T):
        place, z = project(pose, world, K)
        place = place + noise * rng.normal(size=place.shape)
        place[:moved] += frame * rng.uniform(3, 6, (moved, 2))
        z = z * np.exp(wrong * np.sin(place[:, 0] / 20))
        rows.append((np.full(len(z), frame), np.arange(len(z)), place, z))
    frame, point, place, depth = (np.concatenate(each) for each in zip(*rows, strict=True))
    return Observations(frame_index=frame, point_index=point, position=place, depth=depth)


def start_of(views: PointObservations, T: np.ndarray, *, off: float = 0.0) -> State:
    """State with poses that are wrong by ``off`` [rad and units], and the model's depth."""
    rng = np.random.default_rng(3)
    guess = T.copy()
    guess[1:, :3, 3] += off * rng.normal(size=(len(T) - 1, 3))
    turn = Rotation.from_rotvec(off / 5 * rng.normal(size=(len(T) - 1, 3))).as_matrix()
    guess[1:, :3, :3] = turn @ guess[1:, :3, :3]
    return State(
        cam_T_world=guess, log_scales=np.zeros(len(T)), log_depths=np.log(views.first_depth)
    )


def solved(seen: Observations) -> Adjustment:
    views = group_observations_by_point(seen, 0, K)
    assert views is not None
    return bundle_adjust(views, start_of(views, poses(), off=0.02))


def test_equations_hold_the_derivatives_of_the_cost() -> None:
    """The right side is minus half the gradient, by differences along random directions."""
    views = group_observations_by_point(observations(poses(), wrong=0.1, noise=0.2), 0, K)
    assert views is not None
    rng = np.random.default_rng(0)
    state = start_of(views, poses(), off=0.01)
    state = replace(state, log_scales=0.1 * rng.normal(size=FRAMES))
    slack = 1e6
    equations = normal_equations(views, state, slack)
    for _ in range(7):
        change, deeper = (
            rng.normal(size=len(equations.rhs)),
            rng.normal(size=len(equations.point_rhs)),
        )
        small = 1e-6
        costs = []
        for sign in (1, -1):
            step = sign * small * change
            turn = Rotation.from_rotvec(step[: 6 * FRAMES].reshape(-1, 6)[:, :3]).as_matrix()
            T = state.cam_T_world.copy()
            T[:, :3] = turn @ T[:, :3]
            T[:, :3, 3] += step[: 6 * FRAMES].reshape(-1, 6)[:, 3:]
            moved = State(
                cam_T_world=T,
                log_scales=state.log_scales + step[6 * FRAMES :],
                log_depths=state.log_depths + sign * small * deeper,
            )
            errors = residuals(views, moved)
            # Depths keep their own robust weight, which the equations hold fixed.
            pull = 1 / (1 + residuals(views, state).log_depth ** 2 / 9)
            costs.append(
                (errors.image**2).sum()
                + (pull * errors.log_depth**2).sum()
                + (errors.log_scale**2).sum()
            )
        slope = (costs[0] - costs[1]) / (2 * small)
        expected = -2 * (equations.rhs @ change + equations.point_rhs @ deeper)
        assert slope == pytest.approx(expected, rel=1e-6)


def test_poses_and_depth_come_back_from_wrong_ones() -> None:
    """True up to the unit, which the model's depth gives."""
    found = solved(observations(poses(), wrong=0.3))
    true, world = poses(), points()
    unit = np.median(np.exp(found.state.log_depths) / world[:, 2])
    assert abs(unit - 1) < 0.1
    np.testing.assert_allclose(np.exp(found.state.log_depths) / unit, world[:, 2], rtol=0.02)
    moved = found.state.cam_T_world
    np.testing.assert_allclose(moved[:, :3, :3], true[:, :3, :3], atol=4e-3)
    np.testing.assert_allclose(moved[:, :3, 3] / unit, true[:, :3, 3], atol=0.02)
    assert found.is_inlier.all()
    np.testing.assert_array_equal(moved[0], np.eye(4))


def test_points_that_move_by_themselves_are_told_apart() -> None:
    found = solved(observations(poses(), wrong=0.2, noise=0.1, moved=20))
    views = group_observations_by_point(observations(poses(), moved=20), 0, K)
    assert views is not None
    by_itself = views.point_index < 20
    assert found.is_inlier[~by_itself].mean() > 0.98
    assert found.is_inlier[by_itself & (views.frame_index > 2)].mean() < 0.2
    still = np.exp(found.state.log_depths)[20:] / points()[20:, 2]
    assert np.median(np.abs(still / np.median(still) - 1)) < 0.03


def test_doubt_is_the_scatter_of_depth() -> None:
    """Standard errors of depth, when observations scatter as the equations take them to."""
    solution = solved(observations(poses(), noise=TRACKING_DEVIATION))
    off = solution.state.log_depths - np.log(points()[:, 2])
    off -= np.median(off)
    assert 0.4 < np.median(np.abs(off)) / (0.6745 * np.median(solution.log_depth_std)) < 2


def test_overlapping_windows_give_the_path_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    T = poses(30)
    tracker = Tracked(observations(T, wrong=0.2, noise=0.05))
    guess = T.copy()
    guess[1:, :3, 3] *= np.linspace(1, 1.3, 29)[:, None]
    whole = adjust_part(tracker, 0, guess, np.zeros(30), K)
    monkeypatch.setattr(window_adjustment, "WINDOW", 12)
    monkeypatch.setattr(window_adjustment, "STEP", 6)
    windows = adjust_part(tracker, 0, guess, np.zeros(30), K)
    for found, allowed in ((whole, 0.01), (windows, 0.03)):
        ways = invert(found.cam_T_world)[:, :3, 3]
        true = invert(T)[:, :3, 3]
        unit = (ways * true).sum() / (true**2).sum()
        assert np.abs(ways / unit - true).max() < allowed * np.linalg.norm(true[-1])
    assert all(len(point.depth) > POINTS / 2 for point in windows.points)


@pytest.mark.parametrize("drift", [-0.04, 0.04])
def test_windows_are_joined_in_one_unit_though_depth_drifts(
    monkeypatch: pytest.MonkeyPatch, drift: float
) -> None:
    """Three windows of exact depth times a factor that grows, or falls, from frame to frame."""
    monkeypatch.setattr(window_adjustment, "WINDOW", 12)
    monkeypatch.setattr(window_adjustment, "STEP", 6)
    count = 24
    T, factors = poses(count), drift * np.arange(count)
    seen = observations(T)
    seen = replace(seen, depth=seen.depth * np.exp(factors)[seen.frame_index])
    solution = adjust_part(Tracked(seen), 0, T, np.zeros(count), K)
    ways, true = invert(solution.cam_T_world)[:, :3, 3], invert(T)[:, :3, 3]
    steps = np.linalg.norm(np.diff(ways, axis=0), axis=1)
    steps /= np.linalg.norm(np.diff(true, axis=0), axis=1)
    # The steps of every window have the unit of all; depth of frames keeps its own factor.
    assert np.abs(np.log(steps / np.median(steps))).max() < 0.05
    off = solution.log_scales + factors
    assert np.abs(off - np.median(off)).max() < 0.05
    depths = [np.median(point.depth / point.model_depth) for point in solution.points]
    assert np.abs(np.log(depths) + factors - np.median(np.log(depths) + factors)).max() < 0.05


class Tracked(PointTracker):
    """A tracker that has followed given points already."""

    def __init__(self, seen: Observations) -> None:
        super().__init__()
        self._given = seen

    def observations(self, first: int, last: int) -> Observations:
        """Some of the given observations."""
        return self._given.where(
            (self._given.frame_index >= first) & (self._given.frame_index < last)
        )


def test_factors_of_frames_are_found() -> None:
    """Every second depth map is too large by a fifth."""
    T = poses()
    seen = observations(T)
    seen = replace(seen, depth=seen.depth * np.where(seen.frame_index % 2, 1.2, 1.0))
    found = adjust_part(Tracked(seen), 0, T, np.zeros(FRAMES), K)
    factors = np.exp(found.log_scales) * np.where(np.arange(FRAMES) % 2, 1.2, 1.0)
    assert np.abs(np.log(factors / factors[0])).max() < 0.02


def test_too_few_points_leave_the_guess() -> None:
    visible = observations(poses()).where(observations(poses()).point_index < 5)
    assert group_observations_by_point(visible, 0, K) is None
    guess = poses()
    solution = adjust_part(Tracked(visible), 0, guess, np.zeros(FRAMES), K)
    np.testing.assert_array_equal(solution.cam_T_world, guess)
    assert not any(len(point.depth) for point in solution.points)


def test_a_window_that_most_points_contradict_leaves_the_guess() -> None:
    # 135 of 150 points move by themselves, each in a direction of its own in every frame.
    T = poses()
    tracker = Tracked(observations(T, moved=135))
    solution = adjust_part(tracker, 0, T, np.zeros(FRAMES), K)
    np.testing.assert_array_equal(solution.cam_T_world, T)
    np.testing.assert_array_equal(solution.log_scales, 0)
    assert not any(len(point.depth) for point in solution.points)


def test_points_are_followed_and_end_at_a_cut() -> None:
    tracker, asked = PointTracker(), []

    def depth() -> np.ndarray:
        asked.append(1)
        return np.full(SHAPE, 4.0)

    for index in range(MAX_FRAMES_OF_POINT + 6):
        tracker.add(grey(view(index)), depth, has_depth=False, is_cut=False)
    tracker.add(grey(view(0, seed=9)), depth, has_depth=False, is_cut=True)
    last = MAX_FRAMES_OF_POINT + 6
    seen = tracker.observations(0, last)
    ages = np.bincount(seen.point_index)
    assert ages.max() == MAX_FRAMES_OF_POINT
    assert 0 < len(asked) <= last + 1
    upper = seen.position[:, 1] < SHAPE[0] // 2 - 10
    first, then = seen.frame_index == 0, seen.frame_index == 1
    both = np.intersect1d(seen.point_index[first & upper], seen.point_index[then & upper])
    way = [
        seen.position[then & (seen.point_index == each)]
        - seen.position[first & (seen.point_index == each)]
        for each in both
    ]
    np.testing.assert_allclose(np.median(np.concatenate(way), axis=0), (-1, 0), atol=0.1)
    assert not set(seen.point_index) & set(tracker.observations(last, last + 1).point_index)
