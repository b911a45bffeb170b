"""Batches of a run, each of which depends on the seed and its own number alone."""

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
from rilievo.training.video.frames.target_frames import VideoTargetFrames
from rilievo.training.video.frames.video_batches import Batch, OneViews, augmented, collate
from rilievo.training.video.video_config import VideoAugmentation

AHEAD = 2
"""Number of prefetched batches."""


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
    """Yield batches without end, numbered from ``start_step`` through all epochs.

    ``stride`` is the number of processes, each of which starts at its rank; ``workers`` are
    threads.
    """
    if len(frames) < batch_size:
        raise InputError(
            f"{len(frames)} targets are fewer than a batch of {batch_size}: take a smaller batch, "
            "or more footage"
        )
    epoch_batches = len(frames) // batch_size

    def draw(step: int, slot: int) -> OneViews:
        epoch, place = divmod(step, epoch_batches)
        index = int(_epoch_order(len(frames), seed, epoch)[place * batch_size + slot])
        views, rng = frames.views_of(index), np.random.default_rng([seed, step, slot])
        return views if augmentation is None else augmented(views, augmentation, rng)

    with closing(_draw_in_order(draw, batch_size, start_step, stride, workers)) as drawn:
        for step, views in drawn:
            yield Batch(
                step=step,
                epoch=step // epoch_batches,
                views=collate(views, device),
                ids=tuple(view.id for view in views),
            )


def _draw_in_order(
    draw: Callable[[int, int], OneViews], size: int, start: int, stride: int, workers: int
) -> Generator[tuple[int, list[OneViews]], None, None]:
    """Yield steps with their samples, drawn ahead by workers."""
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
def _epoch_order(count: int, seed: int, epoch: int) -> Indices:
    return np.random.default_rng([seed, epoch]).permutation(count)
