from pathlib import Path

import numpy as np
import pytest
import torch

from rilievo.data.clips.footage import VideoData
from rilievo.errors import InputError
from rilievo.training.video.frames.target_frames import (
    PREFETCHED_BATCHES,
    Batch,
    VideoTargetFrames,
    batches,
)
from rilievo.training.video.frames.video_frames import open_frames
from rilievo.training.video.video_config import VideoAugmentation
from support.footage import write_frames

SIZE = (32, 64)


@pytest.fixture
def frames(tmp_path: Path) -> VideoTargetFrames:
    write_frames(tmp_path / "clip", list(range(0, 45, 3)))
    data = VideoData(
        roots=(str(tmp_path / "clip"),), fov=60.0, stride=1, held_out=0.0, least_motion=0.0
    )
    return open_frames(data, size=SIZE, offsets=(-1, 1), cache=tmp_path / "kept").training


def some(frames: VideoTargetFrames, count: int, **more: object) -> list[Batch]:
    options = {"seed": 0, "batch_size": 4, "augmentation": VideoAugmentation(), **more}
    given = batches(frames, **options)  # pyright: ignore[reportArgumentType]
    taken = [next(given) for _ in range(count)]
    given.close()  # pyright: ignore[reportAttributeAccessIssue]
    return taken


def assert_same(first: Batch, second: Batch) -> None:
    assert (first.step, first.ids) == (second.step, second.ids)
    assert torch.equal(first.views.target, second.views.target)
    for a, b in zip(first.views.sources_seen, second.views.sources_seen, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(first.views.K, second.views.K)


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_do_not_hang_on_the_number_of_threads(
    frames: VideoTargetFrames, workers: int
) -> None:
    for first, second in zip(some(frames, 8), some(frames, 8, workers=workers), strict=True):
        assert_same(first, second)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_with_the_batches_it_would_have_seen(
    frames: VideoTargetFrames, workers: int
) -> None:
    whole = some(frames, 8)
    for first, second in zip(
        whole[5:], some(frames, 3, start_step=5, workers=workers), strict=True
    ):
        assert_same(first, second)


@pytest.mark.slow
def test_processes_share_the_batches_of_one(frames: VideoTargetFrames) -> None:
    whole = some(frames, 6)
    for rank in range(2):
        own = some(frames, 3, start_step=rank, stride=2, workers=rank)
        for first, second in zip(whole[rank::2], own, strict=True):
            assert_same(first, second)


def test_every_epoch_sees_each_target_once_in_an_order_of_its_own(
    frames: VideoTargetFrames,
) -> None:
    assert len(frames) == 13
    given = some(frames, 6)
    epochs = [[id for batch in given[k : k + 3] for id in batch.ids] for k in (0, 3)]
    for ids in epochs:
        assert len(set(ids)) == 12
        assert set(ids) <= set(frames.ids)
    assert epochs[0] != epochs[1]
    assert [batch.epoch for batch in given] == [0, 0, 0, 1, 1, 1]
    assert [batch.step for batch in given] == list(range(6))


def test_a_target_is_changed_anew_in_every_epoch(frames: VideoTargetFrames) -> None:
    colours = VideoAugmentation(flip=0.0, jitter=1.0)
    first, second = some(frames, 2, batch_size=13, augmentation=colours)
    places = [second.ids.index(id) for id in first.ids]
    assert torch.equal(first.views.target, second.views.target[places])
    before, after = first.views.target_seen, second.views.target_seen[places]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_another_seed_gives_other_batches(frames: VideoTargetFrames) -> None:
    assert some(frames, 1)[0].ids != some(frames, 1, seed=1)[0].ids


def test_threads_do_not_run_far_ahead(
    frames: VideoTargetFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    read_sample = frames.read_sample

    def counted(index: int) -> object:
        asked.append(index)
        return read_sample(index)

    monkeypatch.setattr(frames, "read_sample", counted)
    given = batches(frames, seed=0, batch_size=4, workers=2)
    next(given)
    given.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert len(asked) <= 4 * (PREFETCHED_BATCHES + 1)


def test_batches_that_cannot_be_are_refused(frames: VideoTargetFrames) -> None:
    with pytest.raises(
        InputError, match="13 target frames to train on, fewer than the batch size of 14"
    ):
        some(frames, 1, batch_size=14)


def test_without_augmentation_frames_come_as_they_are(frames: VideoTargetFrames) -> None:
    [batch] = some(frames, 1, augmentation=None)
    assert batch.views.target_seen is batch.views.target
    index = frames.ids.index(batch.ids[0])
    expected = frames.read_sample(index).frames[0] / np.float32(255)
    np.testing.assert_array_equal(batch.views.target[0].permute(1, 2, 0), expected)
