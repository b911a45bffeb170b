"""Labels of a fused surface in training on video: loss, maps of a target, what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rilievo.cli import main
from rilievo.data.clips.footage import VideoData
from rilievo.data.fuse.clip_views import ClipView
from rilievo.data.fuse.frame_labels import FrameLabel, write_labels
from rilievo.errors import InputError
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.losses.view_synthesis import anchor_loss
from rilievo.training.video.frames.fused_labels import with_label_maps
from rilievo.training.video.frames.target_frames import collate, mirror_sample
from rilievo.training.video.frames.video_frames import VideoFrames, open_frames
from rilievo.training.video.video_config import VideoConfig
from rilievo.training.video.video_records import video_run_folder
from rilievo.training.video.video_run import train_video
from support.sliding_walls import FAR, FOCAL, NEAR, SIZE, write_walls
from support.video_runs import CPU, clip_config, same, weights_of

COUNT = 14


def label_folder(folder: Path, *, focal: float = FOCAL, first: int = 0, times: int = 2) -> Path:
    """True depth of the walls in an unknown unit; the left edge weighs nothing and is wrong.

    The labels are ``times`` as large as the frames.
    """
    height, width = times * SIZE[0], times * SIZE[1]
    depth = np.full((height, width), 7 * FAR, np.float32)
    depth[height // 2 :] = 7 * NEAR
    weight = np.ones((height, width), np.float32)
    depth[:, : 4 * times], weight[:, : 4 * times] = 900, 0
    centre = ((width - 1) / 2, (height - 1) / 2)
    K = np.array([[times * focal, 0, centre[0]], [0, times * focal, centre[1]], [0, 0, 1.0]])
    views = [
        ClipView(
            name=f"{k:06d}.png",
            pixels=np.zeros((height, width, 3), np.uint8),
            depth=depth,
            valid=weight > 0,
            K=K,
            world_T_cam=np.eye(4),
        )
        for k in range(first, first + COUNT)
    ]
    labels = (FrameLabel(depth=depth, weight=weight) for _ in views)
    write_labels(folder, views, labels, clip="clip", unit="arbitrary")
    return folder


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walls(tmp_path_factory.mktemp("walls") / "clip", frames=COUNT)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return label_folder(tmp_path_factory.mktemp("taught") / "labels")


@pytest.fixture(scope="module")
def opened(walls: Path, tmp_path_factory: pytest.TempPathFactory) -> VideoFrames:
    return open_frames(
        VideoData(roots=(str(walls),), stride=1, held_out=0.2),
        size=SIZE,
        offsets=(-1, 1),
        cache=tmp_path_factory.mktemp("cache"),
    )


def config(root: Path, **changes: object) -> VideoConfig:
    return clip_config(root, **{"steps": 4, "validations": 1, **changes})


def test_the_loss_is_blind_to_a_factor_an_image_and_to_what_weighs_nothing() -> None:
    label = torch.rand(2, 6, 8) + 1
    weights = torch.ones(2, 6, 8)
    weights[:, :2] = 0
    depth = label * torch.tensor([3.0, 0.2])[:, None, None]
    depth[:, :2] = 50
    assert float(anchor_loss(depth, label, weights)) == pytest.approx(0, abs=1e-6)
    assert float(anchor_loss(depth, label)) > 0.1


def test_the_loss_is_a_weighted_mean() -> None:
    label = torch.ones(1, 1, 5)
    depth = torch.tensor([1.0, 1, 1, 1, np.e])[None, None]
    weights = torch.tensor([1.0, 1, 1, 0.5, 0.5])[None, None]
    assert float(anchor_loss(depth, label, weights)) == pytest.approx(0.5 / 4)
    ones = torch.ones_like(label)
    assert float(anchor_loss(depth, label)) == pytest.approx(float(anchor_loss(depth, label, ones)))


def test_an_image_without_a_label_teaches_nothing() -> None:
    label = torch.rand(2, 6, 8) + 1
    weights = torch.ones(2, 6, 8)
    weights[0] = 0
    label[1, :3] = 0
    depth = (torch.rand(2, 6, 8) + 1).requires_grad_()
    loss = anchor_loss(depth, label, weights)
    loss.backward()
    assert torch.isfinite(loss)
    assert depth.grad is not None
    assert torch.isfinite(depth.grad).all()
    assert not depth.grad[0].any()
    assert not depth.grad[1, :3].any()
    assert depth.grad[1, 3:].any()
    assert float(anchor_loss(depth.detach(), label, torch.zeros_like(weights))) == 0


def test_a_target_has_its_label_at_the_training_size(
    opened: VideoFrames, labels: Path, tmp_path: Path
) -> None:
    labelled = with_label_maps(opened, labels, tmp_path)
    count = len(opened.training)
    assert labelled.notes[-1].endswith(f"has labels for {count} of {count} training targets")
    views = labelled.training.read_sample(0)
    half = SIZE[0] // 2
    assert (views.maps["labels"][:half, 4:] == 7 * FAR).all()
    assert (views.maps["labels"][half:, 4:] == 7 * NEAR).all()
    assert not views.maps["labels_weights"][:, :4].any()
    assert (views.maps["labels_weights"][:, 4:] == 1).all()
    turned = mirror_sample(views)
    assert not turned.maps["labels_weights"][:, -4:].any()
    np.testing.assert_array_equal(turned.maps["labels"], views.maps["labels"][:, ::-1])
    batch = collate([views, turned])
    assert batch.maps["labels"].shape == (2, *SIZE)
    assert with_label_maps(opened, labels, tmp_path).held_out is opened.held_out
    assert len(list(tmp_path.iterdir())) == 1


def test_a_target_without_a_label_has_an_empty_one(opened: VideoFrames, tmp_path: Path) -> None:
    late = label_folder(tmp_path / "labels", first=5, times=1)
    labelled = with_label_maps(opened, late, tmp_path).training
    first, last = (labelled.read_sample(k) for k in (0, len(labelled) - 1))
    assert not first.maps["labels_weights"].any()
    assert last.maps["labels_weights"].any()


def test_labels_of_another_clip_or_camera_are_refused(opened: VideoFrames, tmp_path: Path) -> None:
    other = label_folder(tmp_path / "other", first=500, times=1)
    with pytest.raises(
        InputError, match=r"has no label for any frame of this clip; .* the first frame is 0000\d\d"
    ):
        with_label_maps(opened, other, tmp_path)
    wide = label_folder(tmp_path / "wide", focal=0.8 * FOCAL, times=1)
    with pytest.raises(InputError, match="the same camera"):
        with_label_maps(opened, wide, tmp_path)
    with pytest.raises(InputError, match="not a folder of labels"):
        with_label_maps(opened, tmp_path / "none", tmp_path)


def test_labels_that_are_broken_leave_no_run_behind(walls: Path, tmp_path: Path) -> None:
    broken = label_folder(tmp_path / "broken", times=1)
    (broken / "000004.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="000004"):
        train_video(config(walls, labels=str(broken)), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_two_clips_and_labels_of_one_are_refused(walls: Path, labels: Path, tmp_path: Path) -> None:
    second = write_walls(tmp_path / "second", frames=COUNT, seed=1)
    both = replace(config(walls).data, roots=(str(walls), str(second)))
    with pytest.raises(InputError, match="the labels belong to one clip"):
        train_video(config(walls, data=both, labels=str(labels)), tmp_path / "run", CPU)


def test_the_command_refuses_a_folder_that_is_none(
    walls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "video", str(walls), "-o", str(tmp_path / "run"), "--encoder", "small"]
    assert main([*command, "--labels", str(walls), "--steps", "2", "--device", "cpu"]) == 2
    assert "not a folder of labels" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_labels_teach_depth_and_a_stopped_run_goes_on_with_them(
    walls: Path, labels: Path, tmp_path: Path
) -> None:
    losses = VideoLosses(photometric=0, smoothness=0, labels=1.0)
    taught = config(
        walls,
        labels=str(labels),
        losses=losses,
        prior=None,
        steps=30,
        keep_best=False,
        start_share=0.0,
        learning_rate=5e-4,
    )
    start = video_run_folder(tmp_path / "start")
    train_video(replace(taught, learning_rate=1e-12), start.path, CPU)
    train_video(taught, tmp_path / "whole", CPU)
    before, after = (
        video_run_folder(folder).read_record() for folder in (start.path, tmp_path / "whole")
    )
    assert before.abs_rel is not None
    assert after.abs_rel is not None
    assert after.abs_rel < 0.6 * before.abs_rel
    train_video(taught, tmp_path / "parts", replace(CPU, stop_at=11))
    train_video(taught, tmp_path / "parts", replace(CPU, resume=True))
    assert same(weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts"))
