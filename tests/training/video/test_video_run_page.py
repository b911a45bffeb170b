"""The page of a run on video, from a record and tables written by hand."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rilievo.io.json_record import to_json
from rilievo.training.losses.view_synthesis import VideoLoss
from rilievo.training.losses.warped_frames import Views
from rilievo.training.video.batch_numbers import BatchResult
from rilievo.training.video.frames.targets import FramePlace
from rilievo.training.video.pair_motions import MotionEstimate, write_estimate
from rilievo.training.video.video_records import VideoRecord
from rilievo.training.video.video_summary import (
    camera_trajectories,
    draw_result,
    write_video_run_page,
)

RECORD = VideoRecord(
    targets=40,
    held_out=4,
    notes=("the stride is 3",),
    depth_parameters=1,
    pose_parameters=0,
    steps=20,
    epochs=2.0,
    processes=1,
    warp_error=0.05,
    identity_error=0.1,
    best_step=10,
    corner_error=0.06,
    best_error=0.05,
    start_error=0.08,
    sequences=(),
    warnings=(),
    seconds=9.0,
    device="cpu",
    torch_version="",
    version="",
    differences=(),
)


def straight(
    frames: list[int], sequence: int = 0
) -> dict[tuple[FramePlace, FramePlace], np.ndarray]:
    """Motions to the next frame: half a unit along x each."""
    T = np.eye(4)
    T[0, 3] = -0.5
    return {(FramePlace(sequence, k), FramePlace(sequence, k + 1)): T for k in frames}


def test_positions_are_chained_along_the_longest_row() -> None:
    [row] = camera_trajectories(straight([0, 1, 5, 6, 7]))
    np.testing.assert_allclose(row[:, 0], [0, 0.5, 1, 1.5])
    np.testing.assert_allclose(row[:, 1:], 0)
    assert len(camera_trajectories(straight([0, 1]) | straight([0], sequence=1))) == 2
    assert camera_trajectories({}) == []


@pytest.mark.parametrize("offsets", list(itertools.permutations((-1, 1, 2))))
def test_positions_follow_the_nearest_frame_whatever_the_order(offsets: tuple[int, ...]) -> None:
    motions = {}
    for k in range(1, 6):
        for offset in offsets:
            T = np.eye(4)
            T[0, 3] = -0.5 * offset
            motions[FramePlace(0, k), FramePlace(0, k + offset)] = T
        T = np.eye(4)
        T[1, 3] = 0.3
        motions[FramePlace(0, k), FramePlace(1, k)] = T
    [row] = camera_trajectories(motions)
    np.testing.assert_allclose(row, [[0.5 * k, 0, 0] for k in range(6)])


def test_the_page_shows_start_and_end_pictures_and_the_path(tmp_path: Path) -> None:
    run = tmp_path / "my & run"
    (run / "pictures").mkdir(parents=True)
    (run / "record.json").write_text(to_json(RECORD))
    (run / "validation.csv").write_text("step,corner_error\n0,0.08\n10,0.05\n20,0.06\n")
    for step in (0, 10):
        Image.new("RGB", (32, 5 * 16)).save(run / "pictures" / f"step-{step:07d}.png")
    estimate = MotionEstimate(motions=straight([0, 1, 2]), corners={})
    write_estimate(run / "motions" / "training.npz", estimate)
    page = write_video_run_page(run, RECORD).read_text("utf-8")
    assert "0.0800 at the start" in page
    assert "0.0500 at step 10" in page
    # The frame, and depth at both steps; the error and the trajectory.
    assert page.count("<img") == 3
    assert page.count("<svg") == 2
    assert "https:" not in page
    assert "my &amp; run" in page
    assert "the stride is 3" in page


def test_the_picture_of_a_batch_has_target_depth_warped_source_and_mask_in_rows() -> None:
    """Red is the target, blue the warped source; the automask keeps the left half."""
    height, width = 4, 6
    red, blue = torch.zeros(2, 1, 3, height, width).unbind()
    red[:, 0], blue[:, 2] = 1, 1
    left = (torch.arange(width) < 3).expand(1, height, width)
    depth, nothing = torch.ones(1, height, width), torch.zeros(())
    depth[:, :, 3:] = 2
    views = Views(
        target=red,
        sources=(blue,),
        target_seen=red,
        sources_seen=(blue,),
        pyramid=(red,),
        K=torch.eye(3)[None],
        source_T_target=(None,),
    )
    loss = VideoLoss(
        total=nothing,
        terms={},
        depth=depth,
        warped=(blue,),
        automask=left,
        identity_error=depth,
        warped_error=depth,
    )
    result = BatchResult(views=views, sigmoids=(), motions=(), loss=loss)
    target, shown_depth, warped, mask = np.split(draw_result(result), 4)
    assert (target == [255, 0, 0]).all()
    assert (warped == [0, 0, 255]).all()
    assert (mask[:, :3] == 255).all()
    assert (mask[:, 3:] == 0).all()
    assert len(np.unique(shown_depth.reshape(-1, 3), axis=0)) == 2


def test_a_run_whose_start_was_kept_warns_and_does_without_pictures_and_curves(
    tmp_path: Path,
) -> None:
    kept = replace(RECORD, best_step=0, best_error=0.08, kept_start=True)
    (tmp_path / "record.json").write_text(to_json(kept))
    page = write_video_run_page(tmp_path, kept).read_text("utf-8")
    assert "0.0800" in page
    assert "Warnings" in page
    assert "<img" not in page
    assert "<svg" not in page
