"""Replay of pictures of other places, so that a run on one clip does not forget them.

The depth that the network predicts for them before it learns serves as their ground truth (Z. Li,
D. Hoiem, "Learning without Forgetting", ECCV 2016).
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
"""Mean relative change of depth of other places beyond which weights return towards the start."""
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

    def __init__(
        self, network: DepthNet, max_pixels: int, device: torch.device, *, seed: int
    ) -> None:
        """Predict the depth of all pictures, resized to ``max_pixels``, before the first step.

        ``seed`` determines the choice of pictures in each step.
        """

        def read_with_depth(*, held_out: bool) -> list[PictureWithDepth]:
            """Read the pictures to train on, or those held out, and predict their depth."""
            inputs = [
                _resize_to_network_input(picture, max_pixels, device)
                for picture in read_pictures(held_out=held_out)
            ]
            return [_predict_start_depth(network, pixels) for pixels in inputs]

        self._seed = seed
        self._training = read_with_depth(held_out=False)
        self._held_out = read_with_depth(held_out=True)

    def loss(self, network: DepthNet, step: int, num_targets: int) -> Scalar:
        """Mean |log depth - log depth of the start| of random pictures, up to a factor each.

        The number of the batch determines the pictures, and its number of targets how many.
        """
        rng = np.random.default_rng([self._seed, step, _REPLAY_STREAM])
        num_pictures = min(max(1, round(num_targets / _TARGETS_PER_PICTURE)), len(self._training))
        indices = rng.choice(len(self._training), num_pictures, replace=False)
        return _mean_log_difference(network, [self._training[int(index)] for index in indices])

    @torch.no_grad()
    def depth_change(self, network: DepthNet) -> float:
        """Mean |log depth - log depth of the start| of pictures that are never trained on.

        0.05 is about 5%.
        """
        network.eval()
        return float(_mean_log_difference(network, self._held_out))


def _mean_log_difference(network: DepthNet, pictures: Sequence[PictureWithDepth]) -> Scalar:
    differences = []
    for picture in pictures:
        with torch.autocast(picture.pixels.device.type, enabled=False):
            differences.append(anchor_loss(network.depth(picture.pixels), picture.depth))
    return torch.stack(differences).mean()


@torch.no_grad()
def _predict_start_depth(network: DepthNet, pixels: Float[Tensor, "1 3 h w"]) -> PictureWithDepth:
    network.eval()
    return PictureWithDepth(pixels=pixels, depth=network.depth(pixels))


def _resize_to_network_input(
    picture: UInt8[np.ndarray, "_ _ 3"], max_pixels: int, device: torch.device
) -> Float[Tensor, "1 3 h w"]:
    height, width = network_size(picture.shape[:2], pixel_count=max_pixels, multiple=_SIDE_MULTIPLE)
    resized = np.array(Image.fromarray(picture).resize((width, height)))
    return torch.from_numpy(resized).to(device).permute(2, 0, 1)[None].float() / 255


def read_pictures(*, held_out: bool) -> Sequence[UInt8[np.ndarray, "_ _ 3"]]:
    """Read the shipped pictures: the last third, which is held out, or those to train on."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = sorted(archive.namelist())
        num_training = len(names) * 2 // 3
        selected = names[num_training:] if held_out else names[:num_training]
        return [_decode_rgb(archive.read(name)) for name in selected]


def _decode_rgb(stored: bytes) -> UInt8[np.ndarray, "_ _ 3"]:
    with Image.open(io.BytesIO(stored)) as image:
        return np.asarray(image.convert("RGB"))
