"""Batches of images with targets, which depend on the seed and the number of the step alone."""

import math
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from rilievo.arrays.shapes import Int64
from rilievo.training.probe.probe_config import Augmentation
from rilievo.training.probe.probe_frames import ProbeFrame, TargetFrames

_MAX_COLOUR_CHANGE = 0.2
"""Largest change of brightness, contrast and saturation, and of the hue in full circles."""
_MIN_WINDOW_AREA = 0.5
"""Least area of a window, as a share of the image."""


@runtime_checkable
class BatchPlan(Protocol):
    """Fields of a configuration that determine its batches."""

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
        """Whether every epoch has an order of its own."""
        ...

    @property
    def augmentation(self) -> Augmentation:
        """Random changes of images."""
        ...


def augment_frame(
    frame: ProbeFrame, options: Augmentation, *, seed: int, index: int, number: int
) -> ProbeFrame:
    """Change the colours, the window and the side of an image at random.

    Args:
        frame: Image with targets.
        options: Probabilities of the changes.
        seed: Seed of the run.
        index: Index of the image in its dataset.
        number: Number of the epoch.
    """
    if not options.changes:
        return frame
    rng = np.random.default_rng([seed, index, number])
    # All random numbers are drawn, used or not, so that an option affects nothing but itself.
    jitter, crop, flip = rng.random(3)
    factors = 1 + rng.uniform(-_MAX_COLOUR_CHANGE, _MAX_COLOUR_CHANGE, 3)
    hue = rng.uniform(-1, 1) * _MAX_COLOUR_CHANGE
    order, area = rng.permutation(4), rng.uniform(_MIN_WINDOW_AREA, 1)
    down, across = rng.random(2)

    if jitter < options.jitter:
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
    if crop < options.crop:
        frame = crop_and_enlarge(frame, side=float(np.sqrt(area)), at=(float(down), float(across)))
    return mirror_frame(frame) if flip < options.flip else frame


def crop_and_enlarge(frame: ProbeFrame, *, side: float, at: tuple[float, float]) -> ProbeFrame:
    """Cut out a window and enlarge it to the size of the image, by nearest pixel; depth stays.

    Args:
        frame: Image with targets.
        side: Height and width of the window, as a share of those of the image.
        at: Where the window lies, from (0, 0) at the top left to (1, 1) at the bottom right.
    """
    height, width = frame.depth.shape
    rows = _window_indices(height, side, at[0])
    columns = _window_indices(width, side, at[1])
    pick = np.ix_(rows, columns)
    return replace(
        frame, image=frame.image[pick], depth=frame.depth[pick], normals=frame.normals[:, *pick]
    )


def mirror_frame(frame: ProbeFrame) -> ProbeFrame:
    """Mirror an image and its targets; the x of normals changes its sign."""
    normals = frame.normals[:, :, ::-1] * np.array([-1, 1, 1], np.float16)[:, None, None]
    return replace(frame, image=frame.image[:, ::-1], depth=frame.depth[:, ::-1], normals=normals)


def _window_indices(length: int, side: float, at: float) -> np.ndarray:
    """For each pixel along an axis of the enlarged window, its index in the image."""
    window_length = max(1, round(length * side))
    start = round((length - window_length) * at)
    return start + ((np.arange(length) + 0.5) * window_length / length).astype(int)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOrigin:
    """Where an image of a batch comes from.

    Attributes:
        index: Index of the image in its dataset.
        number: Number of the epoch, which determines its augmentation; 0 without augmentation.
    """

    index: int
    number: int


def steps_an_epoch(count: int, batch_size: int) -> int:
    """Number of steps of an epoch of ``count`` images; the last batch may be smaller."""
    return math.ceil(count / batch_size)


def epoch_order(
    count: int, *, seed: int, epoch: int, shuffle: bool
) -> Int64[np.ndarray, "{count}"]:
    """Indices of images in the order of an epoch."""
    if not shuffle:
        return np.arange(count)
    return np.random.default_rng([seed, epoch]).permutation(count)


def step_image_origins(config: BatchPlan, count: int, step: int) -> tuple[ImageOrigin, ...]:
    """Images of a step, of a dataset of ``count`` images."""
    epoch, step_in_epoch = divmod(step, steps_an_epoch(count, config.batch_size))
    order = epoch_order(count, seed=config.seed, epoch=epoch, shuffle=config.shuffle)
    start = step_in_epoch * config.batch_size
    number = epoch if config.augmentation.changes else 0
    return tuple(
        ImageOrigin(index=int(index), number=number)
        for index in order[start : start + config.batch_size]
    )


def read_and_augment(frames: TargetFrames, source: ImageOrigin, config: BatchPlan) -> ProbeFrame:
    """Read an image with its targets, and change it at random."""
    return augment_frame(
        frames.frame(source.index),
        config.augmentation,
        seed=config.seed,
        index=source.index,
        number=source.number,
    )


def collate(frames: list[ProbeFrame], device: torch.device) -> dict[str, Tensor]:
    """Stack images with their targets into tensors ``image``, ``depth`` and ``normals``."""
    arrays = {
        "image": np.stack([frame.image for frame in frames]),
        "depth": np.stack([frame.depth for frame in frames]),
        "normals": np.stack([frame.normals for frame in frames]).astype(np.float32),
    }
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
