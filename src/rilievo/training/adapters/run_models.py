"""Recognise the folders of training runs, and read their ``config.json``.

Nothing here imports torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rilievo.errors import InputError, ModelError, OptionError
from rilievo.errors.messages import Text
from rilievo.extensions.trust import check_trusted
from rilievo.io.files.limits import check_regular, read_text
from rilievo.io.json_record import InvalidRecordError, from_json
from rilievo.models.card import ModelCard
from rilievo.models.resampling.inference import Resizing, Space
from rilievo.records.prediction_record import Setting
from rilievo.training.networks.blueprint import (
    POSE,
    POSE_NETWORKS,
    Blueprint,
    TunedBlueprint,
    VideoBlueprint,
    is_official_checkpoint,
)

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
PIPELINE_FOLDER = "diffusers"
"""Folder of a run that holds its whole pipeline, as diffusers saves it."""
TRANSFORMERS_FOLDER = "transformers"
"""Folder of a run that holds the configuration of its model, as transformers saves it."""
PROBE_FORMAT, VIDEO_FORMAT = "rilievo-probe/1", "rilievo-video/1"
TUNED_FORMAT = "rilievo-tuned/1"
INVERSE_RESIZING = Resizing(space=Space.INVERSE)
"""Resizing of depth for networks that predict inverse depth."""
_FORMAT_CHARACTERS = 200
"""The format is stated in so many characters at the beginning of ``config.json``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRunRecord:
    """Fields of a probe run's ``config.json`` that determine its network.

    ``backbone_rate`` is the learning rate of the backbone; 0 if it was frozen.
    """

    format: str = ""
    blueprint: Blueprint
    backbone_rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRunRecord:
    """Fields of a video run's ``config.json`` that determine its network and licence.

    Attributes:
        format: Name and version of the format of the file.
        blueprint: Settings of the networks.
        start: Run or checkpoint whose weights training was initialised from; None for others.
        prior: Model whose depth supervised the training as a prior; None if there was none.
    """

    format: str = ""
    blueprint: VideoBlueprint
    start: str | None = None
    prior: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedRunRecord:
    """Fields of a fine-tuning run's ``config.json`` that determine its network."""

    format: str = ""
    network: TunedBlueprint


_Record = TypeVar("_Record", ProbeRunRecord, VideoRunRecord, TunedRunRecord)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """Settings of a network trained on video."""

    post_process: bool = False
    """Whether to average depth with that of the mirrored photograph, except at borders (Godard et
    al. 2017); takes twice the time.
    """


def is_probe_run(folder: Path) -> bool:
    """Whether a folder is the run of a probe, of any version."""
    return _has_format(folder, PROBE_FORMAT)


def is_video_run(folder: Path) -> bool:
    """Whether a folder is a run of training on video, of any version."""
    return _has_format(folder, VIDEO_FORMAT)


def is_tuned_run(folder: Path) -> bool:
    """Whether a folder is a fine-tuning run, of any version."""
    return _has_format(folder, TUNED_FORMAT)


def _has_format(folder: Path, expected_format: str) -> bool:
    """Whether a folder's ``config.json`` states a format, in any version of it."""
    name, _, _ = expected_format.partition("/")
    try:
        check_regular(folder / CONFIG)
        with (folder / CONFIG).open(encoding="utf-8") as file:
            return f'"{name}/' in file.read(_FORMAT_CHARACTERS)
    except (InputError, OSError, UnicodeDecodeError):
        return False


def read_probe_run(folder: Path) -> ProbeRunRecord:
    """Read the configuration of a probe's run."""
    return _read_record(ProbeRunRecord, folder, PROBE_FORMAT, "a probe training run")


def read_video_run(folder: Path) -> VideoRunRecord:
    """Read the configuration of a run on video; raises as ``read_probe_run`` does."""
    return _read_record(VideoRunRecord, folder, VIDEO_FORMAT, "a video training run")


def read_tuned_run(folder: Path) -> TunedRunRecord:
    """Read the configuration of a fine-tuning run; raises as ``read_probe_run`` does."""
    return _read_record(TunedRunRecord, folder, TUNED_FORMAT, "a fine-tuning run")


def _read_record(
    record_class: type[_Record], folder: Path, expected_format: str, expected_run: str
) -> _Record:
    """Read the ``config.json`` of a training run.

    Raises:
        ModelError: If it is not ``expected_run``, or has another version of the format.
    """
    path = folder / CONFIG
    try:
        record = from_json(record_class, read_text(path))
    except (InvalidRecordError, OptionError, InputError) as error:
        # The message is the path, these words, and the problem.
        raise ModelError(f"is not {expected_run}:", path=path, problem=Text(error)) from error
    if record.format != expected_format:
        raise ModelError(
            f"{path}: has format '{record.format}', expected '{expected_format}': the run was "
            "trained with another version of rilievo, so use that version, or train again"
        )
    return record


def run_folder(card: ModelCard) -> Path:
    """Folder of the run that a card describes."""
    assert card.source is not None, "the card of a run has its folder"
    return Path(card.source)


def check_code_is_trusted(blueprint: Blueprint, folder: Path) -> None:
    """Refuse a run whose backbone or probe is code that the user has not named as trusted."""
    check_trusted(blueprint.backbone.name, "backbone", folder / CONFIG)
    check_trusted(blueprint.probe.kind, "probe", folder / CONFIG)


def predicts_motion(folder: Path) -> bool:
    """Whether a run on video or a checkpoint of Monodepth2 has a network for camera motion."""
    if is_video_run(folder):
        return read_video_run(folder).blueprint.pose in POSE_NETWORKS
    return is_official_checkpoint(folder) and (folder / POSE).is_file()


def probe_settings(blueprint: Blueprint) -> dict[str, Setting]:
    """Settings of a probe that are recorded with its predictions."""
    return {
        "backbone": blueprint.backbone.name,
        "probe": blueprint.probe.kind,
        "treatment": blueprint.treatment,
    }


def video_settings(blueprint: VideoBlueprint, settings: VideoSettings) -> dict[str, Setting]:
    """Settings of a network trained on video that are recorded with its predictions."""
    return {
        "encoder": blueprint.encoder,
        "unit": blueprint.unit,
        "post_process": settings.post_process,
    }
