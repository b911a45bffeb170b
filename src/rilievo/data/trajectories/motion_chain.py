"""Motions chained into a trajectory."""

import numpy as np

from rilievo.arrays.shapes import Bool, Transform, Transforms
from rilievo.geometry.transforms import (
    axis_angle_from_rotation,
    invert,
    rigid,
    rotation_from_axis_angle,
)


class Chain:
    """Trajectory that grows frame by frame; unusable frames are interpolated."""

    def __init__(self) -> None:
        self._poses: list[Transform] = []
        self._estimated: list[bool] = []
        self._missing = 0

    def add_usable_frame(self, later_T_earlier: Transform | None) -> None:
        """Append its motion, None for the first; interpolate unusable ones before."""
        if later_T_earlier is None:
            self._poses = [np.eye(4) for _ in range(self._missing + 1)]
        else:
            last, motion = self._poses[-1], invert(later_T_earlier)
            steps = self._missing + 1
            self._poses += [last @ part_of_motion(motion, k / steps) for k in range(1, steps)]
            self._poses.append(last @ motion)
        self._estimated += [False] * self._missing + [True]
        self._missing = 0

    def add_unusable_frame(self) -> None:
        """Add a frame whose pose is interpolated."""
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
