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

    The world is the camera of the first usable frame. The poses of unusable frames are interpolated
    between the usable frames around them. Before the first and after the last usable frame, the
    camera stands still.
    """

    def __init__(self) -> None:
        self._poses: list[Transform] = []
        self._is_usable: list[bool] = []
        self._pending_count = 0  # unusable frames since the last usable one

    def add_usable_frame(self, later_T_earlier: Transform | None) -> None:
        """Append a frame, and interpolate the unusable ones before it.

        ``later_T_earlier`` is the motion from the previous usable frame, or None for the first one.
        """
        if later_T_earlier is None:
            self._poses = [np.eye(4) for _ in range(self._pending_count + 1)]
        else:
            last_pose = self._poses[-1]
            earlier_T_later = invert(later_T_earlier)
            steps = self._pending_count + 1
            for step in range(1, steps):
                self._poses.append(last_pose @ fraction_of_motion(earlier_T_later, step / steps))
            self._poses.append(last_pose @ earlier_T_later)
        self._is_usable += [False] * self._pending_count + [True]
        self._pending_count = 0

    def add_unusable_frame(self) -> None:
        """Append a frame whose pose is interpolated."""
        self._pending_count += 1

    @property
    def poses(self) -> Transforms:
        """Poses ``world_T_cam`` of all frames, whose rotations are orthonormal."""
        path = self._poses + self._poses[-1:] * self._pending_count
        poses = np.array(path, dtype=np.float64).reshape(-1, 4, 4)
        # Products of thousands of float32s drift, so each is replaced by the nearest rotation.
        U, _, Vt = np.linalg.svd(poses[:, :3, :3])
        poses[:, :3, :3] = U @ Vt
        return poses

    @property
    def estimated(self) -> Bool[np.ndarray, "n"]:
        """Mask of the frames that are usable and not interpolated."""
        return np.array(self._is_usable + [False] * self._pending_count, dtype=bool)


def fraction_of_motion(motion: Transform, fraction: float) -> Transform:
    """First part of a motion that goes straight and turns at a constant speed about one axis."""
    axis_angle = axis_angle_from_rotation(motion[:3, :3])
    return rigid(rotation_from_axis_angle(fraction * axis_angle), fraction * motion[:3, 3])
