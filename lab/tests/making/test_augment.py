"""Augmentation: what is seen and what is true stay together; batches come in many shapes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lab.making.distil.distil_config import Stage
from lab.making.distil.frames.augment import augment, batch_shape, crop, degrade, sky_filled
from lab.making.distil.frames.frame_batches import (
    Batch,
    Mix,
    batches_ahead,
    collate,
    make_batch,
)
from lab.making.distil.frames.training_frames import FARTHEST, Frame
from rilievo.errors import OptionError

STAGE = Stage(until=1.0, areas=(2048,))


def frame_of(height: int = 48, width: int = 64) -> Frame:
    """Red tells the column, green the row; log depth is the column, normals point to the right."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([columns, rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    normals = np.zeros((3, height, width), np.int8)
    normals[0], normals[2] = 60, -112
    return Frame(
        image=image,
        log_depth=columns.astype(np.float32),
        valid=np.ones((height, width), bool),
        sky=np.zeros((height, width), bool),
        normals=normals,
        normals_valid=np.ones((height, width), bool),
        camera=(50.0, 52.0, 30.0, 25.0),
    )


@pytest.mark.parametrize("shape", [(32, 64), (64, 32), (96, 96)])
def test_a_crops_camera_sees_its_pixels_where_the_frames_camera_does(
    shape: tuple[int, int],
) -> None:
    frame = frame_of(96, 128)
    cut = crop(frame, shape, scale=0.7, shift=(0.3, -0.2))
    fx, _, cx, _ = frame.camera
    sx, _, mx, _ = cut.camera
    # Log depth is the column it comes from; picked at the nearest pixel.
    columns = (np.arange(shape[1]) - mx) / sx * fx + cx
    assert np.abs(columns - cut.log_depth[0]).max() <= 0.51


class OneFrame:
    def draw(self, random: np.random.Generator) -> Frame:
        return frame_of()

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("shape", [(32, 64), (64, 32), (96, 96), (24, 32)])
@pytest.mark.parametrize("scale", [0.6, 1.0])
def test_a_crop_keeps_image_and_targets_on_each_other(shape: tuple[int, int], scale: float) -> None:
    cut = crop(frame_of(), shape, scale=scale, shift=(0.1, -0.2))
    assert cut.image.shape == (*shape, 3)
    assert cut.log_depth.shape == shape
    # Red is the source's column, and so is log depth: within a source pixel of each other.
    assert np.abs(cut.image[..., 0].astype(float) - cut.log_depth).max() <= 1.0
    across = np.diff(cut.image[shape[0] // 2, :, 0].astype(float)).mean()
    down = np.diff(cut.image[:, shape[1] // 2, 1].astype(float)).mean()
    assert across == pytest.approx(down, rel=0.2), "the aspect of pixels is kept"


def test_augmentation_is_a_function_of_the_generators_state() -> None:
    first = augment(frame_of(), (32, 64), np.random.default_rng(3))
    again = augment(frame_of(), (32, 64), np.random.default_rng(3))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.log_depth, again.log_depth)


def test_mirroring_turns_the_normals_too() -> None:
    signs = set()
    for seed in range(20):
        frame = augment(frame_of(), (32, 64), np.random.default_rng(seed))
        rising = frame.log_depth[0, -1] > frame.log_depth[0, 0]
        assert (frame.normals[0] == (60 if rising else -60)).all()
        signs.add(rising)
    assert signs == {True, False}


def test_sky_lies_at_twice_the_farthest_surface() -> None:
    log_depth = np.array([[0.0, np.log(8), 99.0]], np.float32)
    valid, sky = np.array([[True, True, False]]), np.array([[False, False, True]])
    np.testing.assert_allclose(np.exp(sky_filled(log_depth, valid, sky)), [[1, 8, 16]], rtol=1e-5)
    only_sky = sky_filled(log_depth, np.zeros((1, 3), bool), np.ones((1, 3), bool))
    np.testing.assert_allclose(np.exp(only_sky), 2 * FARTHEST, rtol=1e-5)


def test_degrading_keeps_shape_and_changes_something_every_time() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    changed = [degrade(image, np.random.default_rng(seed)) for seed in range(30)]
    assert all(result.shape == image.shape and result.dtype == np.uint8 for result in changed)
    assert sum(not np.array_equal(result, image) for result in changed) > 25


@pytest.mark.parametrize("area", [24576, 49152])
def test_batches_have_sides_of_32_and_about_the_area(area: int) -> None:
    stage = Stage(until=1.0, areas=(area,))
    shapes = {batch_shape(stage, np.random.default_rng(seed)) for seed in range(200)}
    assert len(shapes) >= 5
    assert any(height > width for height, width in shapes)
    for height, width in shapes:
        assert height % 32 == 0
        assert width % 32 == 0
        assert height * width == pytest.approx(area, rel=0.2)


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    mix = Mix(source=OneFrame(), stage=STAGE, size=2)
    batch = make_batch(mix, seed=1, number=7)
    again = make_batch(mix, seed=1, number=7)
    other = make_batch(mix, seed=1, number=8)
    assert (batch.image == again.image).all()
    assert batch.image.shape != other.image.shape or (batch.image != other.image).any()


def test_areas_come_in_the_shares_of_the_stage() -> None:
    stage = Stage(until=1.0, areas=(2048, 8192), shares=(0.75, 0.25))
    mix = Mix(source=OneFrame(), stage=stage, size=2)
    batches = [make_batch(mix, seed=1, number=number) for number in range(80)]
    large = [batch.valid[0].numel() > 4096 for batch in batches]
    assert np.mean(large) == pytest.approx(0.25, abs=0.12)
    with pytest.raises(OptionError, match="each area has a share"):
        Stage(until=1.0, areas=(2048, 8192))


def test_frames_that_show_nothing_keep_their_depth() -> None:
    mix = Mix(source=OneFrame(), stage=STAGE, size=2)
    shown = make_batch(mix, seed=1, number=7)
    hidden = make_batch(replace(mix, blind=1.0), seed=1, number=7)
    assert not torch.equal(hidden.image[0], shown.image[0])
    torch.testing.assert_close(hidden.log_depth[0], shown.log_depth[0])


def test_batches_made_ahead_come_in_order_and_errors_reach_the_loop() -> None:
    def make(number: int) -> Batch:
        if number == 5:
            raise ZeroDivisionError("batch five")
        return replace(collate([frame_of()]), log_depth=torch.full((1, 48, 64), float(number)))

    with batches_ahead(make, first=3) as batches:
        numbers = [float(next(batches).log_depth[0, 0, 0]) for _ in range(2)]
        assert numbers == [3, 4]
        with pytest.raises(ZeroDivisionError, match="batch five"):
            next(batches)


def test_normals_are_unit_again_in_a_batch() -> None:
    batch = collate([frame_of()])
    assert batch.normals.shape == (1, 3, 48, 64)
    assert batch.normals.norm(dim=1).mean().item() == pytest.approx(1, abs=0.01)
