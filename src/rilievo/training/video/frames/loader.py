"""Batches of a run, each of which depends on the seed and its own number alone.

So a killed run resumes with the batches that it would have seen, whatever the number of threads.
Threads suffice: Pillow and the compiled kernels release the GIL.
"""

import itertools
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import lru_cache

import numpy as np
import torch

from rilievo.errors import InputError
from rilievo.training.arrays import Indices
from rilievo.training.video.config.video_config import VideoAugmentation
from rilievo.training.video.frames.target_frames import VideoTargetFrames
from rilievo.training.video.frames.video_batches import Batch, OneViews, augmented, collate

AHEAD = 2
"""Number of batches that are prefetched while one is used."""


def batches(
    frames: VideoTargetFrames,
    *,
    seed: int,
    batch_size: int,
    start_step: int = 0,
    stride: int = 1,
    workers: int = 0,
    augmentation: VideoAugmentation | None = None,
    device: torch.device | str = "cpu",
) -> Generator[Batch, None, None]:
    """Yield batches without end, numbered through all epochs.

    Every epoch goes through all targets in an order of its own; a remainder that does not fill a
    batch is left out.

    Args:
        frames: Targets to draw from.
        seed: Seed of the run.
        batch_size: Targets per batch.
        start_step: Number of the first batch.
        stride: Difference between the numbers of successive batches: the number of processes, each
            of which starts at its own rank.
        workers: Threads that prefetch batches; 0 makes each batch when it is requested.
        augmentation: Augmentation of samples; None for no changes.
        device: Device of the tensors.
    """
    if len(frames) < batch_size:
        raise InputError(
            f"{len(frames)} targets are fewer than a batch of {batch_size}: take a smaller batch, "
            "or more footage"
        )
    epoch_batches = len(frames) // batch_size

    def draw(step: int, slot: int) -> OneViews:
        epoch, place = divmod(step, epoch_batches)
        index = int(_order(len(frames), seed, epoch)[place * batch_size + slot])
        views, rng = frames.views_of(index), np.random.default_rng([seed, step, slot])
        return views if augmentation is None else augmented(views, augmentation, rng)

    with closing(_numbered(draw, batch_size, start_step, stride, workers)) as drawn:
        for step, views in drawn:
            yield Batch(
                step=step,
                epoch=step // epoch_batches,
                views=collate(views, device),
                ids=tuple(view.id for view in views),
            )


def _numbered(
    draw: Callable[[int, int], OneViews], size: int, start: int, stride: int, workers: int
) -> Generator[tuple[int, list[OneViews]], None, None]:
    """Yield the number and the targets of each batch, prefetched by threads if there are any."""
    if not workers:
        for step in itertools.count(start, stride):
            yield step, [draw(step, slot) for slot in range(size)]
    with ThreadPoolExecutor(workers, "frames") as pool:
        waiting: deque[list[Future[OneViews]]] = deque()
        try:
            for step in itertools.count(start, stride):
                while len(waiting) <= AHEAD:
                    ahead = step + stride * len(waiting)
                    waiting.append([pool.submit(draw, ahead, slot) for slot in range(size)])
                yield step, [future.result() for future in waiting.popleft()]
        finally:
            pool.shutdown(cancel_futures=True)


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> Indices:
    """Order in which an epoch sees the targets."""
    return np.random.default_rng([seed, epoch]).permutation(count)
