"""Depth of the targets before training, by the network that learns or by a stronger model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from rilievo.arrays.shapes import Field, Float16
from rilievo.models.base import Model
from rilievo.training.networks.video.depth_network import DepthNet
from rilievo.training.tensors import to_unit_range
from rilievo.training.video.frames.target_frames import StoredMaps, VideoTargetFrames, store_maps

_BATCH_SIZE = 8
"""Targets that the network predicts at once."""
_MAX_DEPTH = 6e4
"""Largest depth that is stored; half precision ends at 65504."""


def network_depths(
    network: DepthNet, frames: VideoTargetFrames, device: torch.device
) -> Iterator[Field]:
    """Yield the depth of each target, as a depth network predicts it."""
    network.eval()
    for first_index in range(0, len(frames), _BATCH_SIZE):
        targets = frames.targets[first_index : first_index + _BATCH_SIZE]
        images = np.stack([frames.read_frame(target.place) for target in targets])
        with torch.no_grad():
            depths = network.depth(to_unit_range(torch.from_numpy(images).to(device)))
        yield from depths.cpu().numpy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """Source of the depth from which motion by geometry is estimated.

    Attributes:
        key: Text that differs between sources.
        model: Model; None for the network that the run starts from.
    """

    key: str
    model: Model | None = None

    def depths(self, frames: VideoTargetFrames) -> Iterator[Field]:
        """Yield the depth of each target by the model, in its own unit; 0 where unknown."""
        assert self.model is not None, "without a model, depth comes from ``network_depths``"
        for target in frames.targets:
            depth = self.model(frames.read_frame(target.place)).depth
            yield np.where(np.isfinite(depth.values), depth.values, 0).astype(np.float32)


def store_prior_depths(
    frames: VideoTargetFrames,
    folder: Path,
    key: str,
    depths: Iterable[Field],
    *,
    median: float | None = None,
) -> StoredMaps:
    """Store the depth of all targets in a file, unless the folder has a file of the same key.

    ``key`` is a text that differs between sources of depth. With ``median``, depths are scaled by
    one factor, so that their median over the targets is this number.
    """
    file_key = "\n".join([key, str(median), *frames.ids])
    places = (target.place for target in frames.targets)
    return store_maps(folder, ("prior",), file_key, places, _scale_to_median(depths, median))


def _scale_to_median(
    depths: Iterable[Field], median: float | None
) -> Iterator[Float16[np.ndarray, "h w"]]:
    """Yield depths in half precision, scaled by one factor so that their median is ``median``.

    The median of several targets is that of their medians.
    """
    half_depths = [np.clip(depth, 0, _MAX_DEPTH).astype(np.float16) for depth in depths]
    if median is not None:
        medians = [float(np.median(depth[depth > 0])) for depth in half_depths if (depth > 0).any()]
        # Without any known depth, the factor is 1.
        overall_median = float(np.median(medians or [median]))
        factor = median / max(overall_median, 1e-6)
        half_depths = [(depth * np.float32(factor)).astype(np.float16) for depth in half_depths]
    yield from half_depths
