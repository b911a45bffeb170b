"""Folder of a training run of a probe, as far as a model needs it; without torch."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, ModelError
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.limits import check_regular, read_text
from rilievo.models.card import ModelCard
from rilievo.networks.blueprint import Blueprint

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
FORMAT = "rilievo-probe/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Facts in a run's ``config.json`` that a model needs.

    Attributes:
        format: Format of the folder.
        blueprint: Blueprint of the trained network.
        backbone_rate: Learning rate of the backbone; 0 if the backbone kept its own weights.
    """

    format: str = ""
    blueprint: Blueprint
    backbone_rate: float = 0.0


def is_run(folder: Path, format: str = FORMAT) -> bool:
    """Whether a folder is that of a run: its ``config.json`` begins with the format.

    Args:
        folder: Folder to check.
        format: Format of this kind of run; its version does not matter.
    """
    try:
        check_regular(folder / CONFIG)
        with (folder / CONFIG).open(encoding="utf-8") as file:
            return f'"{format.partition("/")[0]}/' in file.read(200)
    except (InputError, OSError, UnicodeDecodeError):
        return False


def read_run(folder: Path) -> RunFacts:
    """Read the folder of a run."""
    path = folder / CONFIG
    try:
        facts = from_json(RunFacts, read_text(path))
    except (NotThisRecord, InputError) as error:
        raise ModelError(f"{path}: is not a run of a probe: {error}") from error
    if facts.format != FORMAT:
        raise ModelError(
            f"{path}: is of format '{facts.format}', expected '{FORMAT}': it was trained by "
            "another version of rilievo"
        )
    return facts


def run_card(folder: Path) -> ModelCard:
    """Card of a run as a model."""
    facts, weights = read_run(folder), folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"{folder}: has no {WEIGHTS} yet: finish its training (--resume)")
    blueprint = facts.blueprint
    task, backbone = blueprint.task, blueprint.backbone
    tuned = "tuned with it" if facts.backbone_rate else "frozen"
    return ModelCard(
        name=str(folder),
        summary=f"{task} by a {blueprint.probe.kind} probe on {backbone.name}, {tuned}",
        kind=blueprint.depth.kind if task.has_depth else None,
        normals=task.has_normals,
        confidence=task.has_normals and blueprint.uncertainty,
        licence="that of the backbone and of the data it was trained on",
        megabytes=weights.stat().st_size / 1e6,
        extra="train",
        loader="rilievo.models.probe:load",
        source=str(folder),
    )
