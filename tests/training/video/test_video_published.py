"""The preset ``faithful`` against the published program's description, computed by other means."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rilievo.geometry.transforms import rigid
from rilievo.training.losses.video_options import Scales
from rilievo.training.networks.video.video_networks import make_networks
from rilievo.training.video.frames.target_frames import collate
from rilievo.training.video.frames.video_frames import open_frames
from rilievo.training.video.video_config import VideoConfig
from rilievo.training.video.video_learner import VideoLearner
from rilievo.training.video.video_presets import preset_config
from support.sliding_walls import FOCAL, SIZE, write_walls
from support.video_loss_by_hand import Recipe, loss_of, pyramid_of_bytes
from support.video_runs import small_config


def published(walls: Path, scales: Scales) -> VideoConfig:
    config = preset_config(replace(small_config(walls), preset="faithful"))
    return replace(config, losses=replace(config.losses, scales=scales))


@pytest.mark.parametrize("scales", list(Scales))
def test_the_loss_of_faithful_is_the_published_one_at_every_scale(
    tmp_path: Path, scales: Scales
) -> None:
    """``--v1_multiscale`` (native) or not, with the pose network that scales its translation."""
    config, native = published(write_walls(tmp_path / "walls"), scales), scales is Scales.NATIVE
    frames = open_frames(
        config.data,
        size=SIZE,
        offsets=(-1, 1),
        cache=tmp_path / "kept",
        source_pyramids=native,
    ).training
    one = frames.read_sample(2)
    pyramids = [pyramid_of_bytes(frame) for frame in one.frames]
    views = collate([one])
    views = replace(
        views,
        target=of_bytes(views.target),
        sources=tuple(map(of_bytes, views.sources)),
        target_seen=of_bytes(views.target),
        sources_seen=tuple(map(of_bytes, views.sources)),
        pyramid=tuple(map(of_bytes, views.pyramid)),
        source_pyramids=views.source_pyramids
        and tuple(tuple(map(of_bytes, each)) for each in views.source_pyramids),
        K=views.K.double(),
    )
    networks = make_networks(config.blueprint, offsets=(-1, 1), seed=1).double().eval()
    with torch.no_grad():
        # Motion that can be seen.
        networks.pose.pose_conv.bias += torch.tensor([0.2, -0.1, 0.1, 3.0, 1.0, -2.0])
        explained = VideoLearner(networks, config.losses, seed=0).predict_with_loss(
            views=views, generator=None
        )
        target, (before, after) = views.target, views.sources
        motion = [motion_of(networks.pose(before, target), inverted=True)]
        motion += [motion_of(networks.pose(target, after), inverted=False)]
    x, y = (SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2
    expected = loss_of(
        pyramids,
        np.array([[FOCAL, 0, x], [0, FOCAL, y], [0, 0, 1]]),
        motion,
        [each[0, 0].numpy() for each in explained.sigmoids],
        Recipe(native=native, pixel_centres=False, multiplied=True),
    )
    assert float(explained.loss.total) == pytest.approx(expected, rel=1e-9)


def of_bytes(image: Tensor) -> Tensor:
    """The same colours, exact to the last digit of float64."""
    return (255 * image.double()).round() / 255


def motion_of(said: tuple[Tensor, Tensor], *, inverted: bool) -> np.ndarray:
    """Rodrigues' rotation, then the translation; the inverse for the earlier frame."""
    axis_angle, translation = (each[0].numpy() for each in said)
    angle = np.linalg.norm(axis_angle)
    x, y, z = axis_angle / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    R = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    if inverted:
        return rigid(R.T, -R.T @ translation)
    return rigid(R, translation)
