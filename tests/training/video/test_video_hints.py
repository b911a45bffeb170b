"""Depth by matching the two eyes of a stereo camera, on walls whose depth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rilievo.data.clips.footage import SourceKind, VideoData
from rilievo.errors import OptionError
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.video.frames.stereo_hints import stereo_hint
from rilievo.training.video.frames.video_batches import collate, mirrored
from rilievo.training.video.frames.video_frames import open_frames
from rilievo.training.video.video_run import train_video
from sliding_walls import FAR, FOCAL, NEAR, SIZE, STEP, write_walls
from stereo_walls import write_stereo_walls
from video_runs import CPU, small_config, weights_of

INNER = (slice(2, -2), slice(20, -20))
"""Region that both cameras see, away from the borders of the frame."""


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """The left eye and the right one, a step to its right."""
    walls = write_walls(tmp_path_factory.mktemp("walls") / "walls", frames=2)
    return [np.asarray(Image.open(walls / f"images/{k:06d}.png")) for k in range(2)]


def share_right(depth: np.ndarray) -> float:
    """Share of the inner pixels within a tenth of the depth of their wall."""
    true = np.full(SIZE, FAR)
    true[SIZE[0] // 2 :] = NEAR
    return float(np.mean(np.abs(depth - true)[INNER] < 0.1 * true[INNER]))


def test_either_eye_finds_the_depth_of_the_walls(eyes: list[np.ndarray]) -> None:
    left, right = eyes
    assert share_right(stereo_hint(left, right, focal=FOCAL, shift=-STEP)) > 0.9
    assert share_right(stereo_hint(right, left, focal=FOCAL, shift=STEP)) > 0.9


def test_depth_comes_in_the_unit_of_the_baseline(eyes: list[np.ndarray]) -> None:
    metres, other = (stereo_hint(*eyes, focal=FOCAL, shift=shift) for shift in (-STEP, -5 * STEP))
    np.testing.assert_allclose(other, 5 * metres, rtol=1e-6)


def test_where_nothing_matches_there_is_no_hint() -> None:
    grey = np.full((*SIZE, 3), 128, np.uint8)
    assert not stereo_hint(grey, grey, focal=FOCAL, shift=-STEP).any()


def test_hints_of_footage_turn_with_a_mirrored_sample(tmp_path: Path) -> None:
    data = VideoData(
        kind=SourceKind.KITTI_ODOMETRY, roots=(str(write_stereo_walls(tmp_path)),), stereo=True
    )
    frames = open_frames(data, size=SIZE, offsets=(-1, 1), cache=tmp_path / "kept", hints=True)
    views = frames.training.views_of(0, rng=np.random.default_rng(0))
    assert views.hints is not None
    assert share_right(views.hints) > 0.9
    flipped = mirrored(views)
    assert flipped.hints is not None
    np.testing.assert_array_equal(flipped.hints, views.hints[:, ::-1])
    batch = collate([views, flipped])
    assert batch.hints is not None
    torch.testing.assert_close(batch.hints[0], batch.hints[1].flip(-1), rtol=0, atol=0)


@pytest.mark.slow
def test_a_run_learns_otherwise_with_hints_than_without(tmp_path: Path) -> None:
    config = small_config(write_stereo_walls(tmp_path / "walls"))
    data = replace(config.data, kind=SourceKind.KITTI_ODOMETRY, stereo=True, poses=None)
    config = replace(config, data=data, steps=2)
    for name, hints in (("with", True), ("without", False)):
        record = train_video(replace(config, losses=VideoLosses(hints=hints)), tmp_path / name, CPU)
        assert record is not None
    first, second = (weights_of(tmp_path / name) for name in ("with", "without"))
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_hints_without_a_second_eye_are_refused(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    with pytest.raises(OptionError, match="two eyes: set stereo"):
        replace(config, losses=VideoLosses(hints=True))
    with pytest.raises(OptionError, match="the only source: set stereo"):
        replace(config, data=replace(config.data, temporal=False))
