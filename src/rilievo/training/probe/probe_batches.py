"""Batches of images with targets, which depend on the seed and the number of the step alone."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rilievo.arrays.shapes import Int64
from rilievo.training.probe.probe_config import Augmentation
from rilievo.training.probe.probe_frames import ProbeFrame, TargetFrames

_MAX_COLOUR_CHANGE = 0.2
"""Largest change of brightness, contrast and saturation, and of the hue in full circles."""
_MIN_WINDOW_AREA = 0.5
"""Least area of a window, as a fraction of the image."""


def augment_frame(
    frame: ProbeFrame, options: Augmentation, *, seed: int, index: int, epoch: int
) -> ProbeFrame:
    """Change the colours, crop and mirror an image at random, with given probabilities.

    The random numbers depend on the seed, on the index of the image in its dataset, and on the
    epoch.
    """
    if not options.changes:
        return frame
    rng = np.random.default_rng([seed, index, epoch])
    # All random numbers are drawn, used or not, so that an option affects nothing but itself.
    jitter_draw, crop_draw, flip_draw = rng.random(3)
    colour_factors = 1 + rng.uniform(-_MAX_COLOUR_CHANGE, _MAX_COLOUR_CHANGE, 3)
    hue = rng.uniform(-1, 1) * _MAX_COLOUR_CHANGE
    order = rng.permutation(4)
    window_area = rng.uniform(_MIN_WINDOW_AREA, 1)
    window_y, window_x = rng.random(2)

    if jitter_draw < options.jitter:
        # Imported late, because Numba looks at the folder of its compiled kernels at once.
        from rilievo.training.engine.frame_colour import ColourChange, change_colours

        brightness, contrast, saturation = colour_factors.tolist()
        change = ColourChange(
            order=tuple(order.tolist()),
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
            hue=float(hue),
        )
        frame = replace(frame, image=change_colours(frame.image, change))
    if crop_draw < options.crop:
        frame = crop_and_enlarge(
            frame,
            window_fraction=float(np.sqrt(window_area)),
            window_position=(float(window_y), float(window_x)),
        )
    return mirror_frame(frame) if flip_draw < options.flip else frame


def crop_and_enlarge(
    frame: ProbeFrame, *, window_fraction: float, window_position: tuple[float, float]
) -> ProbeFrame:
    """Cut out a window and enlarge it to the size of the image, by nearest pixel; depth stays.

    ``window_fraction`` is the fraction of height and width that the window has. Its position goes
    from (0, 0) at the top left to (1, 1) at the bottom right.
    """
    height, width = frame.depth.shape
    rows = _window_indices(height, window_fraction, window_position[0])
    columns = _window_indices(width, window_fraction, window_position[1])
    pixels = np.ix_(rows, columns)
    return replace(
        frame,
        image=frame.image[pixels],
        depth=frame.depth[pixels],
        normals=frame.normals[:, *pixels],
    )


def mirror_frame(frame: ProbeFrame) -> ProbeFrame:
    """Mirror an image and its targets; the x of normals changes its sign."""
    normals = frame.normals[:, :, ::-1] * np.array([-1, 1, 1], np.float16)[:, None, None]
    return replace(frame, image=frame.image[:, ::-1], depth=frame.depth[:, ::-1], normals=normals)


def _window_indices(length: int, window_fraction: float, window_position: float) -> np.ndarray:
    """Index in the image of each row or column of an enlarged window."""
    window_length = max(1, round(length * window_fraction))
    start = round((length - window_length) * window_position)
    centres = (np.arange(length) + 0.5) * window_length / length
    return start + centres.astype(int)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Number of steps of an epoch of ``count`` images; the last batch may be smaller."""
    return math.ceil(count / batch_size)


def epoch_order(
    count: int, *, seed: int, epoch: int, shuffle: bool
) -> Int64[np.ndarray, "{count}"]:
    """Indices of images in the order of an epoch."""
    if not shuffle:
        return np.arange(count)
    return np.random.default_rng([seed, epoch]).permutation(count)


def epoch_and_image_indices(
    step: int, num_images: int, *, batch_size: int, seed: int, shuffle: bool
) -> tuple[int, list[int]]:
    """Epoch of a step, and the indices of its images in a dataset of ``num_images``."""
    epoch, step_in_epoch = divmod(step, steps_per_epoch(num_images, batch_size))
    order = epoch_order(num_images, seed=seed, epoch=epoch, shuffle=shuffle)
    start = step_in_epoch * batch_size
    return epoch, order[start : start + batch_size].tolist()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFrames:
    """Images of each step of a run: their order, and their random changes."""

    frames: TargetFrames
    batch_size: int
    seed: int
    shuffle: bool
    augmentation: Augmentation

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in one pass through the images; the last step may have fewer images."""
        return steps_per_epoch(len(self.frames), self.batch_size)

    def read(self, step: int) -> Iterator[tuple[str, ProbeFrame]]:
        """Yield the id of each image of a step, and the image with its targets."""
        epoch, indices = epoch_and_image_indices(
            step,
            len(self.frames),
            batch_size=self.batch_size,
            seed=self.seed,
            shuffle=self.shuffle,
        )
        for index in indices:
            frame = self.frames.frame(index)
            yield (
                self.frames.ids[index],
                augment_frame(frame, self.augmentation, seed=self.seed, index=index, epoch=epoch),
            )


def collate(frames: list[ProbeFrame], device: torch.device) -> dict[str, Tensor]:
    """Stack images with their targets into tensors ``image``, ``depth`` and ``normals``."""
    arrays = {
        "image": np.stack([frame.image for frame in frames]),
        "depth": np.stack([frame.depth for frame in frames]),
        "normals": np.stack([frame.normals for frame in frames]).astype(np.float32),
    }
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
