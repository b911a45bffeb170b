"""Motion along a clip of a camera that slides past two walls, with cuts and wrong scales."""

import numpy as np

from rilievo.data.motion.clip_motion import ClipMotion, ClipTracker
from rilievo.geometry.transforms import invert
from support.footage import FOCAL, SHAPE, view

K = np.array([[FOCAL, 0, 47.5], [0, FOCAL, 31.5], [0, 0, 1]])
UNIT = 0.1
"""Travel per pixel of the backdrop's motion at a depth of 8."""


def walls() -> np.ndarray:
    depth = np.full(SHAPE, 8.0)
    depth[SHAPE[0] // 2 :] = 4.0
    return depth


def clip_motion(frames: list[np.ndarray], depths: list[np.ndarray], K: np.ndarray) -> ClipMotion:
    tracker = ClipTracker(K)
    for frame, depth in zip(frames, depths, strict=True):
        tracker.add(frame, depth)
    return tracker.motion()


def test_a_path_past_two_walls_is_found() -> None:
    places = list(range(0, 40, 2))
    motion = clip_motion([view(x) for x in places], [walls()] * len(places), K)
    positions = invert(motion.cam_T_world)[:, :3, 3]
    np.testing.assert_allclose(positions[:, 0], UNIT * np.array(places), atol=0.12)
    np.testing.assert_allclose(positions[:, 1:], 0, atol=0.2)
    assert motion.cuts == ()
    assert len({frame.key_index for frame in motion.frames}) < len(places)
    assert all(each.pair.is_direction_known for each in motion.frames[1:])


def test_scales_of_neighbouring_depth_maps_are_brought_together() -> None:
    """Every second map is too large by a tenth; the pull to its own scale halves nothing."""
    places = list(range(0, 64, 8))
    sizes = np.where(np.arange(len(places)) % 2, 1.1, 1.0)
    found = clip_motion([view(x) for x in places], [walls() * size for size in sizes], K)
    agreed = found.scales * sizes
    assert np.abs(np.log(agreed / agreed[0])).max() < 0.02
    steps = np.diff(invert(found.cam_T_world)[:, 0, 3]) / agreed[0]
    np.testing.assert_allclose(steps, 8 * UNIT, rtol=0.1)


def test_a_cut_begins_a_new_part_where_the_last_one_ended() -> None:
    frames = [view(x) for x in (0, 3, 6)] + [view(x, seed=50) for x in (0, 3, 6)]
    found = clip_motion(frames, [walls()] * 6, K)
    assert found.cuts == (3,)
    assert found.parts.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(found.cam_T_world[3], found.cam_T_world[2])
    np.testing.assert_allclose(invert(found.cam_T_world)[5, 0, 3], 12 * UNIT, atol=0.15)


def test_a_still_camera_and_blank_frames_have_no_motion() -> None:
    still = clip_motion([view(0)] * 5, [walls()] * 5, K)
    np.testing.assert_allclose(still.cam_T_world, np.tile(np.eye(4), (5, 1, 1)), atol=1e-6)
    blank = clip_motion([np.full((*SHAPE, 3), 90, np.uint8)] * 3, [walls()] * 3, K)
    assert not any(frame.pair.is_known for frame in blank.frames)
    assert blank.cuts == (1, 2)
