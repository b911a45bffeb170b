"""CSV logs of a run, one file per kind of row, readable while it runs.

A killed run resumes from its last checkpoint, so the steps that it had done since appear twice.
"""

import csv
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """Progress of the run, and the losses of its latest step."""

    step: int
    images: int
    seconds: float
    progress: float
    learning_rate: float
    frames: int
    depth_loss: float
    normals_loss: float
    agreement_loss: float
    own_agreement_loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRow:
    """Scores on one held-out set; depth scaled by the median, angle in degrees."""

    step: int
    images: int
    seconds: float
    set: str
    abs_rel: float
    delta1: float
    angle: float


def append_row(path: Path, row: StepRow | ValidationRow) -> None:
    """Add one row, and the header first if the file is new."""
    cells = {
        name: f"{value:.6g}" if isinstance(value, float) else value
        for name, value in asdict(row).items()
    }
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, cells)
        if is_new:
            writer.writeheader()
        writer.writerow(cells)
