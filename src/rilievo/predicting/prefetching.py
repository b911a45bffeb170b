"""Iterators that work ahead in threads, while their consumer is busy."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_END = object()


def read_ahead(items: Iterable[Item], *, max_items: int) -> Iterator[Item]:
    """Yield the items, while a thread prefetches up to ``max_items`` further items."""
    iterator = iter(items)
    pool = ThreadPoolExecutor(1, thread_name_prefix="read")
    waiting = deque(pool.submit(next, iterator, _END) for _ in range(max_items))
    try:
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(pool.submit(next, iterator, _END))
            yield item  # pyright: ignore[reportReturnType]
    finally:
        _shut_down(pool, waiting)


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Iterator[Result]:
    """Map a function over items in threads, and yield the results in order.

    Up to ``workers`` calls run ahead of the consumer.
    """
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
    """Cancel the calls that have not begun, and wait for the others.

    The threads are not joined, because they end by themselves, and because in Python 3.11 joining
    a thread while another is being started may never return.
    """
    for future in waiting:
        future.cancel()
    wait(waiting)
    pool.shutdown(wait=False)
