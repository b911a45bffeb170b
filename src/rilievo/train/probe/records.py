"""Record of a finished run: ``record.json`` beside its weights."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.limits import printable, read_text
from rilievo.train.differences import Difference

RECORD = "record.json"

CHECKPOINT = "checkpoint.pt"
"""File that exists while a run is in progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """Facts of a finished run that are not in ``config.json``.

    Attributes:
        backbone_sha256: sha256 of the backbone's weights before training.
        layers: Layers of the backbone that features were taken from.
        backbone_parameters: Number of weights of the backbone.
        probe_parameters: Number of weights of the probe.
        images: Number of images to train on.
        held_out: Number of images held out for validation.
        passed_over: Number of images without a valid pixel, which were skipped.
        passed_over_ids: Ids of the first of them.
        steps: Number of steps.
        loss: Mean loss over the last epoch.
        cpu_seconds: CPU time spent in steps by all threads, interruptions not counted.
        device: Device that the run computed on.
        torch_version: Version of torch.
        version: Version of rilievo.
        differences: Differences from the preset ``default``.
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
    """Read the record of a finished run.

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
