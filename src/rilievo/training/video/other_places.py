"""Replay of other places, with the answers of the start as labels.

Z. Li, D. Hoiem, "Learning without Forgetting", ECCV 2016.
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
"""Change of depth beyond which a run goes back."""
_MULTIPLE = 32
_TARGETS = 4
_STREAM = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureWithDepth:
    """Picture of another place, with the start's depth."""

    pixels: Float[Tensor, "1 3 h w"]
    depth: Float[Tensor, "1 h w"]


class OtherPlaces:
    """Pictures of other places with the answers of a network before it learns."""

    def __init__(self, network: DepthNet, area: int, device: torch.device, *, seed: int) -> None:
        """Ask the network, which sees a picture at ``area`` pixels."""
        self._seed = seed
        self._trained, self._judges = (
            [
                _label_with_depth(network, _resize_to_network_input(place, area, device))
                for place in read_pictures(judges=judges)
            ]
            for judges in (False, True)
        )

    def loss(self, network: DepthNet, step: int, targets: int) -> Scalar:
        """Mean |log depth - log start's depth| of drawn pictures, up to a factor each."""
        rng = np.random.default_rng([self._seed, step, _STREAM])
        count = max(1, round(targets / _TARGETS))
        drawn = rng.choice(len(self._trained), min(count, len(self._trained)), replace=False)
        return _mean_of_scalars(
            [_median_log_difference(network, self._trained[int(index)]) for index in drawn]
        )

    @torch.no_grad()
    def depth_change(self, network: DepthNet) -> float:
        """Mean |log depth - log start's depth| of the pictures that judge; 0.05 is about 5 %."""
        network.eval()
        return float(
            _mean_of_scalars([_median_log_difference(network, judge) for judge in self._judges])
        )


def _median_log_difference(network: DepthNet, one: PictureWithDepth) -> Scalar:
    with torch.autocast(one.pixels.device.type, enabled=False):
        return anchor_loss(network.depth(one.pixels), one.depth)


@torch.no_grad()
def _label_with_depth(network: DepthNet, pixels: Float[Tensor, "1 3 h w"]) -> PictureWithDepth:
    network.eval()
    return PictureWithDepth(pixels=pixels, depth=network.depth(pixels))


def _resize_to_network_input(
    picture: UInt8[np.ndarray, "_ _ 3"], area: int, device: torch.device
) -> Float[Tensor, "1 3 h w"]:
    rows, columns = network_size(picture.shape[:2], area=area, multiple=_MULTIPLE)
    shown = Image.fromarray(picture).resize((columns, rows))
    return torch.from_numpy(np.array(shown)).to(device).permute(2, 0, 1)[None].float() / 255


def _mean_of_scalars(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()


def read_pictures(*, judges: bool) -> Sequence[UInt8[np.ndarray, "_ _ 3"]]:
    """Read the pictures that judge, the last third, or those that are trained on."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = sorted(archive.namelist())
        first = len(names) * 2 // 3
        chosen = names[first:] if judges else names[:first]
        return [_decode_rgb(archive.read(name)) for name in chosen]


def _decode_rgb(stored: bytes) -> UInt8[np.ndarray, "_ _ 3"]:
    with Image.open(io.BytesIO(stored)) as image:
        return np.asarray(image.convert("RGB"))
