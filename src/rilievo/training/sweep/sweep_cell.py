"""Record of a cell of a sweep."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.checksums import is_torn
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import NotThisRecord, from_json, to_json

FORMAT = "rilievo-sweep-cell/1"
CELLS, CELL = "cells", "cell.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellMetric:
    """One metric of a cell under one benchmark.

    Attributes:
        unit: Unit of the value; "" for a share.
        better: Direction in which it improves: lower, higher or zero.
    """

    label: str
    unit: str
    better: str
    value: float
    by_image: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Scores of a cell under one benchmark; older cells have no ``scenes``."""

    benchmark: str
    unscored: int
    reason: str | None = None
    metrics: tuple[CellMetric, ...]
    ids: tuple[str, ...] = ()
    scenes: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCell:
    """One trained probe and its scores.

    Attributes:
        run: Folder of the run, relative to the sweep's.
        training_cpu_seconds: CPU time of training, with features not cached yet.
        predicting_cpu_seconds: CPU time of one photograph.
    """

    format: str = FORMAT
    title: str
    layers: tuple[int, ...]
    probe: str
    task: str
    seed: int
    run: str
    backbone_parameters: int
    probe_parameters: int
    training_cpu_seconds: float
    predicting_cpu_seconds: float
    measured: tuple[Measured, ...]
    doubts: tuple[str, ...] = ()


def read_cell(folder: Path) -> SweepCell | None:
    """Read a finished cell's record; None where it is absent or torn."""
    path = folder / CELL
    if not path.exists() or is_torn(path):
        return None
    try:
        cell = from_json(SweepCell, read_text(path))
    except NotThisRecord as error:
        raise InputError(
            f"{path}: is no record of a cell ({error}): take it away to score it anew"
        ) from error
    if cell.format != FORMAT:
        raise InputError(f"{path}: is of format '{cell.format}', expected '{FORMAT}'")
    return cell


def write_cell(cell: SweepCell, folder: Path) -> None:
    """Write a cell's record."""
    with replacing(folder / CELL) as part:
        part.write_text(to_json(cell, indent=2), encoding="utf-8")
