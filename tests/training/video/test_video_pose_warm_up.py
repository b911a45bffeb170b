"""Pose networks that learn the motions of geometry before depth moves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rilievo.data.clips.footage import VideoData
from rilievo.errors import OptionError
from rilievo.training.adapters.network_motion import load_motion
from rilievo.training.networks.blueprint import PoseKind, VideoBlueprint
from rilievo.training.networks.video.video_networks import fill_depth_from_embedded, make_networks
from rilievo.training.video.video_config import VideoAugmentation, VideoConfig
from rilievo.training.video.video_presets import preset_config
from rilievo.training.video.video_run import train_video
from support.sliding_walls import SIZE, write_walls
from support.video_runs import CPU, weights_of

START = "rilievo/small"
BLUEPRINT = VideoBlueprint(encoder="small", pose=PoseKind.CNN, size=SIZE, scales=(0,))


def pose_config(root: Path, *, prior: str | None = "support.wall_depths:load") -> VideoConfig:
    data = VideoData(roots=(str(root),), stride=1, held_out=0.2)
    plain = VideoConfig(blueprint=BLUEPRINT, data=data, start=START, prior=prior, batch_size=4)
    return preset_config(plain)


@pytest.mark.slow
@pytest.mark.parametrize("pose", [PoseKind.CNN, PoseKind.SHARED])
def test_a_pose_network_learns_the_direction_and_leaves_depth_as_it_is(
    tmp_path: Path, pose: PoseKind
) -> None:
    clip = write_walls(tmp_path / "clip", frames=14)
    config = pose_config(clip)
    assert config.pose_warm_up > 0
    blueprint = replace(config.blueprint, pose=pose)
    config = replace(
        config,
        blueprint=blueprint,
        # Mirrored frames would have to be told apart, which takes more steps.
        augmentation=VideoAugmentation(flip=0, jitter=0),
        pose_warm_up=60,
        steps=1,
        learning_rate=1e-12,
        warm_up=0,
    )
    train_video(config, tmp_path / "run", CPU)
    expected = make_networks(blueprint, offsets=(-1, 1), seed=0)
    fill_depth_from_embedded(expected)
    learned, start = weights_of(tmp_path / "run"), dict(expected.state_dict())
    depth = {name for name in start if name.startswith("depth.")}
    assert all(torch.allclose(learned[name], start[name], atol=1e-6) for name in depth)
    frames = [np.asarray(Image.open(clip / "images" / f"{k:06d}.png")) for k in (4, 5)]
    found = load_motion(tmp_path / "run", device="cpu").later_T_earlier(*frames)
    way = found[:3, 3] / np.linalg.norm(found[:3, 3])
    # The camera goes to the right, so that points go to the left.
    assert np.degrees(np.arccos(-way[0])) < 20
    assert np.degrees(np.arccos((np.trace(found[:3, :3]) - 1) / 2)) < 1


def test_a_warm_up_needs_depth_and_a_pose_network(tmp_path: Path) -> None:
    config = pose_config(tmp_path)
    with pytest.raises(OptionError, match="needs initial depth"):
        replace(config, start=None, prior=None)
    with pytest.raises(OptionError, match="pose network"):
        replace(config, blueprint=replace(BLUEPRINT, pose=PoseKind.GEOMETRY))
    resnet = replace(BLUEPRINT, encoder="resnet18", scales=(0, 1, 2, 3))
    usual = replace(config, blueprint=resnet, start="imagenet", prior=None, pose_warm_up=0)
    assert preset_config(usual).pose_warm_up == 0
    without_prior = replace(config, prior=None, pose_warm_up=0)
    assert preset_config(without_prior).pose_warm_up == config.pose_warm_up > 0
    without_start = replace(config, blueprint=resnet, start="imagenet", pose_warm_up=0)
    assert preset_config(without_start).pose_warm_up == config.pose_warm_up
    faithful = replace(config, preset="faithful")
    assert preset_config(faithful).pose_warm_up == 0
