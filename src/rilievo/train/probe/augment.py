"""Augmented versions of a frame: mirrored, recoloured, cropped.

A version depends on the seed, the image and the version's number alone, so a resumed run sees the
same versions, and features of frozen versions can be cached.
"""

from dataclasses import replace

import numpy as np

from rilievo.train.probe.config import Augmentation
from rilievo.train.probe.frames import Frame

_STRENGTH = 0.2
_LEAST_AREA = 0.5


def variant(frame: Frame, options: Augmentation, *, seed: int, index: int, number: int) -> Frame:
    """Return version ``number`` of an image.

    Args:
        frame: Frame as it was read.
        options: Probability of each change.
        seed: Seed of the run, or of the frozen versions.
        index: Index of the image in its dataset.
        number: Number of the version, from 0; the epoch, where versions are not frozen.
    """
    if not options.changes:
        return frame
    random = np.random.default_rng([seed, index, number])
    # All random numbers are drawn, used or not, so that an option affects nothing but itself.
    jitters, crops, flips = random.random(3)
    factors, hue = 1 + random.uniform(-_STRENGTH, _STRENGTH, 3), random.uniform(-1, 1) * _STRENGTH
    order, area = random.permutation(4), random.uniform(_LEAST_AREA, 1)
    down, across = random.random(2)
    if jitters < options.jitter:
        from rilievo.train.colour import ColourChange, changed

        brightness, contrast, saturation = factors.tolist()
        change = ColourChange(
            order=tuple(order.tolist()),
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
            hue=float(hue),
        )
        frame = replace(frame, image=changed(frame.image, change))
    if crops < options.crop:
        frame = cropped(frame, side=float(np.sqrt(area)), at=(float(down), float(across)))
    return mirrored(frame) if flips < options.flip else frame


def cropped(frame: Frame, *, side: float, at: tuple[float, float]) -> Frame:
    """Cut a window out of the frame and enlarge it to the frame's size, by nearest pixel.

    Depth values stay as they are, although the window looks nearer.

    Args:
        frame: Frame to cut from.
        side: Side of the window, as a share of the frame's, in (0, 1].
        at: Position (down, across) in the free room, each in [0, 1].
    """
    height, width = frame.depth.shape
    rows = _window(height, side, at[0])
    columns = _window(width, side, at[1])
    pick = np.ix_(rows, columns)
    return replace(
        frame, image=frame.image[pick], depth=frame.depth[pick], normals=frame.normals[:, *pick]
    )


def mirrored(frame: Frame) -> Frame:
    """Mirror the frame left to right; normals change the sign of x."""
    normals = frame.normals[:, :, ::-1] * np.array([-1, 1, 1], np.float16)[:, None, None]
    return replace(frame, image=frame.image[:, ::-1], depth=frame.depth[:, ::-1], normals=normals)


def _window(length: int, side: float, at: float) -> np.ndarray:
    size = max(1, round(length * side))
    start = round((length - size) * at)
    return start + ((np.arange(length) + 0.5) * size / length).astype(int)
