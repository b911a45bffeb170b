"""Folders of training runs, of probes and on video, as far as a model needs them; without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rilievo.errors import InputError, ModelError, OptionError
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.limits import check_regular, read_text
from rilievo.models.card import ModelCard
from rilievo.models.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.networks.blueprint import Blueprint
from rilievo.networks.video.blueprint import VideoBlueprint

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
PROBE_FORMAT, VIDEO_FORMAT = "rilievo-probe/1", "rilievo-video/1"
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Facts in a run's ``config.json`` that a model needs."""

    format: str = ""
    blueprint: Blueprint
    backbone_rate: float = 0.0


def is_run(folder: Path, format: str = PROBE_FORMAT) -> bool:
    """Whether a folder is that of a run: its ``config.json`` begins with the format."""
    try:
        check_regular(folder / CONFIG)
        with (folder / CONFIG).open(encoding="utf-8") as file:
            return f'"{format.partition("/")[0]}/' in file.read(200)
    except (InputError, OSError, UnicodeDecodeError):
        return False


def read_run(folder: Path) -> RunFacts:
    """Read the folder of a run of a probe."""
    facts = _read(RunFacts, folder, "of a probe")
    _check_format(folder, facts.format, PROBE_FORMAT)
    return facts


def preparation_of(blueprint: Blueprint) -> Preparation:
    """Preparation that resizes photographs to a blueprint's size, the same as in training."""
    height, width = blueprint.size
    return Preparation(
        sizing=Sizing(rule=Rule.FIXED, height=height, width=width),
        resampling=Resampling.BILINEAR,
    )


def _read(kind: type[Record], folder: Path, what: str) -> Record:
    try:
        return from_json(kind, read_text(folder / CONFIG))
    except (NotThisRecord, OptionError, InputError) as error:
        raise ModelError(f"{folder / CONFIG}: is not a run {what}: {error}") from error


def _check_format(folder: Path, found: str, expected: str) -> None:
    if found != expected:
        raise ModelError(
            f"{folder / CONFIG}: is of format '{found}', expected '{expected}': it was trained by "
            "another version of rilievo"
        )


def _megabytes(folder: Path) -> float:
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"{folder}: has no {WEIGHTS} yet: finish its training (--resume)")
    return weights.stat().st_size / 1e6


def run_card(folder: Path) -> ModelCard:
    """Card of a run as a model."""
    facts = read_run(folder)
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
        megabytes=_megabytes(folder),
        extra="train",
        loader="rilievo.models.probe:load",
        source=str(folder),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """Settings of a network trained on video."""

    post_process: bool = False
    """Whether to average depth with that of the mirrored photograph, each used alone at the border
    where it is better (Godard et al. 2017); takes twice the time.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRunFacts:
    """Facts in a run's ``config.json`` that a model needs."""

    format: str = ""
    blueprint: VideoBlueprint


def is_video_run(folder: Path) -> bool:
    """Whether a folder is that of a run: its ``config.json`` begins with the format."""
    return is_run(folder, VIDEO_FORMAT)


def read_video_run(folder: Path) -> VideoRunFacts:
    """Read the folder of a run on video."""
    facts = _read(VideoRunFacts, folder, "on video")
    _check_format(folder, facts.format, VIDEO_FORMAT)
    return facts


def video_run_card(folder: Path) -> ModelCard:
    """Card of a run as a model."""
    blueprint = read_video_run(folder).blueprint
    height, width = blueprint.size
    return ModelCard(
        name=str(folder),
        summary=f"depth learned from video: {blueprint.encoder} at {width}x{height}",
        kind=blueprint.kind,
        licence="that of the footage it was trained on; US patent 11991342 is named for the method",
        megabytes=_megabytes(folder),
        extra="train",
        loader="rilievo.models.video_network:load",
        source=str(folder),
        settings="rilievo.models.runs:VideoSettings",
    )
