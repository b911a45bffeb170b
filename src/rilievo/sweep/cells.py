"""The cells of a sweep: names and record files."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.atomic import replacing
from rilievo.io.checksums import is_torn
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.limits import read_text
from rilievo.sweep.config import BackboneEntry, TestChoice
from rilievo.sweep.results import FORMAT, Cell
from rilievo.train.probe.config import ProbeConfig

CELLS, CELL = "cells", "cell.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A planned cell.

    Attributes:
        entry: Backbone of the cell.
        config: Configuration of the training run, including the layers used.
        alone: Whether the cell uses a single layer, for the plot of layers.
        name: Name of the cell's folder, unique to its configuration.
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
    """Read the record of a finished cell; None where there is none or it is torn.

    Raises:
        InputError: If the record is invalid.
    """
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
