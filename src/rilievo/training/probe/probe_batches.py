"""Batches, which depend on the seed and the number of the step alone."""

import math
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from rilievo.arrays.shapes import Int64
from rilievo.training.probe.probe_config import Augmentation
from rilievo.training.probe.probe_frames import ProbeFrame, TargetFrames

_STRENGTH = 0.2
_LEAST_AREA = 0.5


@runtime_checkable
class BatchPlan(Protocol):
    """Fields that batches follow from."""

    @property
    def batch_size(self) -> int:
        """Images of a batch."""
        ...

    @property
    def seed(self) -> int:
        """Seed of order and augmentation."""
        ...

    @property
    def shuffle(self) -> bool:
        """Whether every epoch has its order."""
        ...

    @property
    def augmentation(self) -> Augmentation:
        """Changes of images."""
        ...


def augment_frame(
    frame: ProbeFrame, options: Augmentation, *, seed: int, index: int, number: int
) -> ProbeFrame:
    """Change colours, window and side at random, by seed, index, number."""
    if not options.changes:
        return frame
    random = np.random.default_rng([seed, index, number])
    # All random numbers are drawn, used or not, so that an option affects nothing but itself.
    jitters, crops, flips = random.random(3)
    factors, hue = 1 + random.uniform(-_STRENGTH, _STRENGTH, 3), random.uniform(-1, 1) * _STRENGTH
    order, area = random.permutation(4), random.uniform(_LEAST_AREA, 1)
    down, across = random.random(2)
    if jitters < options.jitter:
        # Its kernels are compiled, and Numba looks at the folder of their cache at once.
        from rilievo.training.engine.frame_colour import ColourChange, change_colours

        brightness, contrast, saturation = factors.tolist()
        change = ColourChange(
            order=tuple(order.tolist()),
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
            hue=float(hue),
        )
        frame = replace(frame, image=change_colours(frame.image, change))
    if crops < options.crop:
        frame = crop_and_enlarge(frame, side=float(np.sqrt(area)), at=(float(down), float(across)))
    return mirror_frame(frame) if flips < options.flip else frame


def crop_and_enlarge(frame: ProbeFrame, *, side: float, at: tuple[float, float]) -> ProbeFrame:
    """Cut a window and enlarge it to the frame's size, by nearest pixel; depth stays.

    ``side`` is a share of the frame's, and ``at`` a place in the free room, each in [0, 1].
    """
    height, width = frame.depth.shape
    rows = _window_indices(height, side, at[0])
    columns = _window_indices(width, side, at[1])
    pick = np.ix_(rows, columns)
    return replace(
        frame, image=frame.image[pick], depth=frame.depth[pick], normals=frame.normals[:, *pick]
    )


def mirror_frame(frame: ProbeFrame) -> ProbeFrame:
    """Mirror the frame; normals change the sign of x."""
    normals = frame.normals[:, :, ::-1] * np.array([-1, 1, 1], np.float16)[:, None, None]
    return replace(frame, image=frame.image[:, ::-1], depth=frame.depth[:, ::-1], normals=normals)


def _window_indices(length: int, side: float, at: float) -> np.ndarray:
    size = max(1, round(length * side))
    start = round((length - size) * at)
    return start + ((np.arange(length) + 0.5) * size / length).astype(int)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOrigin:
    """Origin of one image of a batch; ``number`` is 0 for an unchanged frame."""

    index: int
    number: int


def steps_an_epoch(count: int, batch_size: int) -> int:
    """Number of steps per epoch."""
    return math.ceil(count / batch_size)


def epoch_order(
    count: int, *, seed: int, epoch: int, shuffle: bool
) -> Int64[np.ndarray, "{count}"]:
    """Order of an epoch's images."""
    if not shuffle:
        return np.arange(count)
    return np.random.default_rng([seed, epoch]).permutation(count)


def step_image_origins(config: BatchPlan, count: int, step: int) -> tuple[ImageOrigin, ...]:
    """Indices of a step's images, with their epoch."""
    epoch, place = divmod(step, steps_an_epoch(count, config.batch_size))
    order = epoch_order(count, seed=config.seed, epoch=epoch, shuffle=config.shuffle)
    start = place * config.batch_size
    number = epoch if config.augmentation.changes else 0
    return tuple(
        ImageOrigin(index=int(index), number=number)
        for index in order[start : start + config.batch_size]
    )


def read_and_augment(frames: TargetFrames, source: ImageOrigin, config: BatchPlan) -> ProbeFrame:
    """Image as a step sees it."""
    return augment_frame(
        frames.frame(source.index),
        config.augmentation,
        seed=config.seed,
        index=source.index,
        number=source.number,
    )


def collate(frames: list[ProbeFrame], device: torch.device) -> dict[str, Tensor]:
    """Stack frames to a batch."""
    arrays = {
        "image": np.stack([frame.image for frame in frames]),
        "depth": np.stack([frame.depth for frame in frames]),
        "normals": np.stack([frame.normals for frame in frames]).astype(np.float32),
    }
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
