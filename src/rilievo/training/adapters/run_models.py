"""Folders of training runs, without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rilievo.errors import InputError, ModelError, OptionError
from rilievo.errors.messages import Text
from rilievo.io.files.limits import check_regular, read_text
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.models.resampling.inference import Resizing, Space
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.training.networks.blueprint import (
    POSE,
    POSE_NETWORKS,
    Blueprint,
    TunedBlueprint,
    VideoBlueprint,
    is_official_checkpoint,
)

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
PIPELINE = "diffusers"
# For networks that answer inverse depth.
AS_INVERSE = Resizing(space=Space.INVERSE)
PROBE_FORMAT, VIDEO_FORMAT = "rilievo-probe/1", "rilievo-video/1"
TUNED_FORMAT = "rilievo-tuned/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRunFacts:
    """Facts of a probe's ``config.json``."""

    format: str = ""
    blueprint: Blueprint
    backbone_rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRunFacts:
    """Facts of the ``config.json`` of a run on video."""

    format: str = ""
    blueprint: VideoBlueprint
    start: str | None = None
    prior: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedRunFacts:
    """Facts of the ``config.json`` of further training."""

    format: str = ""
    network: TunedBlueprint


Facts = TypeVar("Facts", ProbeRunFacts, VideoRunFacts, TunedRunFacts)


def is_run(folder: Path, format: str = PROBE_FORMAT) -> bool:
    """Whether a folder's ``config.json`` names the format, whatever its version."""
    try:
        check_regular(folder / CONFIG)
        with (folder / CONFIG).open(encoding="utf-8") as file:
            return f'"{format.partition("/")[0]}/' in file.read(200)
    except (InputError, OSError, UnicodeDecodeError):
        return False


def read_probe_run(folder: Path) -> ProbeRunFacts:
    """Read the facts of a probe's run."""
    return _read_config_of_format(ProbeRunFacts, folder, PROBE_FORMAT, "of a probe")


def predicts_motion(folder: Path) -> bool:
    """Whether a run has networks of motion."""
    if is_video_run(folder):
        return read_video_run(folder).blueprint.pose in POSE_NETWORKS
    return is_official_checkpoint(folder) and (folder / POSE).is_file()


def probe_preparation(blueprint: Blueprint) -> Preparation:
    """Bilinear resizing to the blueprint's size."""
    height, width = blueprint.size
    return Preparation(
        sizing=Sizing(rule=Rule.FIXED, height=height, width=width),
        resampling=Resampling.BILINEAR,
    )


def _read_config_of_format(
    kind: type[Facts], folder: Path, expected_format: str, whose: str
) -> Facts:
    try:
        facts = from_json(kind, read_text(folder / CONFIG))
    except (NotThisRecord, OptionError, InputError) as error:
        raise ModelError(
            f"is not a run {whose}:", path=folder / CONFIG, problem=Text(error)
        ) from error
    if facts.format != expected_format:
        raise ModelError(
            f"{folder / CONFIG}: is of format '{facts.format}', expected '{expected_format}': "
            "it was trained by another version of rilievo"
        )
    return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """Settings of a network trained on video."""

    post_process: bool = False
    """Whether to average depth with that of the mirrored photograph, except at borders (Godard et
    al. 2017); takes twice the time.
    """


def is_video_run(folder: Path) -> bool:
    """Whether a run learned from video."""
    return is_run(folder, VIDEO_FORMAT)


def read_video_run(folder: Path) -> VideoRunFacts:
    """Read the facts of a run on video."""
    return _read_config_of_format(VideoRunFacts, folder, VIDEO_FORMAT, "on video")


def is_tuned_run(folder: Path) -> bool:
    """Whether a run trained a model further."""
    return is_run(folder, TUNED_FORMAT)


def read_tuned_run(folder: Path) -> TunedRunFacts:
    """Read the facts of further training."""
    return _read_config_of_format(
        TunedRunFacts, folder, TUNED_FORMAT, "that trained a model further"
    )
