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
        self._unit = networks.blueprint.unit
        self.size = networks.blueprint.size
        self.metric = networks.blueprint.kind is DepthKind.METRIC

    @torch.inference_mode()
    def later_T_earlier(self, earlier: Pixels, later: Pixels) -> Transform:
        """Predict the transform from the frame of the earlier camera to that of the later one.

        Translations of the pose network ``cnn`` get their length from the depth of the earlier
        frame.

        Raises:
            ModelError: If the weights are broken, so that the motion is not finite.
        """
        target, source = self._as_batch(earlier), self._as_batch(later)
        [motion] = self._networks(target, (source,)).source_T_target
        assert motion is not None, "the pose network says it"
        matrix = motion[0].double().cpu().numpy()
        if not np.isfinite(matrix).all():
            raise ModelError("the networks' motion is not finite: their weights are broken")
        matrix[:3, 3] *= self._unit
        return matrix

    def _as_batch(self, frame: Pixels) -> Images:
        """Batch of one frame, with colours in 0..1."""
        pixels = torch.from_numpy(frame.copy()).to(self._device)
        return pixels.permute(2, 0, 1)[None].float() / 255


def load_motion(folder: Path, *, device: str = "auto") -> MotionModel:
    """Load the motion network of a run on video, or of a checkpoint of Monodepth2.

    Raises:
        ModelError: If the folder is neither, has no motion network, or is broken.
    """
    # Masks play no part in motion, and have one channel for each source frame of the training.
    blueprint = replace(_blueprint_with_pose(folder), mask=False)
    networks = make_networks(blueprint, offsets=(1,), seed=0, start=str(folder))
    if networks.notes:
        raise ModelError(networks.notes[0])
    return MotionModel(networks, torch_device(device))


def _blueprint_with_pose(folder: Path) -> VideoBlueprint:
    """Blueprint of a folder's networks, one of which predicts motion."""
    if is_video_run(folder):
        blueprint = read_video_run(folder).blueprint
        if not (folder / WEIGHTS).is_file():
            raise ModelError(
                path=printable(folder),
                problem=Text(
                    f"has no {WEIGHTS} yet: let its training come to an end (",
                    OptionName("resume"),
                    ")",
                ),
            )
        missing = "its motion was known in training, so it has no pose network"
    elif is_official_checkpoint(folder):
        blueprint = read_official_checkpoint(folder).blueprint
        missing = f"has no {POSE}: it learned from stereo pairs, and says no motion"
    else:
        raise ModelError(
            f"{printable(folder)}: expected the folder of a run of 'rilievo train video', or one "
            "of an official checkpoint with its pose files"
        )
    if blueprint.pose is PoseKind.NONE:
        raise ModelError(f"{printable(folder)}: {missing}")
    return blueprint
