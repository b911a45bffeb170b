"""Shared fixtures of tests of runs on video: networks small enough to train in a second."""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from rilievo.data.clips.footage import VideoData
from rilievo.training.networks.blueprint import PoseKind, VideoBlueprint
from rilievo.training.video.video_config import VideoConfig, VideoRunOptions
from rilievo.training.video.video_presets import preset_config
from support.sliding_walls import SIZE

CPU = VideoRunOptions(device="cpu")


def small_config(*roots: Path) -> VideoConfig:
    """A run of six steps: six targets, two epochs, batches of two."""
    return VideoConfig(
        blueprint=VideoBlueprint(encoder="timm/test_resnet", pose=PoseKind.CNN, size=SIZE),
        data=VideoData(roots=tuple(map(str, roots)), stride=1, held_out=0.2, poses="auto"),
        epochs=2,
        batch_size=2,
        learning_rate=1e-3,
        checkpoint_steps=100,
    )


def clip_config(root: Path, **changes: object) -> VideoConfig:
    """Six steps of two targets with the embedded network, which are validated three times."""
    plain = VideoConfig(
        blueprint=VideoBlueprint(encoder="small", pose=PoseKind.GEOMETRY, size=SIZE, scales=(0,)),
        data=VideoData(roots=(str(root),), stride=1, held_out=0.2),
        preset="clip",
        start="rilievo/small",
        prior="support.wall_depths:load",
        batch_size=2,
    )
    config = replace(preset_config(plain), minutes=None, steps=6, warm_up=0, validations=3)
    return replace(config, **changes)  # pyright: ignore[reportArgumentType]


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    """Weights that a run wrote."""
    return load_file(run / "weights.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are the same bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
