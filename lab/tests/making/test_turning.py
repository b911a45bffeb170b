"""Turned cameras: image, depth, normals and camera of a frame turn together, exactly."""

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float

from lab.making.distil.frames.augment import augment
from lab.making.distil.frames.training_frames import Camera, Frame
from lab.making.recipe_frames import TurnedWindow
from lab.making.turning import seen_by, turned, window
from rilievo.geometry.transforms import rotation_from_axis_angle
from rilievo.records.depth_map import DepthKind

CAMERA = (210.0, 214.0, 120.0, 101.0)
NORMAL, OFFSET = np.array([0.3, -0.5, -0.81]) / np.linalg.norm([0.3, -0.5, -0.81]), -2.5
SHAPES = [(96, 128), (128, 96), (64, 192)]


def rays(camera: Camera, shape: tuple[int, int]) -> Float[np.ndarray, "3 h w"]:
    fx, fy, cx, cy = camera
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.stack([(columns - cx) / fx, (rows - cy) / fy, np.ones(shape)])


def plane(shape: tuple[int, int] = (192, 256)) -> Frame:
    """One plane n X = d; red tells the column, green the row."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    depth = OFFSET / np.tensordot(NORMAL, rays(CAMERA, shape), 1)
    assert (depth > 0).all()
    full = np.ones(shape, bool)
    return Frame(
        image=np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8),
        log_depth=np.log(depth).astype(np.float32),
        valid=full,
        sky=~full,
        normals=np.rint(127 * NORMAL)
        .astype(np.int8)[:, None, None]
        .repeat(shape[0], 1)
        .repeat(shape[1], 2),
        normals_valid=full,
        camera=CAMERA,
    )


def test_a_camera_that_does_not_turn_sees_the_frame_itself() -> None:
    frame = plane()
    same = seen_by(frame, np.eye(3), CAMERA, (192, 256))
    for name in ("image", "log_depth", "valid", "sky", "normals", "normals_valid"):
        np.testing.assert_array_equal(getattr(same, name), getattr(frame, name), err_msg=name)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("angles", [(0, 0, 0.25), (0.12, 0, 0), (0, -0.12, 0), (0.1, 0.08, -0.2)])
def test_a_turned_camera_sees_the_turned_plane(
    shape: tuple[int, int], angles: tuple[float, float, float]
) -> None:
    frame, R = plane(), rotation_from_axis_angle(np.array(angles))
    camera = window(frame, R, shape, scale=0.9, shift=(0.2, -0.4))
    seen = seen_by(frame, R, camera, shape)
    new = rays(camera, shape)
    depth = OFFSET / np.tensordot(R @ NORMAL, new, 1)
    # Half a pixel of the frame is 0.3% of depth here; the turn itself up to 20%.
    np.testing.assert_allclose(seen.log_depth, np.log(depth), atol=5e-3)
    np.testing.assert_allclose(seen.normals[:, 5, 5] / 127, R @ NORMAL, atol=0.01)
    back = np.einsum("ji,jhw->ihw", R, new)
    columns = back[0] / back[2] * CAMERA[0] + CAMERA[2]
    rows = back[1] / back[2] * CAMERA[1] + CAMERA[3]
    assert np.abs(seen.image[..., 0] - columns).max() < 1.5
    assert np.abs(seen.image[..., 1] - rows).max() < 1.5


def test_no_window_of_a_turned_camera_looks_out_of_the_frame() -> None:
    frame, tightest = plane(), []
    for seed in range(120):
        random = np.random.default_rng(seed)
        shape = SHAPES[seed % 3]
        seen = turned(frame, shape, random)
        assert seen.valid.all()
        assert seen.image.shape == (*shape, 3)
        R = rotation_from_axis_angle(np.array([0.1, 0.05, 0.2]))
        camera = window(frame, R, shape)
        wider = (0.97 * camera[0], 0.97 * camera[1], *camera[2:])
        tightest.append(seen_by(frame, R, wider, shape).valid.all())
    assert not any(tightest), "no larger field of view fits"


def test_a_telephoto_lens_turns_less() -> None:
    narrow = replace(plane(), camera=(4000.0, 4000.0, *CAMERA[2:]))
    random = np.random.default_rng(4)
    for _ in range(200):
        seen = turned(narrow, (96, 128), random)
        assert seen.camera[0] > 0
        assert seen.valid.all()


def test_turning_back_gives_the_frame_again() -> None:
    frame, R = plane(), rotation_from_axis_angle(np.array([0.05, -0.08, 0.3]))
    wide = (150.0, 150.0, 200.0, 160.0)
    again = seen_by(seen_by(frame, R, wide, (320, 400)), R.T, CAMERA, (192, 256))
    inner = (slice(3, -3), slice(3, -3))
    assert again.valid[inner].all()
    np.testing.assert_allclose(again.log_depth[inner], frame.log_depth[inner], atol=0.02)
    np.testing.assert_allclose(again.normals, frame.normals, atol=2)


def test_a_normal_that_was_rounded_up_does_not_wrap_around() -> None:
    stored = np.array([7.0, 127.0, -9.0])  # of length 127.51
    axis = np.cross(stored, [0, 1, 0])
    R = rotation_from_axis_angle(axis / np.linalg.norm(axis) * np.arccos(127 / 127.5108))
    normals = np.tile(stored.astype(np.int8)[:, None, None], (1, 192, 256))
    seen = seen_by(replace(plane(), normals=normals), R, CAMERA, (64, 64))
    np.testing.assert_array_equal(seen.normals[:, 0, 0], [0, 127, 0])


@pytest.mark.parametrize("kind", [DepthKind.UP_TO_SCALE, DepthKind.AFFINE_INVERSE])
def test_a_frame_without_a_camera_only_rolls(kind: DepthKind) -> None:
    frame = replace(plane(), camera=(np.nan, np.nan, 127.5, 95.5), kind=kind)
    seen = turned(frame, (96, 128), np.random.default_rng(1))
    assert np.isnan(seen.camera[:2]).all()
    assert np.isin(seen.log_depth, frame.log_depth).all()
    np.testing.assert_allclose(seen.normals[2], frame.normals[2, 0, 0], atol=1)
    assert abs(int(seen.normals[0, 0, 0]) - int(frame.normals[0, 0, 0])) > 2


def test_holes_and_sky_turn_with_the_image() -> None:
    frame = plane()
    sky = np.zeros((192, 256), bool)
    sky[:60, 100:] = True
    image = np.where(sky[..., None], 255, 0).astype(np.uint8).repeat(3, axis=-1)
    seen = turned(
        replace(frame, image=image, sky=sky, valid=~sky), (96, 128), np.random.default_rng(4)
    )
    assert 0.02 < seen.sky.mean() < 0.5
    np.testing.assert_array_equal(seen.sky, ~seen.valid)
    assert ((seen.image[..., 0] > 127) == seen.sky).mean() > 0.98


def test_the_share_of_turned_crops_is_the_one_asked_for() -> None:
    frame, sometimes = plane(), TurnedWindow(share=0.3)
    # A crop keeps the ratio of the focal lengths; a turned camera has square pixels.
    cameras = [
        augment(frame, (96, 128), np.random.default_rng(seed), window=sometimes).camera
        for seed in range(200)
    ]
    square = [camera[0] == camera[1] for camera in cameras]
    assert np.mean(square) == pytest.approx(0.3, abs=0.1)
