"""Batches of a run, which depend on its seed and the number of the step alone.

A killed run therefore resumes as if it had not been stopped.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from rilievo.train.probe.augment import variant
from rilievo.train.probe.config import ProbeConfig
from rilievo.train.probe.frames import Frame, KeptFrames


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Origin of one image of a batch.

    Attributes:
        index: Index of the frame.
        number: Number of its augmented version; 0 where frames are not changed.
    """

    index: int
    number: int


def steps_an_epoch(count: int, batch_size: int) -> int:
    """Number of steps per epoch; the last batch of an epoch may be smaller than the others."""
    return math.ceil(count / batch_size)


def epoch_order(
    count: int, *, seed: int, epoch: int, shuffle: bool
) -> Int64[np.ndarray, "{count}"]:
    """Order in which an epoch sees the images."""
    if not shuffle:
        return np.arange(count)
    return np.random.default_rng([seed, epoch]).permutation(count)


def sources_of(config: ProbeConfig, count: int, step: int) -> tuple[Source, ...]:
    """Images that a step sees, and their versions."""
    epoch, place = divmod(step, steps_an_epoch(count, config.batch_size))
    order = epoch_order(count, seed=config.seed, epoch=epoch, shuffle=config.shuffle)
    start = place * config.batch_size
    options = config.augmentation
    number = epoch % options.variants if options.variants else epoch
    return tuple(
        Source(index=int(index), number=number if options.changes else 0)
        for index in order[start : start + config.batch_size]
    )


def changed_frame(frames: KeptFrames, source: Source, config: ProbeConfig) -> Frame:
    """Return one image as a step sees it.

    Frozen versions have a seed of their own, so that all runs share them and their features.
    """
    options = config.augmentation
    return variant(
        frames.frame(source.index),
        options,
        seed=0 if options.variants else config.seed,
        index=source.index,
        number=source.number,
    )


def collate(frames: list[Frame], device: torch.device) -> dict[str, Tensor]:
    """Stack the image, depth and normals of frames of one size."""
    arrays = {
        "image": np.stack([frame.image for frame in frames]),
        "depth": np.stack([frame.depth for frame in frames]),
        "normals": np.stack([frame.normals for frame in frames]).astype(np.float32),
    }
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
