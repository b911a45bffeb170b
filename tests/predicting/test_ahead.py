"""Work ahead comes in order, is bounded, and hands errors on."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator

import pytest

from rilievo.predicting.prefetching import map_ahead, read_ahead


def counted(seen: list[int], count: int = 20) -> Iterator[int]:
    for number in range(count):
        seen.append(number)
        yield number


def test_items_come_in_order_and_not_too_far_ahead() -> None:
    seen: list[int] = []
    items = read_ahead(counted(seen), max_items=3)
    assert next(items) == 0
    time.sleep(0.05)
    assert len(seen) <= 5
    assert list(items) == list(range(1, 20))


def test_an_error_comes_where_it_happened() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    items = read_ahead(broken(), max_items=8)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(KeyError):
        next(items)


def test_leaving_early_ends_the_threads() -> None:
    before = threading.active_count()
    for item in read_ahead(iter(range(1000)), max_items=4):
        if item == 3:
            break
    results = map_ahead(lambda item: item, iter(range(1000)), workers=2)
    next(results)
    results.close()  # pyright: ignore[reportAttributeAccessIssue]
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_results_come_in_order_whatever_takes_longest() -> None:
    def slow_if_even(item: int) -> int:
        time.sleep(0.01 if item % 2 == 0 else 0)
        return item * item

    seen: list[int] = []
    results = map_ahead(slow_if_even, counted(seen), workers=3)
    assert next(results) == 0
    assert len(seen) <= 4
    assert list(results) == [number**2 for number in range(1, 20)]


@pytest.mark.parametrize(
    "ahead",
    [lambda items: read_ahead(items, max_items=2), lambda items: map_ahead(abs, items, workers=2)],
    ids=["read", "map"],
)
@pytest.mark.skipif(not hasattr(threading, "_shutdown_locks_lock"), reason="Python 3.13 has none")
def test_a_generator_is_closed_where_no_thread_can_be_joined(
    ahead: Callable[[Iterable[int]], Generator[int]],
) -> None:
    """Close as the collector may: in a thread that starts and holds the lock of those that end."""
    results = ahead(iter(range(1000)))
    assert next(results) == 0

    def close() -> None:
        with threading._shutdown_locks_lock:  # pyright: ignore[reportAttributeAccessIssue]
            results.close()

    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()
