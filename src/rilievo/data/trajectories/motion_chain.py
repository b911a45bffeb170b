"""Motions between frames, joined into a trajectory."""

import numpy as np

from rilievo.arrays.shapes import Bool, Transform, Transforms
from rilievo.geometry.transforms import (
    axis_angle_from_rotation,
    invert,
    rigid,
    rotation_from_axis_angle,
)


class MotionChain:
    """Trajectory that grows frame by frame.

    The world is the camera of the first usable frame. Frames that cannot be used are interpolated
    between their usable neighbours, or stand still before the first and after the last.
    """

    def __init__(self) -> None:
        self._poses: list[Transform] = []
        self._is_usable: list[bool] = []
        self._waiting = 0  # unusable frames since the last usable one

    def add_usable_frame(self, later_T_earlier: Transform | None) -> None:
        """Append a frame, and interpolate the unusable ones before it.

        Args:
            later_T_earlier: Motion from the usable frame before; None for the first usable frame.
        """
        if later_T_earlier is None:
            self._poses = [np.eye(4) for _ in range(self._waiting + 1)]
        else:
            last_pose = self._poses[-1]
            motion = invert(later_T_earlier)
            steps = self._waiting + 1
            for step in range(1, steps):
                self._poses.append(last_pose @ part_of_motion(motion, step / steps))
            self._poses.append(last_pose @ motion)
        self._is_usable += [False] * self._waiting + [True]
        self._waiting = 0

    def add_unusable_frame(self) -> None:
        """Append a frame whose pose is interpolated."""
        self._waiting += 1

    @property
    def poses(self) -> Transforms:
        """Poses ``world_T_cam`` of all frames, whose rotations are orthonormal."""
        path = self._poses + self._poses[-1:] * self._waiting
        poses = np.array(path, dtype=np.float64).reshape(-1, 4, 4)
        # Products of thousands of float32s drift, so each is replaced by the nearest rotation.
        U, _, Vt = np.linalg.svd(poses[:, :3, :3])
        poses[:, :3, :3] = U @ Vt
        return poses

    @property
    def estimated(self) -> Bool[np.ndarray, "n"]:
        """Mask of the frames that are usable and not interpolated."""
        return np.array(self._is_usable + [False] * self._waiting, dtype=bool)


def part_of_motion(motion: Transform, fraction: float) -> Transform:
    """First part of a motion that goes straight and turns at a constant speed."""
    axis_angle = axis_angle_from_rotation(motion[:3, :3])
    return rigid(rotation_from_axis_angle(fraction * axis_angle), fraction * motion[:3, 3])
