"""Camera motion between two frames of a video, predicted by a trained network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from rilievo.arrays.shapes import Pixels, Transform
from rilievo.errors import ModelError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.names import printable
from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.run_models import WEIGHTS, is_video_run, read_video_run
from rilievo.training.adapters.torch_model import torch_device
from rilievo.training.networks.blueprint import (
    POSE,
    PoseKind,
    VideoBlueprint,
    is_official_checkpoint,
)
from rilievo.training.networks.video.monodepth2_weights import read_official_checkpoint
from rilievo.training.networks.video.video_networks import VideoNetworks, make_networks
from rilievo.training.tensors import Images


class MotionModel:
    """Network that predicts the camera motion between two frames.

    Attributes:
        size: Height and width of the frames [px].
        metric: Whether translations are in metres; otherwise they are up to scale.
    """

    def __init__(self, networks: VideoNetworks, device: torch.device) -> None:
        self._networks = networks.to(device).eval()
        self._device = device
        self._metres_per_unit = networks.blueprint.unit
        self.size = networks.blueprint.size
        self.metric = networks.blueprint.kind is DepthKind.METRIC

    @torch.inference_mode()
    def later_T_earlier(self, earlier: Pixels, later: Pixels) -> Transform:
        """Predict the transform from the earlier camera's frame to the later camera's frame.

        With the pose network ``cnn``, the length of the translation depends on the earlier frame's
        depth, by whose mean inverse it is scaled.
        """
        # The earlier frame is the target of the networks, and the later one is their only source.
        target = self._as_batch(earlier)
        source = self._as_batch(later)
        [motion] = self._networks(target, (source,)).source_T_target
        assert motion is not None, "load_motion refuses networks without a pose network"
        transform = motion[0].double().cpu().numpy()
        if not np.isfinite(transform).all():
            raise ModelError(
                "the networks predict a camera motion that is NaN or infinite, so their weights "
                "are broken"
            )
        transform[:3, 3] *= self._metres_per_unit
        return transform

    def _as_batch(self, frame: Pixels) -> Images:
        """Batch of one frame, with colours in 0..1."""
        pixels = torch.from_numpy(frame.copy()).to(self._device)
        return pixels.permute(2, 0, 1)[None].float() / 255


def load_motion(folder: Path, *, device: str = "auto") -> MotionModel:
    """Load the motion network of a run on video, or of a checkpoint of Monodepth2."""
    # Masks do not influence motion, and their channels are the source frames of the training.
    blueprint = replace(_blueprint_with_pose(folder), mask=False)
    networks = make_networks(blueprint, offsets=(1,), seed=0, start=str(folder))
    if networks.notes:
        raise ModelError(networks.notes[0])
    return MotionModel(networks, torch_device(device))


def _blueprint_with_pose(folder: Path) -> VideoBlueprint:
    """Read the blueprint of the networks in a folder."""
    if is_video_run(folder):
        blueprint = read_video_run(folder).blueprint
        if not (folder / WEIGHTS).is_file():
            raise ModelError(
                path=printable(folder),
                problem=Text(
                    f"has no {WEIGHTS} yet; to finish the training, repeat its command with ",
                    OptionName("resume"),
                ),
            )
        no_pose_reason = "the camera motion was known in training, so the run has no pose network"
    elif is_official_checkpoint(folder):
        blueprint = read_official_checkpoint(folder).blueprint
        no_pose_reason = (
            f"has no {POSE}, because it was trained on stereo pairs and does not predict motion"
        )
    else:
        raise ModelError(
            f"{printable(folder)}: expected the folder of a 'rilievo train video' run, or of an "
            "official checkpoint with its pose files"
        )
    if blueprint.pose is PoseKind.NONE:
        raise ModelError(
            f"{printable(folder)}: {no_pose_reason}; expected networks that predict camera motion"
        )
    return blueprint
