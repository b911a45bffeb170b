"""Where the time of a run goes: seconds by stage, summed over threads and processes."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import ParamSpec, TypeVar

import numpy as np

from rilievo.models.base import Inference, Model
from rilievo.records.sample import Photo

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
LOAD, READ, NETWORK, FINISH, PLACE = "load", "read", "network", "finish and write", "rename"
STAGES = (LOAD, READ, NETWORK, FINISH, PLACE)
"""Stages of a run, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTimes:
    """Models that ran, how often they answered, and how long each stage took.

    Attributes:
        model: Names and settings of the models; empty if none ran.
        answers: Number of answers of the network by their size, ``WIDTHxHEIGHT`` [px].
        seconds: Wall time by stage, summed over threads and processes.
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


class Stopwatch:
    """Collects the times of a run from several threads and processes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._model = ""
        self._answers: dict[str, int] = {}
        self._seconds: dict[str, float] = {}

    @property
    def times(self) -> RunTimes:
        """Times so far."""
        with self._lock:
            return RunTimes(
                model=self._model, answers=dict(self._answers), seconds=dict(self._seconds)
            )

    def add(self, times: RunTimes) -> None:
        """Add times, such as those of another process."""
        with self._lock:
            if times.model and times.model not in self._model:
                self._model = f"{self._model}; {times.model}" if self._model else times.model
            for size, count in times.answers.items():
                self._answers[size] = self._answers.get(size, 0) + count
            for stage, seconds in times.seconds.items():
                self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def timed(
        self, stage: str, function: Callable[Parameters, Result]
    ) -> Callable[Parameters, Result]:
        """Wrap a function, so that the time of its calls is added to a stage."""

        def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.add(RunTimes(seconds={stage: time.perf_counter() - start}))

        return call

    def infer(self, model: Model, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network on photographs; its time and the sizes of its answers are counted."""
        answers = self.timed(NETWORK, model.infer)(photos)
        for answer in answers:
            height, width = _answer_size(answer)
            self.add(RunTimes(answers={f"{width}x{height}": 1}))
        return answers


def _answer_size(answer: Inference) -> tuple[int, int]:
    """Height and width of the first part of an answer; (0, 0) if it has none."""
    for part in (answer.depth, answer.normals, answer.confidence):
        if part is not None:
            height, width = np.shape(part)[-2:]
            return height, width
    return 0, 0
