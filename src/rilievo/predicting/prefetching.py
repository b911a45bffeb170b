"""Work ahead of its use, in threads."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from rilievo.predicting.summary import Result

Item = TypeVar("Item")
_END = object()


def read_ahead(items: Iterable[Item], *, most: int) -> Iterator[Item]:
    """Yield the items, up to ``most`` prefetched."""
    iterator, pool = iter(items), ThreadPoolExecutor(1, thread_name_prefix="read")
    waiting = deque(pool.submit(next, iterator, _END) for _ in range(most))
    try:
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(pool.submit(next, iterator, _END))
            yield item  # pyright: ignore[reportReturnType]
    finally:
        _shut_down(pool, waiting)


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Iterator[Result]:
    """Yield ``function`` of every item in order, in ``workers`` threads."""
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="finish")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        _shut_down(pool, waiting)


def _shut_down(pool: ThreadPoolExecutor, waiting: Collection[Future[Result]]) -> None:
    """Cancel what waits; threads end by themselves.

    Joining one within the start of a thread never returns (Python 3.11).
    """
    for future in waiting:
        future.cancel()
    wait(waiting)
    pool.shutdown(wait=False)
