"""Measure where the time of a run goes: wall time by stage, summed over threads and processes.

Stages run at the same time and share the cores, so the time of a stage includes its waits, and all
times together may be longer than the run.
"""

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
LOAD, READ, NETWORK, FINISH, RENAME = "load", "read", "network", "finish and write", "rename"
STAGES = (LOAD, READ, NETWORK, FINISH, RENAME)
"""Stages of a run, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTimes:
    """Models that ran, how many inferences they made, and how long each stage took.

    Attributes:
        model: Names and settings of the models; empty if none ran.
        answers: Number of inferences by the size of their maps, ``WIDTHxHEIGHT`` [px]. The JSON of
            a run has this name.
        seconds: Wall time by stage, summed over threads and processes [s].
    """

    model: str = ""
    answers: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Describe the models, the inferences and the times in three lines."""
        sizes = ", ".join(f"{size} ({count})" for size, count in self.answers.items())
        times = ", ".join(
            f"{name} {self.seconds[name]:.2f} s" for name in STAGES if name in self.seconds
        )
        return "\n".join(
            (
                f"model: {self.model or 'none'}",
                f"predictions by size: {sizes or 'none'}",
                "wall time by stage, summed over parallel threads, including waits for a core: "
                f"{times or 'none'}",
            )
        )


class Stopwatch:
    """Thread-safe collector of the times of a run."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._model = ""
        self._inference_counts: dict[str, int] = {}
        self._seconds: dict[str, float] = {}

    @property
    def times(self) -> RunTimes:
        """Times so far."""
        with self._lock:
            return RunTimes(
                model=self._model,
                answers=dict(self._inference_counts),
                seconds=dict(self._seconds),
            )

    def add(self, times: RunTimes) -> None:
        """Add times, such as those of another process; each model is named once."""
        with self._lock:
            if times.model and times.model not in self._model:
                self._model = f"{self._model}; {times.model}" if self._model else times.model
            for size, count in times.answers.items():
                self._inference_counts[size] = self._inference_counts.get(size, 0) + count
            for stage, seconds in times.seconds.items():
                self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def timed(
        self, stage: str, function: Callable[Parameters, Result]
    ) -> Callable[Parameters, Result]:
        """Wrap a function, so that the time of its calls is added to a stage."""

        def timed_function(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.add(RunTimes(seconds={stage: time.perf_counter() - start}))

        return timed_function

    def infer(self, model: Model, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network on photographs, and record its time and the sizes of its maps."""
        inferences = self.timed(NETWORK, model.infer)(photos)
        for inference in inferences:
            height, width = _inference_size(inference)
            self.add(RunTimes(answers={f"{width}x{height}": 1}))
        return inferences


def _inference_size(inference: Inference) -> tuple[int, int]:
    """Return height and width of the first map of an inference; (0, 0) if it has none."""
    for array in (inference.depth, inference.normals, inference.confidence):
        if array is not None:
            height, width = np.shape(array)[-2:]
            return height, width
    return 0, 0
