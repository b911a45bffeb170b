"""Score many images in several processes, in order and in bounded memory."""

import ctypes
import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

from rilievo.arrays.shapes import Size
from rilievo.errors import RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.records import Unscored
from rilievo.evaluation.scoring.score import ScoreWithSums
from rilievo.io.files.machine import check_memory
from rilievo.system import signals

IMAGES_PER_TASK = 8
"""Number of images that a process scores before it returns their scores."""
BYTES_PER_PIXEL = 85
"""Memory for the score of a pixel of depth: maps in float64, and masks."""

ScoreFunction = Callable[[str], ScoreWithSums | Unscored]
"""Function that scores the image with an id, or says why it has no score."""
_WORKER_FUNCTION: list[ScoreFunction] = []
"""Function that scores an image; a scoring process receives it when it starts."""

# Parameters of mallopt, https://man7.org/linux/man-pages/man3/mallopt.3.html
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_REUSED_MEMORY = 1 << 25
"""Freed memory that a scoring process keeps for its next arrays [bytes]."""


def check_memory_for_scores(size: Size, processes: int) -> None:
    """Check that the free memory suffices to score depth maps of a size (height, width)."""
    height, width = size
    purpose = f"scores for images of {width}x{height} pixels"
    advice: str | Text = "score smaller images"
    if processes > 1:
        purpose += f" in {processes} processes"
        advice = Text("use ", OptionName("workers", "1"))
    check_memory(processes * BYTES_PER_PIXEL * height * width, purpose, advice)


def score_all(
    score: ScoreFunction, ids: Sequence[str], *, processes: int
) -> Iterator[ScoreWithSums | Unscored]:
    """Yield the scores of images in the order of their ids, computed by several processes.

    The function is sent to each process once, with all that it holds.
    """
    if processes == 1:
        _keep_freed_memory()
        yield from map(score, ids)
        return
    chunks = [ids[start : start + IMAGES_PER_TASK] for start in range(0, len(ids), IMAGES_PER_TASK)]
    # Forked processes would inherit locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _prepare_worker, (score,))
    pending: deque[Future[list[ScoreWithSums | Unscored]]] = deque()
    try:
        for chunk in chunks:
            with signals.block_in_children():
                pending.append(pool.submit(_score_chunk, chunk))
            # At most two chunks per process wait at a time, so that the memory stays bounded.
            if len(pending) > 2 * processes:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    except BrokenProcessPool as error:
        raise RilievoError(
            "a scoring process stopped unexpectedly, perhaps because it ran out of memory",
            hint=Text(
                "try ",
                OptionName("workers", "1"),
                "; if your own script calls evaluate, put the call under if __name__ == '__main__'",
            ),
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker(score: ScoreFunction) -> None:
    """Prepare a scoring process: keep its function, ignore Ctrl-C, and end with the parent."""
    # Ctrl-C is for the process that started this one, with which this one ends.
    signals.ignore_ctrl_c()
    threading.Thread(target=_exit_after_parent, daemon=True).start()
    _keep_freed_memory()
    _WORKER_FUNCTION[:] = [score]


def _exit_after_parent() -> None:
    """Wait for the parent process to end, then end this one at once."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only worker processes run this"
    parent.join()
    os._exit(1)


def _keep_freed_memory() -> None:
    """Let the process reuse freed memory, instead of returning it to the system.

    By default the system clears each page again, which takes 13 of the 32 ms for an image.
    """
    if sys.platform != "linux":
        return
    # C libraries other than GNU's have no such function, and manage memory in their own way.
    with suppress(OSError, AttributeError):
        for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, _REUSED_MEMORY)


def _score_chunk(ids: Sequence[str]) -> list[ScoreWithSums | Unscored]:
    [score] = _WORKER_FUNCTION
    return [score(image_id) for image_id in ids]
