"""Counts of a run on video, as a checkpoint holds them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rilievo.io.facts import FileSum
from rilievo.train.engine.checkpoint import RunState

_SUMMED = re.compile(r"best/weights\.safetensors|pictures/step-\d{7,12}\.png")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True, kw_only=True)
class VideoState(RunState):
    """Counts of a run on video.

    Attributes:
        best_error: Least error on the held-out targets; None before the first validation.
        best_step: Step that had this error.
        warned: Kinds of warnings that were given.
        sums: Size and sha256 of the best weights and the pictures, as they were written.
        planned: Number of steps that a run of so many minutes takes; 0 before its pace is known.
        stale: Validations since the one with the least error.

    Raises:
        ValueError: If a checksum is none, or of another file.
    """

    best_error: float | None = None
    best_step: int = 0
    warned: tuple[str, ...] = ()
    sums: Mapping[str, FileSum] = field(default_factory=dict)
    planned: int = 0
    stale: int = 0

    def __post_init__(self) -> None:
        for name, each in self.sums.items():
            if not _SUMMED.fullmatch(name) or not _SHA256.fullmatch(each.sha256):
                raise ValueError("its sums are of no files of a run")
