"""Record of a cell of a sweep, which marks the cell as finished."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.checksums import is_torn
from rilievo.io.files.atomic import write_text
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import InvalidRecordError, from_json, to_json

CELLS_FOLDER = "cells"
"""Folder of all cells, in that of the sweep."""

_FORMAT = "rilievo-sweep-cell/1"
_FILE = "cell.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellMetric:
    """One metric of a cell under one benchmark.

    Attributes:
        unit: Unit of the value; "" for a fraction.
        better: Direction in which it improves: lower, higher or zero.
        by_image: The metric of each image.
    """

    label: str
    unit: str
    better: str
    value: float
    by_image: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CellScores:
    """Scores of a cell under one benchmark.

    Attributes:
        unscored: Number of images without a score.
        reason: Why the first of them has none; None if all have one.
        ids: Names of the images with a score.
        scenes: Scene of each of these images; empty in records of older versions.
    """

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
        title: Name of the backbone in tables.
        layers: Layers of the backbone whose features the probe sees.
        run: Folder of the run, relative to the sweep's.
        training_cpu_seconds: CPU time of training, with features not cached yet [s].
        predicting_cpu_seconds: CPU time of the prediction of one photograph [s].
    """

    format: str = _FORMAT
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
    measured: tuple[CellScores, ...]
    doubts: tuple[str, ...] = ()


def read_cell(folder: Path) -> SweepCell | None:
    """Read the record of a cell; None if the cell is not finished, or its record was cut off.

    Raises:
        InputError: If the file is not such a record, or of another format.
    """
    path = folder / _FILE
    if not path.exists() or is_torn(path):
        return None
    try:
        cell = from_json(SweepCell, read_text(path))
    except InvalidRecordError as error:
        raise InputError(
            f"{path}: is not the record of a cell ({error}): delete it to score the cell again"
        ) from error
    if cell.format != _FORMAT:
        raise InputError(
            f"{path}: has format '{cell.format}', expected '{_FORMAT}': delete it to score the "
            "cell again"
        )
    return cell


def write_cell(cell: SweepCell, folder: Path) -> None:
    """Write the record of a finished cell."""
    write_text(folder / _FILE, to_json(cell, indent=2))
