"""Batches of a run, which depend on its seed and the number of the step alone.

A killed run therefore resumes as if it had not been stopped.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Frames of one size, as tensors.

    Attributes:
        sources: Origin of each image.
        image: RGB.
        depth: True depth; 0 where there is none.
        normals: True normals; zero where there is none.
    """

    sources: tuple[Source, ...]
    image: UInt8[Tensor, "b h w 3"]
    depth: Float32[Tensor, "b h w"]
    normals: Float32[Tensor, "b 3 h w"]


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


def collate(sources: tuple[Source, ...], frames: list[Frame], device: torch.device) -> Batch:
    """Stack frames of one size."""
    normals = np.stack([frame.normals for frame in frames]).astype(np.float32)
    return Batch(
        sources=sources,
        image=torch.from_numpy(np.stack([frame.image for frame in frames])).to(device),
        depth=torch.from_numpy(np.stack([frame.depth for frame in frames])).to(device),
        normals=torch.from_numpy(normals).to(device),
    )
