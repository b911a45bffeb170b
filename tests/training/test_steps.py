"""Steps of depth: found where surfaces end, not where one is seen at a grazing angle."""

from dataclasses import replace

import numpy as np
import pytest

from rilievo.training.distil.frames.augment import crop
from rilievo.training.distil.frames.depth_steps import steps_of
from rilievo.training.distil.frames.frame_batches import collate
from rilievo.training.distil.frames.training_frames import Frame

HEIGHT, WIDTH, FOCAL = 96, 128, 100.0


def floor_and_wall(eye: float, wall: float) -> Frame:
    """A floor ``eye`` metres below the camera, up to a wall ``wall`` metres ahead."""
    cx, cy = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
    down = (np.arange(HEIGHT) - cy) / FOCAL
    with np.errstate(divide="ignore"):
        floor = np.where(down > 0, eye / np.maximum(down, 1e-9), np.inf)
    depth = np.minimum(floor, wall)[:, None].repeat(WIDTH, axis=1).astype(np.float32)
    is_floor = (floor < wall)[:, None].repeat(WIDTH, axis=1)
    normals = np.zeros((3, HEIGHT, WIDTH), np.int8)
    normals[1], normals[2] = np.where(is_floor, -127, 0), np.where(is_floor, 0, -127)
    whole = np.ones((HEIGHT, WIDTH), bool)
    return Frame(
        image=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        log_depth=np.log(depth),
        valid=whole,
        sky=~whole,
        normals=normals,
        normals_valid=whole,
        camera=(FOCAL, FOCAL, cx, cy),
        is_rendered=True,
    )


def with_box(frame: Frame, metres: float) -> Frame:
    """The frame with a board that faces the camera before its middle."""
    log_depth, normals = frame.log_depth.copy(), frame.normals.copy()
    log_depth[40:60, 50:80] = np.log(metres)
    normals[:, 40:60, 50:80] = np.array([0, 0, -127], np.int8)[:, None, None]
    return replace(frame, log_depth=log_depth, normals=normals)


@pytest.mark.parametrize(("eye", "wall"), [(1.5, 5.0), (0.25, 8.0), (1.5, 150.0)])
@pytest.mark.parametrize("scale", [1.0, 0.55])
def test_a_floor_that_meets_a_wall_has_none_however_far_it_runs(
    eye: float, wall: float, scale: float
) -> None:
    frame = floor_and_wall(eye, wall)
    assert np.abs(np.diff(frame.log_depth, axis=0)).max() > 0.03
    seen = crop(frame, (64, 96), scale=scale)
    assert steps_of(frame).mean() < 0.02, "but for the row at the horizon"
    assert steps_of(seen).mean() < 0.02
    if wall < 100:
        assert not steps_of(frame).any()


def test_both_sides_of_an_outline_are_steps_and_nothing_else() -> None:
    found = steps_of(with_box(floor_and_wall(1.5, 5.0), 1.0))
    outline = np.zeros_like(found)
    outline[39:61, 49:81] = True
    outline[41:59, 51:79] = False
    outline[[39, 39, 60, 60], [49, 80, 49, 80]] = False
    np.testing.assert_array_equal(found, outline)


def test_a_difference_below_a_tenth_is_none() -> None:
    wall = floor_and_wall(1.5, 5.0)
    assert not steps_of(with_box(wall, 5.0 / 1.08))[42:58].any()
    assert steps_of(with_box(wall, 5.0 / 1.12)).any()


def test_only_rendered_frames_are_marked() -> None:
    frame = with_box(floor_and_wall(1.5, 5.0), 1.0)
    batch = collate([frame, replace(frame, is_rendered=False)])
    assert batch.steps[0].any()
    assert batch.marked[0].all()
    assert not batch.steps[1].any()
    assert not batch.marked[1].any()


def test_sky_behind_a_roof_is_a_step() -> None:
    frame = floor_and_wall(1.5, 5.0)
    sky = np.zeros((HEIGHT, WIDTH), bool)
    sky[:10] = True
    log_depth = np.where(sky, np.float32(np.log(10.0)), frame.log_depth)
    normals = np.where(sky, np.int8(0), frame.normals)
    found = steps_of(
        replace(
            frame, sky=sky, valid=~sky, log_depth=log_depth, normals=normals, normals_valid=~sky
        )
    )
    assert found[9:11].all()
    assert not found[:9].any()
    assert not found[11:].any()
