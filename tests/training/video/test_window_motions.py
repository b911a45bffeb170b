"""Motion of targets over windows of frames: two walls that a camera slides past."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rilievo.data.clips.footage import VideoData
from rilievo.data.motion.pair_motion import UNKNOWN_MOTION
from rilievo.training.video.frames.target_frames import VideoTargetFrames
from rilievo.training.video.frames.targets import FramePlace, Target
from rilievo.training.video.frames.video_frames import open_frames
from rilievo.training.video.pair_motions import (
    EstimatedMotion,
    WindowTracker,
    corner_trust,
    find_pair_and_window_motions,
    select_trusted_motions,
)
from support.sliding_walls import FAR, NEAR, SIZE, write_walls

WRONG = 1.3
"""Factor by which the given depth of the upper wall is wrong."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walls(tmp_path_factory.mktemp("walls") / "clip", frames=26)


def opened(clip: Path, cache: Path, stride: int) -> VideoTargetFrames:
    data = VideoData(roots=(str(clip),), stride=stride, held_out=0.0)
    return open_frames(data, size=SIZE, offsets=(-1, 1), cache=cache).training


def given_depths(count: int, wrong: float = WRONG) -> list[np.ndarray]:
    """Depth of which the upper half is wrong, in units that differ a little."""
    depth = np.full(SIZE, FAR * wrong, np.float32)
    depth[SIZE[0] // 2 :] = NEAR
    units = np.exp(np.random.default_rng(0).normal(0.0, 0.05, count)).astype(np.float32)
    return [depth * unit for unit in units]


@pytest.fixture(scope="module")
def frames(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> VideoTargetFrames:
    return opened(clip, tmp_path_factory.mktemp("cache"), stride=2)


@pytest.fixture(scope="module")
def found(frames: VideoTargetFrames) -> EstimatedMotion:
    return find_pair_and_window_motions(frames, given_depths(len(frames)))


def test_motion_over_windows_is_that_of_the_camera_in_one_unit_a_chain(
    frames: VideoTargetFrames, found: EstimatedMotion
) -> None:
    windows = found.windows.motion_by_target
    assert len(windows) == len(frames)
    lengths = {0: [], 1: []}
    for place, window in windows.items():
        for source, motion in window.motions.items():
            way = motion[:3, 3] / np.linalg.norm(motion[:3, 3])
            side = -1.0 if source > place else 1.0
            np.testing.assert_allclose(way, [side, 0, 0], atol=0.03)
            lengths[place.frame % 2].append(float(np.linalg.norm(motion[:3, 3])))
    for each in lengths.values():
        assert np.std(np.log(each)) < 0.02


def test_depth_over_windows_does_not_repeat_what_is_wrong_in_the_given_depth(
    found: EstimatedMotion,
) -> None:
    off = []
    for window in found.windows.motion_by_target.values():
        y, depth = window.points.positions[:, 1], window.points.depth
        up, down = y < SIZE[0] / 2 - 2, y > SIZE[0] / 2 + 2
        assert np.median(depth[up]) / np.median(depth[down]) == pytest.approx(FAR / NEAR, rel=0.04)
        known = np.isfinite(window.points.model_depth)
        true = np.where(y < SIZE[0] / 2 - 0.5, FAR, NEAR)
        ratio = (window.points.model_depth / true)[known]
        off.append(np.minimum(abs(ratio / np.median(ratio) - 1), 1))
    assert found.windows.model_depth_error == pytest.approx(np.concatenate(off).mean(), abs=0.03)
    assert 0 < found.windows.triangulation_error < 0.03


def test_corners_over_windows_teach_by_how_well_chains_agree(
    frames: VideoTargetFrames, found: EstimatedMotion
) -> None:
    judged = select_trusted_motions(frames.targets, found.pairs, found.windows)
    e, d = math.hypot(found.windows.triangulation_error, 0.04), found.windows.model_depth_error
    assert judged.trust == pytest.approx(1 - e / math.sqrt(d**2 - e**2))
    assert judged.trust > 0.5
    # Two chains that disagree everywhere teach nothing.
    odd = replace(found.windows, triangulation_error=2 * d)
    assert select_trusted_motions(frames.targets, found.pairs, odd).trust == 0


def test_targets_that_pairs_lose_are_kept_by_windows(
    frames: VideoTargetFrames, found: EstimatedMotion
) -> None:
    middle = frames.targets[len(frames) // 2]
    lost = dict(found.pairs)
    for source in middle.sources:
        lost[middle.place, source] = UNKNOWN_MOTION
    assert select_trusted_motions(frames.targets, lost).left_out == {"lost": 1}
    judged = select_trusted_motions(frames.targets, lost, found.windows)
    assert not judged.left_out
    assert middle.place in judged.corners


@pytest.mark.parametrize("known", [0, 1])
def test_windows_are_trusted_where_pairs_are_lost(
    frames: VideoTargetFrames, found: EstimatedMotion, known: int
) -> None:
    """Even if all pairs are lost, or one of them remains whose length is odd."""
    lost = dict.fromkeys(found.pairs, UNKNOWN_MOTION)
    for pair in list(lost)[:known]:
        far = found.pairs[pair].source_T_target * np.array([1, 1, 1, 100])[None]
        lost[pair] = replace(found.pairs[pair], source_T_target=far)
    judged = select_trusted_motions(frames.targets, lost, found.windows)
    whole = {
        place
        for target in frames.targets
        for place in [target.place]
        if set(target.sources) <= set(found.windows.motion_by_target[place].motions)
    }
    assert len(whole) > 15
    assert set(judged.corners) == whole
    all_pairs = select_trusted_motions(frames.targets, found.pairs, found.windows)
    for target, source in judged.motions:
        length = np.linalg.norm(judged.motions[target, source][:3, 3])
        usual = np.linalg.norm(all_pairs.motions[target, source][:3, 3])
        assert length == pytest.approx(usual, rel=0.05)


def test_a_window_without_a_parallax_is_not_trusted(
    frames: VideoTargetFrames, found: EstimatedMotion
) -> None:
    lost = dict.fromkeys(found.pairs, UNKNOWN_MOTION)
    blank = {
        place: replace(window, parallax=math.nan)
        for place, window in found.windows.motion_by_target.items()
    }
    windows = replace(found.windows, motion_by_target=blank)
    assert not select_trusted_motions(frames.targets, lost, windows).corners


def test_a_source_outside_of_windows_has_the_motion_of_the_pair(frames: VideoTargetFrames) -> None:
    """The first target of a chain knows one of its sources by a pair alone, in another unit."""
    found = find_pair_and_window_motions(frames, given_depths(len(frames), wrong=1.0))
    first = frames.targets[0]
    double = {
        pair: replace(
            each,
            source_T_target=each.source_T_target * np.array([1, 1, 1, 2])[None],
            corners=replace(each.corners, depth=2 * each.corners.depth),
        )
        for pair, each in found.pairs.items()
    }
    assert first.sources[0] not in found.windows.motion_by_target[first.place].motions
    for pairs in (found.pairs, double):
        judged = select_trusted_motions(frames.targets, pairs, found.windows)
        outside, inside = (judged.motions[first.place, source] for source in first.sources)
        ratio = np.linalg.norm(outside[:3, 3]) / np.linalg.norm(inside[:3, 3])
        assert ratio == pytest.approx(1, rel=0.1)
    lost = {**found.pairs, (first.place, first.sources[0]): UNKNOWN_MOTION}
    assert select_trusted_motions(frames.targets, lost, found.windows).left_out == {"lost": 1}


def test_one_chain_alone_is_judged_by_its_pairs(clip: Path, tmp_path: Path) -> None:
    frames = opened(clip, tmp_path, stride=1)
    found = find_pair_and_window_motions(frames, given_depths(len(frames)))
    assert math.isnan(found.windows.triangulation_error)
    judged = select_trusted_motions(frames.targets, found.pairs, found.windows)
    assert judged.trust == corner_trust(frames.targets, found.pairs)


def test_the_other_camera_of_a_stereo_pair_is_in_no_window(frames: VideoTargetFrames) -> None:
    tracker = WindowTracker(frames)
    for target, depth in zip(frames.targets, given_depths(len(frames)), strict=True):
        other = FramePlace(target.place.sequence + 1, target.place.frame)
        tracker.add_target(Target(place=target.place, sources=(*target.sources, other)), depth)
    windows = tracker.estimate_windows()
    assert not windows.motion_by_target
    assert math.isnan(windows.model_depth_error)
