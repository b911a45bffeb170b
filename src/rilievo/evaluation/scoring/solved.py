"""Fits that several benchmarks ask for, of an image or of scenes, so that they share them."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Solved:
    """Resized maps and fits for the same predictions and truth, each computed once.

    What raises an error is not kept: messages name the benchmark.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}

    def once(self, key: Hashable, solve: Callable[[], T]) -> T:
        """The result for a key, which has all that it depends on besides prediction and truth."""
        if key not in self._known:
            self._known[key] = solve()
        return self._known[key]
