"""Batches of a run, each of which depends on the seed and its own number alone.

So a killed run resumes with the batches that it would have seen, whatever the number of threads.
Threads suffice: Pillow and the compiled kernels release the GIL.
"""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Int64

from rilievo.errors import InputError, OptionError
from rilievo.train.video.batches import Batch, OneViews, collate
from rilievo.train.video.config import VideoAugmentation
from rilievo.train.video.frames import KeptFrames

AHEAD = 2
"""Number of batches that are prefetched while one is used."""


def batches(
    frames: KeptFrames,
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

    Raises:
        OptionError: If a number is out of range.
        InputError: If there are fewer targets than a batch has.
    """
    if min(batch_size, stride) < 1 or min(workers, start_step) < 0:
        raise OptionError(
            f"batch_size is at least 1 and workers at least 0, got {batch_size} and {workers}"
        )
    if len(frames) < batch_size:
        raise InputError(
            f"{len(frames)} targets are fewer than a batch of {batch_size}: take a smaller batch, "
            "or more footage"
        )
    plan = _Plan(frames, seed=seed, batch_size=batch_size, augmentation=augmentation)
    return _numbered(plan, start_step, stride, workers, device)


def _numbered(
    plan: "_Plan", start: int, stride: int, workers: int, device: torch.device | str
) -> Generator[Batch, None, None]:
    pool = ThreadPoolExecutor(workers, "frames") if workers else None
    waiting: deque[list[Future[OneViews]]] = deque()
    step = start
    try:
        while True:
            while pool is not None and len(waiting) <= AHEAD:
                number = step + stride * len(waiting)
                waiting.append([pool.submit(plan.draw, number, k) for k in range(plan.batch_size)])
            if pool is None:
                draws = [plan.draw(step, slot) for slot in range(plan.batch_size)]
            else:
                draws = [each.result() for each in waiting.popleft()]
            yield plan.batch(step, draws, device)
            step += stride
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


class _Plan:
    """Choice of the targets of each batch."""

    def __init__(
        self,
        frames: KeptFrames,
        *,
        seed: int,
        batch_size: int,
        augmentation: VideoAugmentation | None,
    ) -> None:
        self.frames, self.seed, self.batch_size = frames, seed, batch_size
        self.augmentation = augmentation
        self.epoch_batches = len(frames) // batch_size

    def draw(self, step: int, slot: int) -> OneViews:
        """Read one target of a batch."""
        epoch, place = divmod(step, self.epoch_batches)
        order = _order(len(self.frames), self.seed, epoch)
        index = int(order[place * self.batch_size + slot])
        rng = np.random.default_rng([self.seed, step, slot])
        return self.frames.views_of(index, rng=rng, augmentation=self.augmentation)

    def batch(self, step: int, views: list[OneViews], device: torch.device | str) -> Batch:
        return Batch(
            step=step,
            epoch=step // self.epoch_batches,
            views=collate(views, device),
            ids=tuple(each.id for each in views),
        )


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> Int64[np.ndarray, "n"]:
    """Order in which an epoch sees the targets."""
    return np.random.default_rng([seed, epoch]).permutation(count)
