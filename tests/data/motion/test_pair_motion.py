"""Camera motion from tracked corners and depth: exact cases, wrong depth, wrong corners."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from rilievo.data.motion.pair_motion import PairMotion, depth_at, motion_of_tracks
from rilievo.data.motion.tracks import Tracks

SHAPE = (96, 128)
K = np.array([[110.0, 0, 63.5], [0, 105.0, 47.5], [0, 0, 1]])


def relief(seed: int = 0) -> np.ndarray:
    """Smooth depth between 2 and 6."""
    v, u = np.mgrid[: SHAPE[0], : SHAPE[1]]
    a, b, c = np.random.default_rng(seed).uniform(0, 6, 3)
    return 4 + np.sin(u / 17 + a) + np.sin(v / 13 + b) * np.cos(u / 29 + c)


def motion(turn: tuple[float, float, float], way: tuple[float, float, float]) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    T[:3, 3] = way
    return T


def tracks_of(
    depth: np.ndarray, T: np.ndarray, *, count: int = 200, noise: float = 0.0, moved: int = 0
) -> Tracks:
    """Corners of a depth map as seen after a motion; ``moved`` of them went elsewhere."""
    rng = np.random.default_rng(7)
    start = rng.uniform((4, 4), (SHAPE[1] - 5, SHAPE[0] - 5), (count, 2))
    z = depth_at(depth, start)
    points = np.c_[(start - K[[0, 1], [2, 2]]) / K[[0, 1], [0, 1]], np.ones(count)] * z[:, None]
    seen = (points @ T[:3, :3].T + T[:3, 3]) @ K.T
    way = seen[:, :2] / seen[:, 2:] - start + noise * rng.normal(size=(count, 2))
    way[:moved] += rng.uniform(5, 20, (moved, 2))
    return Tracks(start=start, displacement=way, returned_fraction=1.0)


def degrees_between(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))


def turn_between(found: PairMotion, T: np.ndarray) -> float:
    R = found.source_T_target[:3, :3] @ T[:3, :3].T
    return float(np.degrees(np.linalg.norm(Rotation.from_matrix(R).as_rotvec())))


@settings(deadline=None, max_examples=25)
@given(
    turn=st.tuples(*[st.floats(-0.1, 0.1)] * 3),
    way=st.tuples(*[st.floats(-0.4, 0.4)] * 3),
    unit=st.floats(0.01, 100),
)
def test_true_depth_and_corners_give_the_motion_in_the_depths_unit(
    turn: tuple[float, float, float], way: tuple[float, float, float], unit: float
) -> None:
    T = motion(turn, way)
    found = motion_of_tracks(tracks_of(relief(), T), unit * relief(), K)
    assert found.is_known
    assert found.num_tracked == found.num_inliers == 200
    assert turn_between(found, T) < 1e-3
    np.testing.assert_allclose(found.source_T_target[:3, 3], unit * T[:3, 3], atol=1e-4 * unit)


def test_depth_that_is_wrong_by_a_third_leaves_the_direction() -> None:
    T = motion((0.01, -0.02, 0.005), (0.3, 0.05, -0.1))
    tracks = tracks_of(relief(), T, noise=0.1)
    rng = np.random.default_rng(1)
    coarse = np.exp(0.3 * rng.normal(size=(SHAPE[0] // 8, SHAPE[1] // 8)))
    found = motion_of_tracks(tracks, relief() * np.kron(coarse, np.ones((8, 8))), K)
    assert found.is_direction_known
    assert degrees_between(found.source_T_target[:3, 3], T[:3, 3]) < 4
    assert turn_between(found, T) < 0.3
    assert np.linalg.norm(found.source_T_target[:3, 3]) == pytest.approx(0.32, rel=0.2)


def test_triangulated_corners_tell_the_error_of_the_depth() -> None:
    """Depth is wrong by a factor of 1.5 in the left half, and in another unit."""
    tracks = tracks_of(relief(), motion((0.01, -0.02, 0.005), (0.3, 0.05, -0.1)))
    assert motion_of_tracks(tracks, 7 * relief(), K).depth_error < 0.01
    wrong = 7 * relief()
    wrong[:, : SHAPE[1] // 2] *= 1.5
    found = motion_of_tracks(tracks, wrong, K)
    assert 0.12 < found.depth_error < 0.25
    assert found.num_depth_checks > 100
    true = depth_at(relief(), found.corners.positions)
    ratio = found.corners.depth / true
    assert np.abs(ratio / np.median(ratio) - 1).max() < 0.1


@pytest.mark.parametrize("way", [(0.3, 0.0, 0.0), (0.0, -0.3, 0.0), (0.2, -0.2, 0.1)])
def test_the_error_of_a_motion_is_what_noise_moves_corners_across_epipolar_lines(
    way: tuple[float, float, float],
) -> None:
    """The size of a normal variable has the median 0.6745; noise along the lines is left out."""
    tracks = tracks_of(relief(), motion((0.01, -0.02, 0.005), way), count=2000, noise=0.1)
    assert motion_of_tracks(tracks, relief(), K).epipolar_error == pytest.approx(0.06745, rel=0.05)


def test_corners_that_move_by_themselves_are_outliers() -> None:
    T = motion((0.01, 0.02, 0), (0.2, 0, 0.1))
    found = motion_of_tracks(tracks_of(relief(), T, noise=0.05, moved=60), relief(), K)
    assert found.is_known
    assert 135 <= found.num_inliers <= 145
    assert turn_between(found, T) < 0.1
    assert degrees_between(found.source_T_target[:3, 3], T[:3, 3]) < 3


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.03, -0.05, 0.02)])
def test_a_camera_that_stands_or_turns_does_not_travel(turn: tuple[float, float, float]) -> None:
    found = motion_of_tracks(tracks_of(relief(), motion(turn, (0, 0, 0)), noise=0.1), relief(), K)
    assert found.is_known
    assert not found.is_direction_known
    assert found.parallax < 0.4
    assert np.linalg.norm(found.source_T_target[:3, 3]) < 0.02


def test_too_few_corners_give_no_motion() -> None:
    found = motion_of_tracks(
        tracks_of(relief(), motion((0, 0, 0), (1, 0, 0)), count=15), relief(), K
    )
    assert not found.is_known
    assert not found.is_direction_known


def test_corners_without_depth_are_left_out() -> None:
    depth = relief()
    depth[:, :64] = np.nan
    T = motion((0, 0.01, 0), (0.2, 0.1, 0))
    found = motion_of_tracks(tracks_of(relief(), T), depth, K)
    assert 60 < found.num_tracked < 140
    assert turn_between(found, T) < 1e-3


def test_random_displacements_agree_on_no_motion() -> None:
    tracks = tracks_of(relief(), np.eye(4), moved=200)
    rng = np.random.default_rng(3)
    wild = Tracks(
        start=tracks.start, displacement=rng.uniform(-40, 40, (200, 2)), returned_fraction=1.0
    )
    assert not motion_of_tracks(wild, relief(), K).is_known


def test_depth_between_pixels_is_linear_and_unknown_outside() -> None:
    v, u = np.mgrid[:4, :5].astype(float)
    depth = 1 + 2 * u + 3 * v
    places = np.array([[0.5, 0.25], [4.0, 3.0], [4.01, 1], [-0.1, 0]])
    np.testing.assert_allclose(depth_at(depth, places), [2.75, 18, np.nan, np.nan])
