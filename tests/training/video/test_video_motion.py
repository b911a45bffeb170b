import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.data.motion.tracks import Tracks
from rilievo.training.video.frames.image_motion import (
    LARGEST_STRIDE,
    Motion,
    find_moving_frames,
    motion_between,
    rotation_displacements,
    stride_for_parallax,
)
from support.footage import FOCAL, SHAPE, texture, view

K = np.array([[FOCAL, 0, 47.5], [0, FOCAL, 31.5], [0, 0, 1]])


def between(first: np.ndarray, second: np.ndarray) -> Motion:
    grey = [frame.astype(float) @ (0.299, 0.587, 0.114) for frame in (first, second)]
    return motion_between(grey[0].astype(np.uint8), grey[1].astype(np.uint8), K)


def test_motion_is_the_way_of_what_is_seen() -> None:
    """The backdrop moves by 4 px and the wall by 8, half of the corners each."""
    motion = between(view(10), view(14))
    assert 3.9 < motion.pixels < 8.1
    assert not motion.is_cut
    assert motion.parallax > 1


@pytest.mark.parametrize(("seed", "is_cut"), [(0, False), (7, True)])
def test_a_leap_is_no_cut_but_another_scene_is(seed: int, is_cut: bool) -> None:
    """The leap is half of the width, farther than corners can be tracked."""
    first = texture(0, (300, 900))[:240, :320]
    second = texture(seed, (300, 900))[:240, 160:480]
    motion = between(first, second)
    assert motion.is_cut == is_cut
    if not is_cut:
        assert motion.pixels == pytest.approx(160, abs=1)


def test_a_camera_that_turns_has_motion_but_no_parallax() -> None:
    """A turn about the vertical by w moves a pixel at x by f w (1 + x²), whatever its depth."""
    wide = texture(3)
    columns = np.arange(SHAPE[1])
    turned = K[0, 2] + FOCAL * np.tan(np.arctan((columns - K[0, 2]) / FOCAL) + 0.05)
    first = wide[: SHAPE[0], 100 : 100 + SHAPE[1]]
    left = np.floor(turned).astype(int)
    share = (turned - left)[:, None]
    both = wide[: SHAPE[0], 100 + left] * (1 - share) + wide[: SHAPE[0], 101 + left] * share
    motion = between(first, both.astype(np.uint8))
    assert motion.pixels == pytest.approx(4.5, abs=1)
    assert motion.parallax < 0.35


@given(st.tuples(*[st.floats(-0.02, 0.02)] * 3), st.integers(0, 100))
def test_the_ways_of_a_small_turn_are_explained_whole(
    turn: tuple[float, float, float], seed: int
) -> None:
    """Rays are turned by the matrix exponential, and seen again."""
    start = np.random.default_rng(seed).uniform((5, 5), (90, 58), (40, 2))
    rays = np.concatenate([start, np.ones((40, 1))], axis=1) @ np.linalg.inv(K).T
    x, y, z = turn
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) - cross + cross @ cross / 2 - cross @ cross @ cross / 6
    seen = rays @ rotation.T @ K.T
    ways = Tracks(
        start=start, displacement=seen[:, :2] / seen[:, 2:] - start, returned_fraction=1.0
    )
    # What is left is of second order in the turn: f w² and a little more.
    assert np.abs(ways.displacement - rotation_displacements(ways, K)).max() < 0.25


def test_a_few_corners_that_move_otherwise_do_not_change_the_turn() -> None:
    start = np.random.default_rng(1).uniform((5, 5), (90, 58), (50, 2))
    x = (start[:, 0] - K[0, 2]) / FOCAL
    y = (start[:, 1] - K[1, 2]) / FOCAL
    way = 0.02 * FOCAL * np.stack((1 + x * x, x * y), axis=1)
    near = way.copy()
    near[:12] += 9
    explained = rotation_displacements(
        Tracks(start=start, displacement=near, returned_fraction=1.0), K
    )
    np.testing.assert_allclose(explained[12:], way[12:], atol=0.2)


def test_frames_that_stand_still_are_left_out() -> None:
    rng = np.random.default_rng(0)
    positions = [0, 3, 6, *[9] * 6, 12, 15]
    noisy = [
        np.clip(view(x).astype(int) + rng.integers(-2, 3, (*SHAPE, 3)), 0, 255).astype(np.uint8)
        for x in positions
    ]
    moving = find_moving_frames(enumerate(noisy), K, min_motion=1.0)
    assert moving.runs == ((0, 1, 2, 3, 9, 10),)
    assert moving.still == 5
    assert moving.cuts == 0
    assert len(moving.parallaxes) == 5


def test_slow_motion_adds_up() -> None:
    """Half a pixel a frame, by drawing at twice the size: every fourth or so is kept."""
    large = [view(index, shape=(128, 192)) for index in range(24)]
    frames = [each.reshape(64, 2, 96, 2, 3).mean((1, 3)).astype(np.uint8) for each in large]
    moving = find_moving_frames(enumerate(frames), K, min_motion=2.0)
    [run] = moving.runs
    assert 5 <= len(run) <= 13
    assert moving.still == 24 - len(run)


def test_a_cut_ends_a_run() -> None:
    frames = [view(x) for x in (0, 3, 6)] + [view(x, seed=50) for x in (0, 3, 6)]
    moving = find_moving_frames(enumerate(frames), K, min_motion=1.0)
    assert moving.runs == ((0, 1, 2), (3, 4, 5))
    assert moving.cuts == 1


def test_frames_without_anything_to_follow_are_runs_of_their_own() -> None:
    black = np.zeros((*SHAPE, 3), np.uint8)
    moving = find_moving_frames(enumerate([view(0), view(3), black, view(6)]), K, min_motion=1.0)
    assert moving.runs == ((0, 1), (2,), (3,))


def test_motion_is_the_same_every_time() -> None:
    assert between(view(10), view(14)) == between(view(10), view(14))


@pytest.mark.parametrize(
    ("parallax", "width", "stride"),
    [
        (4.3, 640, 1),
        (0.4, 640, 5),
        (0.2, 320, 5),
        (1.95, 640, 1),
        (0.01, 640, LARGEST_STRIDE),
        (0.0, 640, 1),
        (float("nan"), 640, 1),
    ],
)
def test_the_stride_gives_enough_parallax(parallax: float, width: int, stride: int) -> None:
    assert stride_for_parallax(parallax, width) == stride
