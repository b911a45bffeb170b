"""Stages of a run: prefetching, times, sizes."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import field
from threading import Lock
from typing import ParamSpec, TypeVar

import numpy as np

from rilievo.frozen import frozen
from rilievo.models.base import Inference, Model
from rilievo.types import Photo

Item = TypeVar("Item")
Given = ParamSpec("Given")
Result = TypeVar("Result")

LOAD, READ, NETWORK, FINISH, PLACE = "load", "read", "network", "finish and write", "rename"
STAGES = (LOAD, READ, NETWORK, FINISH, PLACE)

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
        _end(pool, waiting)


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
        _end(pool, waiting)


def _end(pool: ThreadPoolExecutor, waiting: Collection[Future[Result]]) -> None:
    """Cancel what waits; threads end by themselves.

    Joining one within the start of a thread never returns (Python 3.11).
    """
    for future in waiting:
        future.cancel()
    wait(waiting)
    pool.shutdown(wait=False)


@frozen
class Spent:
    """Time of each stage.

    Attributes:
        model: Models and settings; empty if none ran.
        answers: Number by size, ``WIDTHxHEIGHT`` [px].
        seconds: Wall time over threads and processes.
    """

    model: str = ""
    answers: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        sizes = ", ".join(f"{size} ({count})" for size, count in self.answers.items())
        times = ", ".join(
            f"{name} {self.seconds[name]:.2f} s" for name in STAGES if name in self.seconds
        )
        return "\n".join(
            (
                f"model: {self.model or 'none ran'}",
                f"answers of the network, by size: {sizes or 'none'}",
                f"time by stage, summed over threads: {times or 'none'}",
            )
        )


class Stages:
    """Stopwatch of a run, for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._model = ""
        self._answers: dict[str, int] = {}
        self._seconds: dict[str, float] = {}

    @property
    def spent(self) -> Spent:
        """Times so far."""
        with self._lock:
            return Spent(
                model=self._model, answers=dict(self._answers), seconds=dict(self._seconds)
            )

    def add(self, other: Spent) -> None:
        """Add times of another process."""
        with self._lock:
            if other.model and other.model not in self._model:
                self._model = "; ".join(filter(None, (self._model, other.model)))
            for size, count in other.answers.items():
                self._answers[size] = self._answers.get(size, 0) + count
            for name, seconds in other.seconds.items():
                self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def timed(self, stage: str, function: Callable[Given, Result]) -> Callable[Given, Result]:
        """Function whose calls count for a stage."""

        def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.add(Spent(seconds={stage: time.perf_counter() - start}))

        return call

    def answer(self, model: Model, photos: Sequence[Photo]) -> list[Inference]:
        """Answers of a model, counted for ``NETWORK``."""
        answers = self.timed(NETWORK, model.infer)(photos)
        for answer in answers:
            parts = (answer.depth, answer.normals, answer.confidence)
            sizes = (np.shape(part)[-2:] for part in parts if part is not None)
            height, width = next(sizes, (0, 0))
            self.add(Spent(answers={f"{width}x{height}": 1}))
        return answers
