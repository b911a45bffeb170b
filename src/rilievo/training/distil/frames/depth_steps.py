"""Steps of depth in training frames whose depth is exact."""

import numpy as np
from jaxtyping import Bool, Float32

from rilievo.training.distil.frames.training_frames import Frame

LEAST = float(np.log(1.1))
"""Least difference of log depth between neighbours that is a step."""
_APART = 2.0
"""Most pixels of the slopes between neighbours: targets are picked by nearest pixel, so these may
lie twice as far apart as they seem, or not at all."""
_ALL, _NOT_LAST, _NOT_FIRST = slice(None), slice(None, -1), slice(1, None)
_NEIGHBOURS = (
    ((_ALL, _NOT_LAST), (_ALL, _NOT_FIRST)),
    ((_NOT_LAST, _ALL), (_NOT_FIRST, _ALL)),
)


def steps_of(frame: Frame) -> Bool[np.ndarray, "h w"]:
    """Pixels on either side of a step of depth, which is where one surface ends before another.

    Neighbours differ by 10 % and more, and by more than the planes of their normals explain, as
    these meet between them at most: a floor that runs to a wall at a grazing angle has no step. Sky
    counts as the depth that the frame gives it.
    """
    fx, fy, cx, cy = frame.camera
    height, width = frame.valid.shape
    x, y = (np.arange(width) - cx) / fx, (np.arange(height) - cy) / fy
    rays = np.stack(np.broadcast_arrays(x, y[:, None], 1.0)).astype(np.float32)
    normals = np.where(frame.normals_valid, frame.normals, np.int8(0)).astype(np.float32)
    known, found = frame.valid | frame.sky, np.zeros(frame.valid.shape, bool)
    for first, second in _NEIGHBOURS:
        change = frame.log_depth[second] - frame.log_depth[first]
        along = (rays[:, *first], rays[:, *second])
        slopes = [_slope(normals[:, *own], *along) for own in (first, second)]
        low, high = (_APART * join(*slopes) for join in (np.minimum, np.maximum))
        is_explained = (change >= np.minimum(low, 0)) & (change <= np.maximum(high, 0))
        is_step = (np.abs(change) > LEAST) & ~is_explained
        is_step &= known[first] & known[second]
        found[first] |= is_step
        found[second] |= is_step
    return found


def _slope(
    normals: Float32[np.ndarray, "3 h w"],
    first: Float32[np.ndarray, "3 h w"],
    second: Float32[np.ndarray, "3 h w"],
) -> Float32[np.ndarray, "h w"]:
    """Change of log depth from one ray to the next on the plane of each normal; 0 without one.

    Depth along a plane is in inverse proportion to normal · ray.
    """
    here, there = (normals * first).sum(axis=0), (normals * second).sum(axis=0)
    is_seen = here * there > 0
    return np.log(np.divide(here, there, out=np.ones_like(here), where=is_seen))
