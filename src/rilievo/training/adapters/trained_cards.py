"""Cards of training runs and of checkpoints of Monodepth2: what such a model predicts.

Nothing here imports torch.
"""

import os
from pathlib import Path

from rilievo.errors import ModelError, RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.models import find_card
from rilievo.models.card import ModelCard
from rilievo.models.hub.checkpoints import architecture_resizing
from rilievo.models.hub.diffusion_cards import as_saved_pipeline
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.models.resampling.inference import DEFAULT_RESIZING, Resizing
from rilievo.training.adapters import monodepth2
from rilievo.training.adapters.run_models import (
    INVERSE_RESIZING,
    PIPELINE_FOLDER,
    WEIGHTS,
    is_probe_run,
    is_tuned_run,
    is_video_run,
    read_probe_run,
    read_tuned_run,
    read_video_run,
)
from rilievo.training.networks.blueprint import (
    Family,
    ProbeTarget,
    TunedBlueprint,
    is_official_checkpoint,
)

_NON_COMMERCIAL = ", NON-COMMERCIAL"
"""What follows the licence of a teacher that forbids commercial use."""


def find_trained(request: ModelRequest) -> FoundModel | None:
    """Find the model in the folder of a training run, or of a checkpoint of Monodepth2.

    Returns:
        The model; None if the request names no such folder, and is not "monodepth2" either.
    """
    # Folders come first, because a clone of Monodepth2's repository has the name of the model.
    card = None
    if os.path.isdir(request.name):
        card = _folder_card(Path(request.name).resolve())
    elif request.text == monodepth2.MONODEPTH2:
        card = monodepth2.family_card()
    return None if card is None else FoundModel(card=card)


def _folder_card(folder: Path) -> ModelCard | None:
    """Card of a folder; None if it is neither a checkpoint of Monodepth2 nor a training run."""
    if is_official_checkpoint(folder):
        return monodepth2.folder_card(folder)
    if is_probe_run(folder):
        return probe_run_card(folder)
    if is_tuned_run(folder):
        return tuned_run_card(folder)
    if is_video_run(folder):
        return video_run_card(folder)
    return None


def probe_run_card(folder: Path) -> ModelCard:
    """Card of the run of a probe; ``ModelError`` if the run is broken or has no weights yet."""
    record = read_probe_run(folder)
    blueprint = record.blueprint
    task = blueprint.task
    predicted = "depth and normals" if task is ProbeTarget.BOTH else task
    backbone_state = "fine-tuned" if record.backbone_rate else "frozen"
    backbone = f"{blueprint.backbone.name}, {backbone_state}"
    return ModelCard(
        name=str(folder),
        summary=f"{predicted} from a {blueprint.probe.kind} probe on {backbone}",
        kind=blueprint.depth.kind if task.has_depth else None,
        normals=task.has_normals,
        confidence=task.has_normals and blueprint.uncertainty,
        licence="the licences of the backbone and of the training data",
        megabytes=_weights_megabytes(folder),
        extra="train",
        loader="probe-run",
        source=str(folder),
    )


def video_run_card(folder: Path) -> ModelCard:
    """Card of a run on video; ``ModelError`` if the run is broken or has no weights yet."""
    blueprint = read_video_run(folder).blueprint
    height, width = blueprint.size
    teachers = ", ".join(_teachers_with_licences(folder))
    teachers_clause = f"; depth taught by {teachers}" if teachers else ""
    return ModelCard(
        name=str(folder),
        summary=f"depth learned from video: {blueprint.encoder} at {width}x{height}",
        kind=blueprint.kind,
        licence=(
            f"the licence of the training footage{teachers_clause}; the authors of the method cite "
            "US patent 11991342"
        ),
        teacher=teachers,
        commercial=False if _NON_COMMERCIAL in teachers else None,
        megabytes=_weights_megabytes(folder),
        extra="train",
        loader="video-run",
        resizing=INVERSE_RESIZING,
        source=str(folder),
        settings="rilievo.training.adapters.run_models:VideoSettings",
    )


def _teachers_with_licences(folder: Path) -> list[str]:
    """Models whose depth was the prior of a run on video, or of the runs from which it started."""
    teachers: list[str] = []
    visited: set[Path] = set()
    while folder not in visited and is_video_run(folder):
        visited.add(folder)
        record = read_video_run(folder)
        if record.prior is not None:
            teachers.append(_name_with_licence(record.prior))
        if record.start is None:
            break
        folder = Path(record.start).resolve()
    return list(dict.fromkeys(teachers))


def _name_with_licence(name: str) -> str:
    try:
        card = find_card(name)
    except RilievoError:
        return f"{name} (licence unknown)"
    restriction = _NON_COMMERCIAL if card.commercial is False else ""
    return f"{name} ({card.licence}{restriction})"


def tuned_run_card(folder: Path) -> ModelCard:
    """Card of a fine-tuning run; ``ModelError`` if it is broken or has no weights yet."""
    blueprint = read_tuned_run(folder).network
    probed = blueprint.probed
    probes_normals = probed is not None and probed.task.has_normals
    card = ModelCard(
        name=str(folder),
        summary=f"{blueprint.start}, fine-tuned",
        kind=blueprint.kind,
        normals=blueprint.family is Family.SMALL or probes_normals,
        confidence=probed is not None and probes_normals and probed.uncertainty,
        licence=f"{blueprint.licence}, and the licence of the training data",
        teacher=blueprint.teacher,
        # Unknown unless a teacher forbids it.
        commercial=False if _NON_COMMERCIAL in blueprint.teacher else None,
        area=blueprint.area or None,
        resizing=_tuned_resizing(blueprint),
        megabytes=_weights_megabytes(folder),
        extra="train",
        loader="tuned-run",
        source=str(folder),
    )
    if blueprint.family is Family.MARIGOLD:
        # The run's folder has the whole pipeline, which diffusers loads.
        return as_saved_pipeline(card, folder / PIPELINE_FOLDER)
    return card


def _tuned_resizing(blueprint: TunedBlueprint) -> Resizing:
    if not blueprint.architecture:
        return DEFAULT_RESIZING
    return architecture_resizing(blueprint.architecture)


def _weights_megabytes(folder: Path) -> float:
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(
            f"has no {WEIGHTS} yet: its training was stopped before the first checkpoint",
            path=folder,
            hint=Text("to finish the training, repeat its command with ", OptionName("resume")),
        )
    return weights.stat().st_size / 1e6
