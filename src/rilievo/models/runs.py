"""Folders of trained networks, as far as a model needs them; without torch.

They are of training runs, of probes and on video, and of checkpoints of Monodepth2 (Godard et al.,
ICCV 2019) as published by its authors. The latter are not downloaded, because their licence forbids
redistribution: users unpack them into a folder.
"""

import hashlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rilievo.errors import InputError, MissingExtraError, ModelError, OptionError
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.limits import check_regular, printable, read_text
from rilievo.models.card import ModelCard
from rilievo.models.engines import LoadOptions
from rilievo.models.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.models.settings import read_settings
from rilievo.networks.blueprint import DEPTH, ENCODER, Blueprint, VideoBlueprint
from rilievo.types import DepthKind

if TYPE_CHECKING:
    from rilievo.models.torch_model import TorchModel


CONFIG, WEIGHTS = "config.json", "weights.safetensors"
PROBE_FORMAT, VIDEO_FORMAT = "rilievo-probe/1", "rilievo-video/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Facts in a run's ``config.json`` that a model needs."""

    format: str = ""
    blueprint: Blueprint
    backbone_rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRunFacts:
    """Facts in a run's ``config.json`` that a model needs."""

    format: str = ""
    blueprint: VideoBlueprint


Facts = TypeVar("Facts", RunFacts, VideoRunFacts)


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
    return _read(RunFacts, folder, PROBE_FORMAT, "of a probe")


def preparation_of(blueprint: Blueprint) -> Preparation:
    """Preparation that resizes photographs to a blueprint's size, the same as in training."""
    height, width = blueprint.size
    return Preparation(
        sizing=Sizing(rule=Rule.FIXED, height=height, width=width),
        resampling=Resampling.BILINEAR,
    )


def _read(kind: type[Facts], folder: Path, expected: str, what: str) -> Facts:
    try:
        facts = from_json(kind, read_text(folder / CONFIG))
    except (NotThisRecord, OptionError, InputError) as error:
        raise ModelError(f"{folder / CONFIG}: is not a run {what}: {error}") from error
    if facts.format != expected:
        raise ModelError(
            f"{folder / CONFIG}: is of format '{facts.format}', expected '{expected}': it was "
            "trained by another version of rilievo"
        )
    return facts


def _megabytes(folder: Path) -> float:
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(
            f"{folder}: has no {WEIGHTS} yet: its training was stopped before the first "
            "checkpoint; go on with it (--resume)"
        )
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
        loader="rilievo.models.trained:load_probe",
        source=str(folder),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """Settings of a network trained on video."""

    post_process: bool = False
    """Whether to average depth with that of the mirrored photograph, each used alone at the border
    where it is better (Godard et al. 2017); takes twice the time.
    """


def is_video_run(folder: Path) -> bool:
    """Whether a folder is that of a run on video."""
    return is_run(folder, VIDEO_FORMAT)


def read_video_run(folder: Path) -> VideoRunFacts:
    """Read the folder of a run on video."""
    return _read(VideoRunFacts, folder, VIDEO_FORMAT, "on video")


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
        loader="rilievo.models.trained:load_video",
        source=str(folder),
        settings="rilievo.models.runs:VideoSettings",
    )


MONODEPTH2 = "monodepth2"
_LICENCE = (
    "Monodepth2's own: non-commercial use alone; its authors name US patent 11991342 for the method"
)


def _monodepth2_card(name: str, summary: str, source: str, *, stereo: bool = False) -> ModelCard:
    return ModelCard(
        name=name,
        summary=summary,
        kind=DepthKind.METRIC if stereo else DepthKind.UP_TO_SCALE,
        licence=_LICENCE,
        commercial=False,
        extra="train",
        speed="fast: about 0.1 s",
        loader="rilievo.models.runs:load_monodepth2",
        source=source,
        settings="rilievo.models.runs:VideoSettings",
    )


def family_card() -> ModelCard:
    """Card for all of them; a specific one needs its folder."""
    what = f"depth learned from driving; --model FOLDER of its {ENCODER} and {DEPTH}"
    return _monodepth2_card(
        MONODEPTH2, f"{what}, which are not fetched", "https://github.com/nianticlabs/monodepth2"
    )


def folder_card(folder: Path) -> ModelCard:
    """Card of a folder: metric if ``encoder.pth`` was trained on stereo pairs."""
    stereo = _official(str(folder)).learned_from_stereo(folder)
    summary = f"Monodepth2, learned from {'stereo pairs' if stereo else 'video alone'}"
    size = sum((folder / name).stat().st_size for name in (ENCODER, DEPTH))
    return replace(
        _monodepth2_card(str(folder), summary, str(folder), stereo=stereo), megabytes=size / 1e6
    )


def load_monodepth2(card: ModelCard, options: LoadOptions) -> "TorchModel":
    """Load a checkpoint (``ModelCard.loader``), and print its licence."""
    if card.name == MONODEPTH2:
        raise ModelError(
            f"{MONODEPTH2} is not fetched: unpack a checkpoint of {card.source} and give its "
            f"folder, the one of {ENCODER} and {DEPTH}"
        )
    official = _official(card.name)
    from rilievo.models.trained import video_model
    from rilievo.networks.video.depth import DepthNet

    assert card.source is not None, "the card of a checkpoint has its folder"
    settings, folder = read_settings(VideoSettings, options.settings, card.name), Path(card.source)
    found = official.read_official(folder, pose=False)
    depth = DepthNet(found.blueprint)
    depth.load_state_dict(dict(found.depth))
    sys.stderr.write(f"rilievo: NON-COMMERCIAL LICENCE of {printable(card.name)}: {card.licence}\n")
    return video_model(
        card, found.blueprint, depth, options, settings, weights_sha256=_sha256(folder)
    )


def _official(name: str):
    """The module that reads the files; it needs torch."""
    try:
        from rilievo.networks.video import official
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError(f"model '{printable(name)}'", "train") from error
    return official


def _sha256(folder: Path) -> str:
    """SHA-256 of the lines ``hash  name`` of the files that determine depth."""
    lines = "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in (DEPTH, ENCODER)
    )
    return hashlib.sha256(lines.encode()).hexdigest()
