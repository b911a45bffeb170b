"""Depth of the targets by the network that a run starts from, or by a stronger model."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from rilievo.data.clips.motion.pair_motion import TRACKING, CornerPair, better_focal_factor
from rilievo.data.clips.motion.tracks import grey, track_corners
from rilievo.frozen import frozen
from rilievo.geometry.intrinsics import horizontal_fov
from rilievo.messages import Note
from rilievo.models.base import Model
from rilievo.shapes import Field
from rilievo.training.networks.video.depth_network import DepthNet
from rilievo.training.tensors import as_input
from rilievo.training.video.frames.target_frames import StoredMaps, VideoTargetFrames, stored_maps

_AT_ONCE = 8
_CHECKED = 40
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


@frozen
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


def stored_prior(
    frames: VideoTargetFrames,
    folder: Path,
    key: str,
    depths: Callable[[], Iterator[Field]],
    *,
    middle: float | None = None,
) -> StoredMaps:
    """Store the depth of all targets, unless a file of the key has it.

    All targets are scaled to the median ``middle``; None keeps the unit.
    """

    def make() -> np.ndarray:
        stored = [np.clip(depth, 0, _LARGEST).astype(np.float16) for depth in depths()]
        if middle is not None:
            medians = [float(np.median(depth[depth > 0])) for depth in stored if (depth > 0).any()]
            factor = middle / max(float(np.median(medians or [middle])), 1e-6)
            stored = [(depth * np.float32(factor)).astype(np.float16) for depth in stored]
        return np.stack(stored)

    key = "\n".join([key, str(middle), *frames.ids])
    return stored_maps(folder, ("prior",), key, (target.place for target in frames.targets), make)


def fov_notes(frames: VideoTargetFrames, prior: StoredMaps) -> tuple[str, ...]:
    """Say where another field of view fits the first sequence clearly better."""
    first = frames.targets[0].place.sequence
    pairs = []
    for target in frames.some(_CHECKED).targets:
        if target.place.sequence != first:
            continue
        now, then = (grey(frames.frame_of(place)) for place in (target.place, target.sources[-1]))
        pairs.append(CornerPair(track_corners(now, then, TRACKING), prior.of(target.place)))
    K = frames.K_of(frames.targets[0])
    factor = better_focal_factor(pairs, K)
    if factor is None:
        return ()
    width = frames.frame_of(frames.targets[0].place).shape[1]
    changed = K.copy()
    changed[[0, 1], [0, 1]] *= factor
    own, better = horizontal_fov(K, width), horizontal_fov(changed, width)
    problem = (
        f"the field of view seems wrong: tracked corners fit about {better:.0f} degrees better "
        f"than {own:.0f}"
    )
    return (Note(problem, hint="give {fov=...|camera=...}"),)
