"""Frames of a dataset, their changed versions, and which of them a step sees."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rilievo.errors import InputError, OptionError
from rilievo.training.probe.probe_batches import (
    augment_frame,
    crop_and_enlarge,
    epoch_and_image_indices,
    epoch_order,
    mirror_frame,
    steps_per_epoch,
)
from rilievo.training.probe.probe_config import Augmentation, DataChoice
from rilievo.training.probe.probe_frames import ProbeFrame, open_frames, open_training_set
from support.probed_scenes import SIZE, scenes, small_config


def a_frame(seed: int = 0) -> ProbeFrame:
    random = np.random.default_rng(seed)
    normals = random.normal(size=(3, 12, 16))
    return ProbeFrame(
        image=random.integers(0, 256, (12, 16, 3), dtype=np.uint8),
        depth=random.uniform(1, 5, (12, 16)).astype(np.float32),
        normals=(normals / np.linalg.norm(normals, axis=0)).astype(np.float16),
    )


def test_a_mirror_turns_normals_round_and_twice_is_nothing() -> None:
    frame = a_frame()
    once, twice = mirror_frame(frame), mirror_frame(mirror_frame(frame))
    np.testing.assert_array_equal(once.normals[0, :, 0], -frame.normals[0, :, -1])
    np.testing.assert_array_equal(once.normals[1:, :, 0], frame.normals[1:, :, -1])
    np.testing.assert_array_equal(twice.image, frame.image)
    np.testing.assert_array_equal(twice.normals, frame.normals)


def test_a_crop_keeps_pixels_and_their_truth_together() -> None:
    depth = np.arange(192, dtype=np.float32).reshape(12, 16) + 1
    image = np.repeat(depth[..., None].astype(np.uint8), 3, axis=2)
    frame = replace(a_frame(), depth=depth, image=image)
    part = crop_and_enlarge(frame, window_fraction=0.5, window_position=(1.0, 0.0))
    np.testing.assert_array_equal(part.image[..., 0], part.depth.astype(np.uint8))
    assert part.depth.min() == depth[6, 0]
    assert part.depth.max() == depth[11, 7]


@given(seed=st.integers(0, 100), index=st.integers(0, 100), epoch=st.integers(0, 10))
def test_a_version_is_a_function_of_seed_image_and_number(
    seed: int, index: int, epoch: int
) -> None:
    options = Augmentation(flip=0.5, jitter=0.8, crop=0.5)
    one, other = (
        augment_frame(a_frame(), options, seed=seed, index=index, epoch=epoch) for _ in range(2)
    )
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.depth, other.depth)
    assert one.image.shape == (12, 16, 3)


@given(count=st.integers(1, 40), batch=st.integers(1, 9), epoch=st.integers(0, 3))
def test_every_epoch_sees_every_image_once(count: int, batch: int, epoch: int) -> None:
    steps = steps_per_epoch(count, batch)
    seen: list[int] = []
    for step in range(epoch * steps, (epoch + 1) * steps):
        step_epoch, indices = epoch_and_image_indices(
            step, count, batch_size=batch, seed=0, shuffle=True
        )
        assert step_epoch == epoch
        seen += indices
    assert sorted(seen) == list(range(count))


def test_without_shuffling_the_order_is_that_of_the_list() -> None:
    assert epoch_order(5, seed=3, epoch=2, shuffle=False).tolist() == [0, 1, 2, 3, 4]
    orders = {tuple(epoch_order(9, seed=3, epoch=epoch, shuffle=True)) for epoch in range(3)}
    assert len(orders) == 3


def test_a_frame_has_the_window_at_the_size_and_no_depth_beyond_the_largest(
    tmp_path: Path,
) -> None:
    config = small_config(scenes(tmp_path))
    blueprint = replace(config.blueprint, depth=replace(config.blueprint.depth, largest=2.0))
    data = replace(config.data, window=(8, 40, 0, 64), held_out=2)
    frames = open_frames(data, blueprint)
    assert (len(frames.training), len(frames.held_out)) == (4, 2)
    frame = frames.training.frame(1)
    assert frame.image.shape == (*SIZE, 3)
    assert frame.depth.max() <= 2.0
    length = np.linalg.norm(frame.normals.astype(np.float32), axis=0)
    np.testing.assert_allclose(length[length > 0], 1, atol=2e-3)


def test_depth_is_that_of_the_pixel_under_the_middle_of_the_new_one(tmp_path: Path) -> None:
    config = small_config(scenes(tmp_path))
    frames = open_frames(config.data, config.blueprint)
    id = frames.training.ids[0]
    true = np.load(tmp_path / "depth" / f"{id}.npy")
    np.testing.assert_array_equal(frames.training.frame(0).depth, true[1::2, 1::2])


def test_a_window_larger_than_the_image_is_refused(tmp_path: Path) -> None:
    config = small_config(scenes(tmp_path))
    data = replace(config.data, window=(0, 480, 0, 640))
    frames = open_frames(data, config.blueprint)
    with pytest.raises(InputError, match="has 64x48 pixels, so the window of rows"):
        frames.training.frame(0)


@pytest.mark.parametrize(("empty", "full"), [("normals", "depth"), ("depth", "normals")])
def test_an_empty_folder_beside_full_ones_is_named(tmp_path: Path, empty: str, full: str) -> None:
    for name in ("images", empty, full):
        (tmp_path / name).mkdir()
    for id in ("a", "b"):
        Image.new("RGB", (16, 12)).save(tmp_path / "images" / f"{id}.png")
        values = np.ones((12, 16) if full == "depth" else (12, 16, 3), np.float32)
        np.save(tmp_path / full / f"{id}.npy", values)
    with pytest.raises(InputError, match=f"'a' is missing: no {empty} at .*/{empty}/a"):
        open_training_set(DataChoice(dataset="folder", root=str(tmp_path)))


def test_holding_all_images_out_is_refused(tmp_path: Path) -> None:
    config = small_config(scenes(tmp_path))
    with pytest.raises(OptionError, match="of 6 images, the last 6 are to be held out"):
        open_frames(replace(config.data, held_out=6), config.blueprint)


@pytest.mark.parametrize("window", [(5, 5, 0, 9), (0, 9, 9, 5), (-1, 9, 0, 9)])
def test_a_window_out_of_order_is_refused(window: tuple[int, int, int, int]) -> None:
    with pytest.raises(OptionError, match="TOP < BOTTOM and 0 <= LEFT < RIGHT"):
        DataChoice(dataset="folder", window=window)
