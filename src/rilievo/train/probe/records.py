"""What a finished run says of itself: ``record.json`` beside its weights."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.limits import printable, read_text
from rilievo.train.differences import Difference

RECORD = "record.json"

CHECKPOINT = "checkpoint.pt"
"""There while a run is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """What was done, beyond what ``config.json`` asked for.

    Attributes:
        backbone_sha256: Of the backbone's weights, before training.
        layers: Of the backbone that were taken.
        backbone_parameters: How many weights the backbone has.
        probe_parameters: How many the probe has.
        images: That were trained on.
        held_out: Images kept for validation.
        passed_over: How many had no valid pixel, and taught nothing.
        passed_over_ids: The first of them.
        steps: Of gradient descent.
        loss: Mean over the last epoch.
        cpu_seconds: Spent, by all threads, stops not counted.
        device: Where it ran.
        torch_version: Of torch.
        version: Of rilievo.
        differences: What is not as in the preset ``default``.
    """

    backbone_sha256: str
    layers: tuple[int, ...]
    backbone_parameters: int
    probe_parameters: int
    images: int
    held_out: int
    passed_over: int
    passed_over_ids: tuple[str, ...]
    steps: int
    loss: float | None = None
    cpu_seconds: float
    device: str
    torch_version: str
    version: str
    differences: tuple[Difference, ...]


def read_record(run: Path) -> TrainingRecord:
    """What a finished run says of itself.

    Raises:
        InputError: If its record is broken.
    """
    path = run / RECORD
    try:
        return from_json(TrainingRecord, read_text(path))
    except NotThisRecord as error:
        raise InputError(
            f"{printable(path)}: is no record of a run ({error}): take it away to train anew"
        ) from error
