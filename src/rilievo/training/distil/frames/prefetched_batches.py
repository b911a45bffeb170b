"""Batches prefetched for the training step in a thread of their own."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, islice

from rilievo.training.distil.frames.frame_batches import Batch

_AHEAD = 3


@contextmanager
def batches_ahead(make: Callable[[int], Batch], *, first: int) -> Iterator[Iterator[Batch]]:
    """Yield an iterator over ``make(first)``, ``make(first + 1)`` …, prefetched by a thread.

    An error in the thread is raised when its batch is requested.
    """
    with ThreadPoolExecutor(1, "batches") as pool:
        numbers = count(first)
        made = deque(pool.submit(make, number) for number in islice(numbers, _AHEAD))

        def take() -> Iterator[Batch]:
            for number in numbers:
                batch = made.popleft().result()
                made.append(pool.submit(make, number))
                yield batch

        try:
            yield take()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
