"""Corners of held-out stretches, which judge a run: two walls that a camera slides past."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from rilievo.data.clips.footage import VideoData
from rilievo.training.video.frames.target_frames import VideoFrames, VideoTargetFrames
from rilievo.training.video.frames.targets import FramePlace
from rilievo.training.video.frames.video_frames import open_frames
from rilievo.training.video.held_out_corners import (
    Corners,
    mean_corner_errors,
    read_corners,
    targets_with_enough_corners,
    triangulate_held_out_corners,
    write_corners,
)
from support.sliding_walls import FAR, NEAR, SIZE, write_walls

SHORT = "too short to hold out a stretch in the middle"


def opened(clip: Path, held_out: float) -> VideoFrames:
    data = VideoData(roots=(str(clip),), stride=2, held_out=held_out, held_out_stretches=2)
    return open_frames(data, size=SIZE, offsets=(-1, 1), cache=clip / "cache")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> VideoFrames:
    return opened(write_walls(tmp_path_factory.mktemp("walls") / "clip", frames=46), 0.15)


@pytest.fixture(scope="module")
def corners(frames: VideoFrames) -> Corners:
    """Corners that follow from a start that takes both walls for one."""
    return triangulate_held_out_corners(frames.all_targets, frames.held_out, flat)


def flat(frames: VideoTargetFrames) -> Iterable[np.ndarray]:
    return [np.full(SIZE, 3.0, np.float32)] * len(frames)


def walls(far: float, frames: VideoTargetFrames) -> Iterable[np.ndarray]:
    depth = np.full(SIZE, far, np.float32)
    depth[SIZE[0] // 2 :] = NEAR
    return [depth] * len(frames)


def test_the_middle_and_the_end_of_a_clip_judge(frames: VideoFrames, corners: Corners) -> None:
    judging = targets_with_enough_corners(frames.held_out, corners)
    assert len(judging) == len(frames.held_out) == 6
    assert not any(SHORT in note for note in frames.notes)


def test_corners_know_the_walls_that_the_start_does_not(corners: Corners) -> None:
    for seen in corners.values():
        up, down = seen[:, 1] < SIZE[0] / 2 - 3, seen[:, 1] > SIZE[0] / 2 + 3
        ratio = np.median(seen[up, 2]) / np.median(seen[down, 2])
        assert ratio == pytest.approx(FAR / NEAR, rel=0.1)


def test_better_depth_has_the_smaller_error_on_every_frame(
    frames: VideoFrames, corners: Corners
) -> None:
    judging = targets_with_enough_corners(frames.held_out, corners)
    depths = (walls(FAR, judging), walls(0.8 * FAR, judging), flat(judging))
    true, near, one = (np.array(mean_corner_errors(judging, target, corners)) for target in depths)
    assert (true < near).all()
    assert (near < one).all()
    assert true.mean() < 0.08


def test_errors_are_relative_up_to_a_factor_and_at_most_one(frames: VideoFrames) -> None:
    one = frames.held_out.subset([0])
    x, y = np.meshgrid(np.arange(5.0, 90.0, 20), [10.0, 50.0])
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    truth = np.concatenate([places, np.full((10, 1), 7.0)], axis=1)
    depth = np.full(SIZE, 2.0, np.float32)
    depth[:, :15] = 2.2
    depth[:, 80:] = 9.0
    [error] = mean_corner_errors(one, [depth], {one.targets[0].place: truth})
    assert error == pytest.approx((2 * 0.1 + 2 * 1.0) / 10, abs=1e-6)
    [error] = mean_corner_errors(one, [np.full(SIZE, np.nan)], {one.targets[0].place: truth})
    assert error == 1.0


def test_few_corners_do_not_judge_and_files_keep_the_others(
    frames: VideoFrames, corners: Corners, tmp_path: Path
) -> None:
    first, *_ = places = [target.place for target in frames.held_out.targets]
    fewer = {**corners, first: corners[first][:9]}
    assert [
        item.place for item in targets_with_enough_corners(frames.held_out, fewer).targets
    ] == places[1:]
    assert read_corners(tmp_path) == {}
    write_corners(tmp_path, fewer)
    again = read_corners(tmp_path)
    assert again.keys() == fewer.keys()
    for place in places:
        np.testing.assert_allclose(again[place], fewer[place], rtol=1e-6)
    assert isinstance(next(iter(again)), FramePlace)


def test_a_clip_too_short_for_its_middle_says_so(tmp_path: Path) -> None:
    frames = opened(write_walls(tmp_path / "clip", frames=16), 0.2)
    assert sum(SHORT in note for note in frames.notes) == 1
