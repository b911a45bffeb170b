"""Replay of pictures of other places, so that a run on one clip does not forget them.

Their labels are the depth that the network predicts before it learns (Z. Li, D. Hoiem, "Learning
without Forgetting", ECCV 2016).
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rilievo.arrays.shapes import Float, UInt8
from rilievo.models.resampling.preparation import network_size
from rilievo.training.losses.view_synthesis import anchor_loss
from rilievo.training.networks.video.depth_network import DepthNet
from rilievo.training.tensors import Scalar

ARCHIVE = Path(__file__).parent / "other_places.zip"
"""JPEG files by ``lab/studies/write_other_places.py``."""
LARGEST_CHANGE = 0.05
"""Mean relative change of depth of other places beyond which a run goes back towards its start."""
_SIDE_MULTIPLE = 32
"""Common divisor of the height and width of a network's input [px]."""
_TARGETS_PER_PICTURE = 4
"""Targets of a batch for each picture that is replayed with it."""
_REPLAY_STREAM = 7
"""Number that keeps the random numbers of replay apart from those of batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureWithDepth:
    """Picture of another place, with the depth that the network predicted before it learned."""

    pixels: Float[Tensor, "1 3 h w"]
    depth: Float[Tensor, "1 h w"]


class ReplayPictures:
    """Pictures of other places, with the depth that a network predicts before it learns."""

    def __init__(self, network: DepthNet, area: int, device: torch.device, *, seed: int) -> None:
        """Let the network predict the depth of all pictures.

        Args:
            network: Network before its first step.
            area: Number of pixels to which pictures are resized.
            device: Device of the network.
            seed: Seed of the choice of pictures in each step.
        """
        self._seed = seed
        self._trained, self._judges = (
            [
                _label_with_depth(network, _resize_to_network_input(picture, area, device))
                for picture in read_pictures(judges=judges)
            ]
            for judges in (False, True)
        )

    def loss(self, network: DepthNet, step: int, targets: int) -> Scalar:
        """Mean |log depth - log depth of the start| of random pictures, up to a factor each.

        Args:
            network: Network in training.
            step: Number of the batch, which determines the pictures.
            targets: Number of targets in the batch, which determines how many there are.
        """
        rng = np.random.default_rng([self._seed, step, _REPLAY_STREAM])
        count = max(1, round(targets / _TARGETS_PER_PICTURE))
        chosen = rng.choice(len(self._trained), min(count, len(self._trained)), replace=False)
        return _mean_log_difference(network, [self._trained[int(index)] for index in chosen])

    @torch.no_grad()
    def depth_change(self, network: DepthNet) -> float:
        """Mean |log depth - log depth of the start| of the pictures that judge; 0.05 is about 5 %.

        These pictures are never trained on.
        """
        network.eval()
        return float(_mean_log_difference(network, self._judges))


def _mean_log_difference(network: DepthNet, pictures: Sequence[PictureWithDepth]) -> Scalar:
    differences = []
    for picture in pictures:
        with torch.autocast(picture.pixels.device.type, enabled=False):
            differences.append(anchor_loss(network.depth(picture.pixels), picture.depth))
    return torch.stack(differences).mean()


@torch.no_grad()
def _label_with_depth(network: DepthNet, pixels: Float[Tensor, "1 3 h w"]) -> PictureWithDepth:
    network.eval()
    return PictureWithDepth(pixels=pixels, depth=network.depth(pixels))


def _resize_to_network_input(
    picture: UInt8[np.ndarray, "_ _ 3"], area: int, device: torch.device
) -> Float[Tensor, "1 3 h w"]:
    height, width = network_size(picture.shape[:2], area=area, multiple=_SIDE_MULTIPLE)
    resized = np.array(Image.fromarray(picture).resize((width, height)))
    return torch.from_numpy(resized).to(device).permute(2, 0, 1)[None].float() / 255


def read_pictures(*, judges: bool) -> Sequence[UInt8[np.ndarray, "_ _ 3"]]:
    """Read the shipped pictures: the last third, which judge, or the others, to train on."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = sorted(archive.namelist())
        first_judge = len(names) * 2 // 3
        chosen = names[first_judge:] if judges else names[:first_judge]
        return [_decode_rgb(archive.read(name)) for name in chosen]


def _decode_rgb(stored: bytes) -> UInt8[np.ndarray, "_ _ 3"]:
    with Image.open(io.BytesIO(stored)) as image:
        return np.asarray(image.convert("RGB"))
