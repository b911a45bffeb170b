"""Camera motion from trained networks."""

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


class MotionModel:
    """Network of the motion between two frames of a ``size`` [px]; ``metric`` is metres."""

    def __init__(self, networks: VideoNetworks, device: torch.device) -> None:
        self._networks, self._device = networks.to(device).eval(), device
        self._unit = networks.blueprint.unit
        self.size = networks.blueprint.size
        self.metric = networks.blueprint.kind is DepthKind.METRIC

    @torch.inference_mode()
    def later_T_earlier(self, earlier: Pixels, later: Pixels) -> Transform:
        """Transform from the earlier camera's frame to the later camera's.

        The earlier depth gives the size of ``cnn`` translations.
        """
        frames = [self._unit_range_batch(frame) for frame in (earlier, later)]
        [motion] = self._networks(frames[0], (frames[1],)).source_T_target
        assert motion is not None, "the pose network says it"
        matrix = motion[0].double().cpu().numpy()
        if not np.isfinite(matrix).all():
            raise ModelError("the networks' motion is not finite: their weights are broken")
        matrix[:3, 3] *= self._unit
        return matrix

    def _unit_range_batch(self, frame: Pixels) -> torch.Tensor:
        pixels = torch.from_numpy(frame.copy()).to(self._device)
        return pixels.permute(2, 0, 1)[None].float() / 255


def load_motion(folder: Path, *, device: str = "auto") -> MotionModel:
    """Load a run of ``rilievo train video``, or a folder with pose files."""
    blueprint = _blueprint_with_pose(folder)
    networks = make_networks(
        # Masks have one channel per training source, and play no part in motion.
        replace(blueprint, mask=False),
        offsets=(1,),
        seed=0,
        start=str(folder),
    )
    if networks.notes:
        raise ModelError(networks.notes[0])
    return MotionModel(networks, torch_device(device))


def _blueprint_with_pose(folder: Path) -> VideoBlueprint:
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
