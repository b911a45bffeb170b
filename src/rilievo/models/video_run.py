"""Folder of a training run on video, as far as a model needs it; without torch."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, ModelError, OptionError
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.limits import read_text
from rilievo.models.card import ModelCard
from rilievo.models.probe_run import CONFIG, WEIGHTS, is_run
from rilievo.networks.video.blueprint import VideoBlueprint

FORMAT = "rilievo-video/1"


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
    return is_run(folder, FORMAT)


def read_video_run(folder: Path) -> VideoRunFacts:
    """Read the folder of a run."""
    path = folder / CONFIG
    try:
        facts = from_json(VideoRunFacts, read_text(path))
    except (NotThisRecord, OptionError, InputError) as error:
        raise ModelError(f"{path}: is not a run on video: {error}") from error
    if facts.format != FORMAT:
        raise ModelError(
            f"{path}: is of format '{facts.format}', expected '{FORMAT}': it was trained by "
            "another version of rilievo"
        )
    return facts


def video_run_card(folder: Path) -> ModelCard:
    """Card of a run as a model."""
    blueprint, weights = read_video_run(folder).blueprint, folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"{folder}: has no {WEIGHTS} yet: finish its training (--resume)")
    height, width = blueprint.size
    return ModelCard(
        name=str(folder),
        summary=f"depth learned from video: {blueprint.encoder} at {width}x{height}",
        kind=blueprint.kind,
        licence="that of the footage it was trained on; US patent 11991342 is named for the method",
        megabytes=weights.stat().st_size / 1e6,
        extra="train",
        loader="rilievo.models.video_network:load",
        source=str(folder),
        settings="rilievo.models.video_run:VideoSettings",
    )
