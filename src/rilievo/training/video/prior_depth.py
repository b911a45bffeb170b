"""Depth of the targets by the network that a run starts from, or by a stronger model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from rilievo.arrays.shapes import Field, Float16
from rilievo.models.base import Model
from rilievo.training.networks.video.depth_network import DepthNet
from rilievo.training.tensors import as_input
from rilievo.training.video.frames.target_frames import StoredMaps, VideoTargetFrames, store_maps

_AT_ONCE = 8
_LARGEST = 6e4


def network_depths(
    network: DepthNet, frames: VideoTargetFrames, device: torch.device
) -> Iterator[Field]:
    """Yield the depth of each target by a depth network."""
    network.eval()
    for first in range(0, len(frames), _AT_ONCE):
        targets = frames.targets[first : first + _AT_ONCE]
        batch = np.stack([frames.frame_of(target.place) for target in targets])
        pixels = as_input(torch.from_numpy(batch).to(device))
        with torch.no_grad():
            depths = network.depth(pixels)
        yield from depths.cpu().numpy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """Source of the depth that motion by geometry begins with.

    Attributes:
        key: Text that tells one source from another.
        model: Model; None for the network that the run starts from.
    """

    key: str
    model: Model | None = None

    def depths(self, frames: VideoTargetFrames) -> Iterator[Field]:
        """Yield the depth of each target by the model, in its own unit."""
        assert self.model is not None, "the network's depth is that of ``network_depths``"
        for target in frames.targets:
            depth = self.model(frames.frame_of(target.place)).depth
            yield np.where(np.isfinite(depth.values), depth.values, 0).astype(np.float32)


def store_prior_depths(
    frames: VideoTargetFrames,
    folder: Path,
    key: str,
    depths: Iterable[Field],
    *,
    middle: float | None = None,
) -> StoredMaps:
    """Store the depth of all targets, unless a file of the key has it.

    All targets are scaled to the median ``middle``; None keeps the unit.
    """
    key = "\n".join([key, str(middle), *frames.ids])
    places = (target.place for target in frames.targets)
    return store_maps(folder, ("prior",), key, places, _scale_to_median(depths, middle))


def _scale_to_median(
    depths: Iterable[Field], middle: float | None
) -> Iterator[Float16[np.ndarray, "h w"]]:
    stored = [np.clip(depth, 0, _LARGEST).astype(np.float16) for depth in depths]
    if middle is not None:
        medians = [float(np.median(depth[depth > 0])) for depth in stored if (depth > 0).any()]
        factor = middle / max(float(np.median(medians or [middle])), 1e-6)
        stored = [(depth * np.float32(factor)).astype(np.float16) for depth in stored]
    yield from stored
