"""Records of a sweep: one per cell, the input of tables and plots."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.checks.marks import is_torn
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.training.probe.probe_config import ProbeConfig
from rilievo.training.sweep.sweep_config import BackboneEntry, TestChoice

FORMAT = "rilievo-sweep-cell/1"
CELLS, CELL = "cells", "cell.json"


class Better(StrEnum):
    """Direction in which a metric improves, in the words of evaluations."""

    LOWER = "lower"
    HIGHER = "higher"
    ZERO = "zero"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One metric of one cell under one benchmark; ``each`` has the scores of ``Measured.ids``.

    ``value`` is the score over all images, averaged as the benchmark does; ``unit`` is "" for none.
    """

    metric: str
    label: str
    unit: str
    better: Better
    value: float
    each: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One cell under one benchmark.

    Attributes:
        sha256: Hash of the benchmark's settings.
        unscored: Number of images without a score.
        reason: Reason why the first unscored image has no score.
    """

    benchmark: str
    sha256: str
    images: int
    unscored: int
    reason: str | None = None
    values: tuple[Value, ...]
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One trained probe and its scores.

    Attributes:
        alone: Whether the cell uses a single layer, for the plot of layers.
        run: Folder of the run, relative to that of the sweep.
        training_cpu_seconds: CPU time of training, including features that were not cached yet.
        predicting_cpu_seconds: CPU time of one image, from photograph to prediction.
        predicting_seconds: Wall-clock time of one image.
        doubts: Reasons to think that the probe learned nothing; empty without any.
    """

    format: str = FORMAT
    title: str
    backbone: str
    layers: tuple[int, ...]
    alone: bool
    probe: str
    task: str
    seed: int
    run: str
    backbone_parameters: int
    probe_parameters: int
    training_cpu_seconds: float
    predicting_cpu_seconds: float
    predicting_seconds: float
    measured: tuple[Measured, ...]
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A planned cell.

    ``config`` includes the layers used; ``alone`` tells whether it is a single one, for the plot of
    layers. ``name`` is that of the cell's folder, unique to its configuration.
    """

    entry: BackboneEntry
    config: ProbeConfig
    alone: bool
    name: str


def plan_cell(
    entry: BackboneEntry, config: ProbeConfig, test: TestChoice, *, alone: bool
) -> Planned:
    """Name a cell: readable words, then a digest of the settings."""
    blueprint = config.blueprint
    digest = hashlib.sha256(f"{to_json(config)}{to_json(test)}".encode()).hexdigest()[:8]
    layers = "-".join(map(str, blueprint.backbone.layers or ()))
    words = (entry.title, layers, blueprint.probe.kind, blueprint.task, f"seed{config.seed}")
    readable = "-".join(each for each in words if each).lower()
    name = re.sub(r"[^a-z0-9.]+", "-", readable).strip("-.")
    return Planned(entry=entry, config=config, alone=alone, name=f"{name}-{digest}")


def read_cell(folder: Path) -> Cell | None:
    """Read the record of a finished cell; None where there is none or it is torn."""
    path = folder / CELL
    if not path.exists() or is_torn(path):
        return None
    try:
        cell = from_json(Cell, read_text(path))
    except NotThisRecord as error:
        raise InputError(
            f"{path}: is no record of a cell ({error}): take it away to score it anew"
        ) from error
    if cell.format != FORMAT:
        raise InputError(f"{path}: is of format '{cell.format}', expected '{FORMAT}'")
    return cell


def write_cell(cell: Cell, folder: Path) -> None:
    """Write the record of a cell, which marks it as finished."""
    with replacing(folder / CELL) as part:
        part.write_text(to_json(cell, indent=2), encoding="utf-8")
