"""The folder of a training run, as far as a model is made of it; needs no torch."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, ModelError
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.limits import check_regular, printable, read_text
from rilievo.models.card import ModelCard
from rilievo.networks.blueprint import Blueprint

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
FORMAT = "rilievo-probe/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What ``config.json`` of a run says that a model needs.

    Attributes:
        format: Of the folder.
        blueprint: What was trained.
        backbone_rate: Of the backbone's training; 0 where it is as its own weights have it.
    """

    format: str = ""
    blueprint: Blueprint
    backbone_rate: float = 0.0


def is_run(folder: Path, format: str = FORMAT) -> bool:
    """Whether a folder is that of a run: its ``config.json`` says so in its first words.

    Args:
        folder: Of the run, if it is one.
        format: Of its kind of run, of any version.
    """
    try:
        check_regular(folder / CONFIG)
        with (folder / CONFIG).open(encoding="utf-8") as file:
            return f'"{format.partition("/")[0]}/' in file.read(200)
    except (InputError, OSError, UnicodeDecodeError):
        return False


def read_run(folder: Path) -> RunFacts:
    """What a run's folder holds.

    Raises:
        ModelError: If it is broken, or of another version.
    """
    path = folder / CONFIG
    try:
        facts = from_json(RunFacts, read_text(path))
    except (NotThisRecord, InputError) as error:
        raise ModelError(f"{printable(path)}: is no run of a probe: {error}") from error
    if facts.format != FORMAT:
        raise ModelError(
            f"{printable(path)}: is of format '{facts.format}', expected '{FORMAT}': it was "
            "trained by another version of rilievo"
        )
    return facts


def run_card(folder: Path) -> ModelCard:
    """The card of a run as a model.

    Raises:
        ModelError: If the folder is broken, or training has not ended.
    """
    facts, weights = read_run(folder), folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(
            f"{printable(folder)}: has no {WEIGHTS} yet: let its training come to an end (--resume)"
        )
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
        commercial=None,
        megabytes=weights.stat().st_size / 1e6,
        extra="train",
        speed="not measured",
        loader="rilievo.models.probe:load",
        source=str(folder),
    )
