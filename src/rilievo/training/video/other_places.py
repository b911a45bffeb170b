"""What keeps a run on one clip from forgetting other places.

It replays pictures of them. The depth that the network predicts for these before it learns serves
as their ground truth (Z. Li, D. Hoiem, "Learning without Forgetting", ECCV 2016). And it stays near
its first weights (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
"""

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from rilievo.arrays.shapes import Float, UInt8
from rilievo.models.resampling.preparation import network_size
from rilievo.training.losses.view_synthesis import anchor_loss
from rilievo.training.networks.video.depth_network import DepthNet
from rilievo.training.networks.video.video_networks import VideoNetworks
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
_BISECTION_STEPS = 5
"""Bisections of the interval in which the return towards the start is searched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureWithDepth:
    """Picture of another place, with the depth that the network predicted before it learned."""

    pixels: Float[Tensor, "1 3 h w"]
    depth: Float[Tensor, "1 h w"]


class ReplayPictures:
    """Pictures of other places, with the depth that a network predicts before it learns."""

    def __init__(
        self,
        training: Sequence[PictureWithDepth],
        held_out: Sequence[PictureWithDepth],
        *,
        seed: int,
    ) -> None:
        """Keep pictures to train on, and pictures that are held out to measure the change.

        ``seed`` determines the choice of pictures in each step.
        """
        self._training = training
        self._held_out = held_out
        self._seed = seed

    @classmethod
    def predict(
        cls, network: DepthNet, max_pixels: int, device: torch.device, *, seed: int
    ) -> "ReplayPictures":
        """Let a network predict the pictures that rilievo ships, resized to ``max_pixels``."""
        pictures_to_train_on = read_pictures(held_out=False)
        held_out_pictures = read_pictures(held_out=True)
        return cls(
            _predict_start_depths(network, pictures_to_train_on, max_pixels, device),
            _predict_start_depths(network, held_out_pictures, max_pixels, device),
            seed=seed,
        )

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
    """Mean |log depth - log depth of the start| of pictures, up to a factor for each picture."""
    differences = []
    for picture in pictures:
        with torch.autocast(picture.pixels.device.type, enabled=False):
            differences.append(anchor_loss(network.depth(picture.pixels), picture.depth))
    return torch.stack(differences).mean()


@torch.no_grad()
def _predict_start_depths(
    network: DepthNet,
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    max_pixels: int,
    device: torch.device,
) -> list[PictureWithDepth]:
    network.eval()
    predicted = []
    for picture in pictures:
        pixels = _resize_to_network_input(picture, max_pixels, device)
        predicted.append(PictureWithDepth(pixels=pixels, depth=network.depth(pixels)))
    return predicted


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWeights:
    """Weights of networks before their first step.

    Attributes:
        networks: The networks, which learn.
        share: Weight of the start in the mean that the run keeps, in 0..1.
        weights: First weights by name; empty if the run never goes back towards them.
    """

    networks: VideoNetworks
    share: float
    weights: Mapping[str, Tensor]

    def averaged(self) -> AbstractContextManager[None]:
        """Give the networks, in a block, the weights that the run would keep."""
        return average_with_start(self.networks, self.weights, self.share)

    def return_by(self, fraction: float) -> None:
        """Move the networks back by a fraction of their distance to the start."""
        move_weights_towards(self.networks, self.weights, fraction)

    def find_return(self, replay: ReplayPictures, *, max_change: float) -> "StartReturn":
        """Find by bisection how far to move back, so that depth changes at most ``max_change``."""
        # At the start itself, depth has not changed.
        too_small = 0.0
        large_enough = 1.0
        limited_change = 0.0
        for _ in range(_BISECTION_STEPS):
            fraction = (too_small + large_enough) / 2
            # Weight of the start in the kept mean, after the learned weights moved by the fraction.
            start_weight = self.share + (1 - self.share) * fraction
            with average_with_start(self.networks, self.weights, start_weight):
                change = replay.depth_change(self.networks.depth)
            if change <= max_change:
                large_enough = fraction
                limited_change = change
            else:
                too_small = fraction
        return StartReturn(fraction=large_enough, depth_change=limited_change)


class StartReturn(NamedTuple):
    """Move of learned weights back towards the start.

    Attributes:
        fraction: Fraction of the distance to the start.
        depth_change: Relative change of the depth of other places that it leaves.
    """

    fraction: float
    depth_change: float


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Copy the weights and buffers of a network."""
    return {name: value.clone() for name, value in network.state_dict().items()}


@contextmanager
def average_with_start(
    network: nn.Module, start_weights: Mapping[str, Tensor], start_share: float
) -> Iterator[None]:
    """Give a network, in a block, the mean of its weights and those it started from.

    ``start_share`` is the weight of the start in the mean, in 0..1. After the block the network has
    its own weights again. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
    """
    if not start_share:
        yield
        return
    learned_weights = copy_weights(network)
    move_weights_towards(network, start_weights, start_share)
    try:
        yield
    finally:
        network.load_state_dict(learned_weights)


@torch.no_grad()
def move_weights_towards(
    network: nn.Module, goal_weights: Mapping[str, Tensor], fraction: float
) -> None:
    """Move the weights of a network by a fraction of their distance to other weights."""
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(goal_weights[name].to(value), fraction)
