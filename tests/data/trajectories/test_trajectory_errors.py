"""Errors of trajectories: worked by hand, by other routes, and what they do not depend on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from rilievo.data.trajectories.errors import (
    Freedom,
    fit_similarity,
    length_errors,
    monodepth2_snippet_errors,
    motion_errors,
    path_length,
    position_rmse,
    snippet_errors,
)
from rilievo.errors import InputError, OptionError

seeds = st.integers(0, 10_000)


def path(seed: int, frames: int = 12, *, step: float = 1.0) -> np.ndarray:
    """A walk that turns at random."""
    random = np.random.default_rng(seed)
    poses = [np.eye(4)]
    for _ in range(frames - 1):
        motion = np.eye(4)
        motion[:3, :3] = Rotation.from_rotvec(0.2 * random.normal(size=3)).as_matrix()
        motion[:3, 3] = step * (random.normal(size=3) * 0.3 + (0, 0, 1))
        poses.append(poses[-1] @ motion)
    return np.stack(poses)


def shaken(poses: np.ndarray, seed: int, size: float = 0.1) -> np.ndarray:
    random = np.random.default_rng(seed + 77)
    other = poses.copy()
    for pose in other:
        turn = Rotation.from_rotvec(size * random.normal(size=3)).as_matrix()
        pose[:3, :3] = pose[:3, :3] @ turn
        pose[:3, 3] += size * random.normal(size=3)
    return other


def similar(poses: np.ndarray, seed: int) -> np.ndarray:
    """The same path in another world at another scale."""
    random = np.random.default_rng(seed + 5)
    R = Rotation.random(random_state=seed).as_matrix()
    scale, t = random.uniform(0.1, 9.0), random.normal(size=3) * 10
    other = poses.copy()
    other[:, :3, :3] = R @ poses[:, :3, :3]
    other[:, :3, 3] = scale * poses[:, :3, 3] @ R.T + t
    return other


def straight(positions: list[tuple[float, float, float]]) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(positions), 1, 1))
    poses[:, :3, 3] = positions
    return poses


def test_a_snippet_is_scaled_by_itself_and_divided_by_its_frames() -> None:
    """p = (0, 1, 2), q = (0, 2, 2) on an axis: s = 6/5, gaps 0, -4/5, 2/5, so sqrt(4/5)/3."""
    estimate = straight([(0, 0, 0), (0, 0, 1), (0, 0, 2)])
    true = straight([(5, 5, 5), (5, 5, 7), (5, 5, 7)])
    [error] = snippet_errors(estimate, true, length=3)
    assert error == pytest.approx(np.sqrt(0.8) / 3, rel=1e-12)


@given(seed=seeds)
def test_snippets_agree_with_chained_motions_and_a_search_for_the_scale(seed: int) -> None:
    """Computed from motions between neighbours alone, with numpy's least squares for scale."""
    true = path(seed)
    estimate = similar(shaken(true, seed), seed)
    expected = []
    for start in range(len(true) - 4):
        columns = []
        for poses in (estimate, true):
            pose, places = np.eye(4), [np.zeros(3)]
            for k in range(start, start + 4):
                pose = pose @ np.linalg.inv(poses[k]) @ poses[k + 1]
                places.append(pose[:3, 3])
            columns.append(np.concatenate(places))
        _, [residual], _, _ = np.linalg.lstsq(columns[0][:, None], columns[1], rcond=None)
        expected.append(residual**0.5 / 5)
    np.testing.assert_allclose(snippet_errors(estimate, true), expected, atol=1e-10)


@given(seed=seeds)
def test_snippets_do_not_depend_on_world_or_scale_of_the_estimate(seed: int) -> None:
    true = path(seed)
    estimate = shaken(true, seed)
    moved = snippet_errors(similar(estimate, seed), similar(true, 0))
    factor = np.linalg.norm(np.diff(similar(true, 0)[:2, :3, 3], axis=0))
    factor /= np.linalg.norm(np.diff(true[:2, :3, 3], axis=0))
    np.testing.assert_allclose(moved, factor * snippet_errors(estimate, true), rtol=1e-8)


def original_errors(estimate: np.ndarray, true: np.ndarray) -> list[float]:
    """Written from the description of Monodepth2's evaluate_pose, matrix by matrix."""
    tracks = []
    for poses in (estimate, true):
        motions = [np.linalg.inv(np.linalg.inv(a) @ b) for a, b in zip(poses, poses[1:])]  # noqa: B905, RUF007
        tracks.append(motions)
    errors = []
    for start in range(len(true) - 1):
        points = []
        for motions in tracks:
            product, track = np.identity(4), [np.zeros(3)]
            for motion in motions[start : start + 4]:
                product = np.dot(product, motion)
                track.append(product[:3, 3].copy())
            points.append(np.array(track))
        one, other = points
        scale = (other * one).sum() / (one**2).sum()
        errors.append(((scale * one - other) ** 2).sum() ** 0.5 / len(other))
    return errors


@given(seed=seeds)
def test_monodepth2s_snippets_are_those_of_its_program(seed: int) -> None:
    true = path(seed)
    estimate = similar(shaken(true, seed), seed)
    found = monodepth2_snippet_errors(estimate, true)
    assert len(found) == len(true) - 1
    np.testing.assert_allclose(found, original_errors(estimate, true), atol=1e-10)
    ours = snippet_errors(estimate, true)
    assert len(ours) == len(true) - 4
    assert np.abs(ours - found[: len(ours)]).max() > 1e-4


def test_monodepth2s_points_are_no_positions() -> None:
    """A step of 1 along z, then a quarter turn, then a step of 1 along the new z (the old x).

    Positions are 0, z, z, z + x. The inverse motions are (-z), (turned back), (-z): their products
    in forward order have the translations -z, -z, and -z minus what the turn makes of z.
    """
    poses = straight([(0, 0, 0), (0, 0, 1), (0, 0, 1), (1, 0, 1)])
    poses[2:, :3, :3] = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    still = straight([(0, 0, 0), (0, 0, 1), (0, 0, 1), (0, 0, 1)])
    theirs = monodepth2_snippet_errors(still, poses, length=4)[0]
    # p = -z three times; q = -z, -z, -z + x: s = 1 and a gap of x.
    assert theirs == pytest.approx(1 / 4)
    assert snippet_errors(still, poses, length=4)[0] == pytest.approx(1 / 4)
    assert len(monodepth2_snippet_errors(still, poses, length=5)) == 3
    poses[3] = np.nan
    assert len(monodepth2_snippet_errors(still, poses, length=2)) == 2
    with pytest.raises(OptionError, match="at least two frames, got 1"):
        monodepth2_snippet_errors(still, still, length=1)


def test_a_snippet_with_an_unknown_frame_is_left_out() -> None:
    true = path(3, 8)
    true[6] = np.nan
    assert len(snippet_errors(path(4, 8), true)) == 2
    assert len(snippet_errors(path(4, 4), path(3, 4))) == 0


def test_a_camera_that_is_said_to_stand_still_errs_by_the_whole_way() -> None:
    still, true = straight([(0, 0, 0)] * 3), straight([(0, 0, 0), (3, 0, 0), (4, 0, 0)])
    assert snippet_errors(still, true, length=3)[0] == pytest.approx(5 / 3)
    assert np.isfinite(position_rmse(still, true, Freedom.SIMILARITY))


def searched(estimate: np.ndarray, true: np.ndarray, freedom: Freedom) -> float:
    """The least RMSE that a general search over rotation, translation and scale finds."""
    p, q = estimate[:, :3, 3], true[:, :3, 3]

    def gaps(x: np.ndarray) -> np.ndarray:
        scale = np.exp(x[6]) if freedom is Freedom.SIMILARITY else 1.0
        return (scale * Rotation.from_rotvec(x[:3]).apply(p) + x[3:6] - q).ravel()

    starts = [np.zeros(7)]
    starts += [np.r_[Rotation.random(random_state=k).as_rotvec(), np.zeros(4)] for k in range(6)]
    return min(np.sqrt(2 * least_squares(gaps, start).cost / len(p)) for start in starts)


@pytest.mark.slow
@given(seed=seeds)
@pytest.mark.parametrize("freedom", [Freedom.RIGID, Freedom.SIMILARITY])
def test_umeyamas_fit_is_the_least_that_a_search_finds(seed: int, freedom: Freedom) -> None:
    true = path(seed)
    estimate = shaken(true, seed, 0.3)
    estimate[:, :3, 3] = 1.3 * estimate[:, :3, 3] + 2
    found = position_rmse(estimate, true, freedom)
    assert found == pytest.approx(searched(estimate, true, freedom), rel=1e-5)


@given(seed=seeds)
def test_a_similar_path_has_no_error_and_its_similarity_is_found(seed: int) -> None:
    true = path(seed)
    estimate = similar(true, seed)
    fit = fit_similarity(estimate, true, Freedom.SIMILARITY)
    np.testing.assert_allclose(fit.apply(estimate), true, atol=1e-8)
    assert np.linalg.det(fit.R) == pytest.approx(1)
    assert position_rmse(estimate, true, Freedom.SCALE) < 1e-8


def test_a_mirrored_path_is_not_made_right_by_a_mirror() -> None:
    true = path(1)
    estimate = true.copy()
    estimate[:, 0, 3] *= -1
    fit = fit_similarity(estimate, true, Freedom.SIMILARITY)
    assert np.linalg.det(fit.R) == pytest.approx(1)


def test_with_scale_alone_the_first_pose_stays_put() -> None:
    """(0, 1, 2) against (0, 2, 5): s = 12/5, gaps 2/5 and -1/5: sqrt((4 + 1) / 25 / 3)."""
    estimate = straight([(0, 0, 0), (1, 0, 0), (2, 0, 0)])
    true = straight([(0, 0, 0), (2, 0, 0), (5, 0, 0)])
    assert position_rmse(estimate, true, Freedom.SCALE) == pytest.approx(np.sqrt(0.2 / 3))
    assert position_rmse(estimate, true, Freedom.ORIGIN) == pytest.approx(np.sqrt(10 / 3))


@given(seed=seeds)
def test_more_freedom_never_makes_the_error_larger(seed: int) -> None:
    true = path(seed)
    estimate = shaken(true, seed, 0.5)
    error = {each: position_rmse(estimate, true, each) for each in Freedom}
    for one, more in (
        (Freedom.ORIGIN, Freedom.SCALE),
        (Freedom.ORIGIN, Freedom.RIGID),
        (Freedom.SCALE, Freedom.SIMILARITY),
        (Freedom.RIGID, Freedom.SIMILARITY),
    ):
        assert error[more] <= error[one] + 1e-9


def test_motion_errors_of_a_wrong_turn_and_a_wrong_step() -> None:
    true = straight([(0, 0, 0), (0, 0, 1), (0, 0, 2)])
    estimate = true.copy()
    estimate[1:, 2, 3] += 0.5
    estimate[2, :3, :3] = Rotation.from_euler("y", 3, degrees=True).as_matrix()
    errors = motion_errors(estimate, true)
    np.testing.assert_allclose(errors.translation, [0.5, 0], atol=1e-12)
    np.testing.assert_allclose(errors.rotation, [0, 3], atol=1e-9)
    true[1] = np.nan
    assert len(motion_errors(estimate, true).rotation) == 0


@given(seed=seeds)
def test_motion_errors_agree_with_scipy_and_ignore_both_worlds(seed: int) -> None:
    true = path(seed)
    estimate = shaken(true, seed)
    expected_t, expected_r = [], []
    for k in range(len(true) - 1):
        turns = [Rotation.from_matrix(poses[:, :3, :3]) for poses in (estimate, true)]
        one, other = (turn[k].inv() * turn[k + 1] for turn in turns)
        ways = [
            turn[k].inv().apply(poses[k + 1, :3, 3] - poses[k, :3, 3])
            for turn, poses in zip(turns, (estimate, true), strict=True)
        ]
        expected_r.append(np.degrees((one.inv() * other).magnitude()))
        expected_t.append(np.linalg.norm(ways[0] - ways[1]))
    world = np.eye(4)
    world[:3, :3], world[:3, 3] = Rotation.random(random_state=seed).as_matrix(), (1, 2, 3)
    found = motion_errors(world @ estimate, np.linalg.inv(world) @ true)
    np.testing.assert_allclose(found.rotation, expected_r, atol=1e-7)
    np.testing.assert_allclose(found.translation, expected_t, atol=1e-9)


def test_a_path_too_long_by_a_hundredth_errs_by_one_per_cent_and_never_turns() -> None:
    """1 m a frame: a part of 100 m ends at the first frame beyond it, 101 m away."""
    true = straight([(0, 0, float(k)) for k in range(151)])
    estimate = straight([(0, 0, 1.01 * k) for k in range(151)])
    found = length_errors(estimate, true)
    assert found is not None
    assert found.segment_count == 5  # from frames 0, 10, 20, 30 and 40 the 101st after is there
    assert found.translation == pytest.approx(1.01 / 100, rel=1e-9)
    assert found.rotation == pytest.approx(0, abs=1e-12)


@given(seed=seeds)
def test_parts_agree_with_the_protocol_walked_frame_by_frame(seed: int) -> None:
    true = path(seed, 320, step=3.0)
    estimate = shaken(true, seed, 0.02)
    distance, t_errors, r_errors = [0.0], [], []
    for k in range(1, len(true)):
        distance.append(distance[-1] + float(np.linalg.norm(true[k, :3, 3] - true[k - 1, :3, 3])))
    for first in range(0, len(true), 10):
        for length in range(100, 900, 100):
            last = next(
                (k for k in range(first, len(true)) if distance[k] > distance[first] + length), -1
            )
            if last < 0:
                continue
            gap = np.linalg.inv(np.linalg.inv(estimate[first]) @ estimate[last]) @ (
                np.linalg.inv(true[first]) @ true[last]
            )
            t_errors.append(np.linalg.norm(gap[:3, 3]) / length)
            r_errors.append(np.degrees(np.arccos((np.trace(gap[:3, :3]) - 1) / 2)) / length)
    found = length_errors(estimate, true)
    assert found is not None
    assert found.segment_count == len(t_errors)
    assert found.translation == pytest.approx(np.mean(t_errors), rel=1e-6)
    assert found.rotation == pytest.approx(np.mean(r_errors), rel=1e-5)


def test_a_path_shorter_than_all_lengths_has_no_such_error() -> None:
    assert length_errors(path(1), path(1)) is None
    assert path_length(straight([(0, 0, 0), (3, 4, 0), (3, 4, 2)])) == pytest.approx(7)


def test_paths_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(InputError, match="3 estimated poses, but 4 true poses"):
        snippet_errors(path(0, 3), path(0, 4))
    broken = path(0, 4)
    broken[2, 0, 0] = np.nan
    with pytest.raises(InputError, match="the estimated poses must be finite"):
        motion_errors(broken, path(0, 4))
    with pytest.raises(InputError, match=r"got 4 poses \(3 finite\)"):
        position_rmse(path(0, 4), broken)
    with pytest.raises(InputError, match="leave out the frames without a true pose"):
        length_errors(path(0, 4), broken)
    with pytest.raises(InputError, match="at least two true poses"):
        position_rmse(path(0, 1), path(0, 1))
    with pytest.raises(OptionError, match="at least two frames, got 1"):
        snippet_errors(path(0, 4), path(0, 4), length=1)
