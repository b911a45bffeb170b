"""Frames in order with their camera and poses."""

import numpy as np
import pytest

from rilievo.data.clips.sequence_camera import SequenceCamera
from rilievo.data.clips.sequences import Clip
from rilievo.geometry.cameras.camera import Camera

K = np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]])


def along(x: float) -> np.ndarray:
    pose = np.eye(4)
    pose[0, 3] = x
    return pose


def clip(poses: np.ndarray | None = None) -> Clip:
    return Clip(id="walk", shape=(480, 640), camera=SequenceCamera(camera=Camera(K=K)), poses=poses)


def test_motion_takes_points_of_the_target_to_the_source() -> None:
    walk = clip(np.stack([along(0), along(0.5), np.full((4, 4), np.nan)]))
    found = walk.motion(source=1, target=0)
    assert found is not None
    np.testing.assert_array_equal(found @ [0, 0, 3, 1], [-0.5, 0, 3, 1])
    assert walk.motion(source=2, target=0) is None
    assert clip().motion(source=1, target=0) is None


@pytest.mark.parametrize("size", [(240, 320), (480, 640)])
def test_intrinsics_follow_the_size(size: tuple[int, int]) -> None:
    share = size[1] / 640
    at = clip().K_at(size)
    assert (at[0, 0], at[0, 2]) == (500 * share, (319.5 + 0.5) * share - 0.5)
