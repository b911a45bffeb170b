"""Motions chained into a trajectory."""

import numpy as np

from rilievo.data.clips.sequences import ClipFrame
from rilievo.frozen import frozen
from rilievo.geometry.transforms import (
    axis_angle_from_rotation,
    invert,
    rigid,
    rotation_from_axis_angle,
)
from rilievo.shapes import Bool, Int64, Transform, Transforms


class Chain:
    """Trajectory that grows frame by frame; unusable frames are interpolated."""

    def __init__(self) -> None:
        self._poses: list[Transform] = []
        self._estimated: list[bool] = []
        self._missing = 0

    def begin_or_move(self, later_T_earlier: Transform | None) -> None:
        """Add a usable frame with its motion, None for the first."""
        if later_T_earlier is None:
            self._poses = [np.eye(4) for _ in range(self._missing + 1)]
        else:
            last, motion = self._poses[-1], invert(later_T_earlier)
            steps = self._missing + 1
            self._poses += [last @ part_of_motion(motion, k / steps) for k in range(1, steps)]
            self._poses.append(last @ motion)
        self._estimated += [False] * self._missing + [True]
        self._missing = 0

    def miss(self) -> None:
        """Add an unusable frame."""
        self._missing += 1

    @property
    def poses(self) -> Transforms:
        """``world_T_cam``, re-orthonormalised."""
        path = [*self._poses, *self._poses[-1:] * self._missing]
        poses = np.array(path, dtype=np.float64).reshape(-1, 4, 4)
        # Products of thousands of float32s drift, so each is replaced by the nearest rotation.
        U, _, Vt = np.linalg.svd(poses[:, :3, :3])
        poses[:, :3, :3] = U @ Vt
        return poses

    @property
    def estimated(self) -> Bool[np.ndarray, "n"]:
        """Mask of usable frames."""
        return np.array(self._estimated + [False] * self._missing, dtype=bool)


def part_of_motion(motion: Transform, share: float) -> Transform:
    """First ``share`` of a motion, straight and of constant rotation speed."""
    turn = axis_angle_from_rotation(motion[:3, :3])
    return rigid(rotation_from_axis_angle(share * turn), share * motion[:3, 3])


@frozen
class Walk:
    """Results of a whole clip; ``parts`` are unbroken."""

    chain: Chain
    frames: tuple[ClipFrame, ...]
    metric: bool
    parts: Int64[np.ndarray, "n"] | None = None
    notes: tuple[str, ...] = ()
