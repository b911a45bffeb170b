"""Cards of training runs as models, without torch."""

import os
from pathlib import Path
from typing import Any

from rilievo.errors import ModelError, RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.models import find_card
from rilievo.models.card import ModelCard
from rilievo.models.hub import diffusion_cards
from rilievo.models.hub.checkpoints import resizing_of
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.models.resampling.inference import PLAIN, Resizing
from rilievo.training.adapters import monodepth2
from rilievo.training.adapters.run_models import (
    AS_INVERSE,
    PIPELINE,
    WEIGHTS,
    is_run,
    is_tuned_run,
    is_video_run,
    read_probe_run,
    read_tuned_run,
    read_video_run,
)
from rilievo.training.networks.blueprint import Family, TunedBlueprint, is_official_checkpoint

_NON_COMMERCIAL = ", NON-COMMERCIAL"


def find_trained(request: ModelRequest) -> FoundModel | None:
    """Card of a run's or Monodepth2's folder."""
    # A folder of that name, such as a clone of its repository, comes first.
    if not os.path.isdir(request.name):
        is_family = request.text == monodepth2.MONODEPTH2
        return FoundModel(card=monodepth2.family_card()) if is_family else None
    folder = Path(request.name).resolve()
    if is_official_checkpoint(folder):
        return FoundModel(card=monodepth2.folder_card(folder))
    if is_run(folder):
        return FoundModel(card=probe_run_card(folder))
    if is_tuned_run(folder):
        return FoundModel(card=tuned_run_card(folder))
    return FoundModel(card=video_run_card(folder)) if is_video_run(folder) else None


def _weights_megabytes(folder: Path) -> float:
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(
            f"has no {WEIGHTS} yet: its training was stopped before the first checkpoint",
            path=folder,
            hint=Text("go on with it (", OptionName("resume"), ")"),
        )
    return weights.stat().st_size / 1e6


def probe_run_card(folder: Path) -> ModelCard:
    """Card of a probe's run."""
    facts = read_probe_run(folder)
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
        megabytes=_weights_megabytes(folder),
        extra="train",
        loader="probe-run",
        source=str(folder),
    )


def _priors_along_starts_with_licences(folder: Path) -> list[str]:
    named: list[str] = []
    folders: set[Path] = set()
    while folder not in folders and is_video_run(folder):
        folders.add(folder)
        facts = read_video_run(folder)
        if facts.prior is not None and (one := _name_with_licence(facts.prior)) not in named:
            named.append(one)
        if facts.start is None:
            break
        folder = Path(facts.start).resolve()
    return named


def _name_with_licence(name: str) -> str:
    try:
        card = find_card(name)
    except RilievoError:
        return f"{name} (its licence is not known here)"
    return f"{name} ({card.licence}{_NON_COMMERCIAL if card.commercial is False else ''})"


def video_run_card(folder: Path) -> ModelCard:
    """Card of a run on video."""
    facts, teachers = read_video_run(folder), _priors_along_starts_with_licences(folder)
    blueprint = facts.blueprint
    height, width = blueprint.size
    named = ", ".join(teachers)
    taught = f"; depth taught by {named}" if teachers else ""
    return ModelCard(
        name=str(folder),
        summary=f"depth learned from video: {blueprint.encoder} at {width}x{height}",
        kind=blueprint.kind,
        licence=f"that of the footage it was trained on{taught}; US patent 11991342 is named for "
        "the method",
        teacher=named,
        commercial=False if _NON_COMMERCIAL in named else None,
        megabytes=_weights_megabytes(folder),
        extra="train",
        loader="video-run",
        resizing=AS_INVERSE,
        source=str(folder),
        settings="rilievo.training.adapters.run_models:VideoSettings",
    )


def tuned_run_card(folder: Path) -> ModelCard:
    """Card of further training."""
    network = read_tuned_run(folder).network
    probed = network.probed
    facts: dict[str, Any] = {"loader": "tuned-run", "source": str(folder), "extra": "train"}
    if network.family is Family.MARIGOLD:
        # The run's folder holds the whole pipeline.
        facts = {
            "loader": diffusion_cards.LOADER,
            "source": str(folder / PIPELINE),
            "extra": diffusion_cards.EXTRA,
            "settings": diffusion_cards.SETTINGS,
        }
    return ModelCard(
        name=str(folder),
        summary=f"{network.start}, trained further",
        kind=network.kind,
        normals=network.family is Family.SMALL or (probed is not None and probed.task.has_normals),
        confidence=probed is not None and probed.task.has_normals and probed.uncertainty,
        licence=f"{network.licence}, and that of the data it was trained on",
        teacher=network.teacher,
        commercial=False if _NON_COMMERCIAL in network.teacher else None,
        area=network.area or None,
        resizing=_tuned_resizing(network),
        megabytes=_weights_megabytes(folder),
        **facts,
    )


def _tuned_resizing(network: TunedBlueprint) -> Resizing:
    if network.family is Family.MARIGOLD:
        return diffusion_cards.RESIZING
    return resizing_of(network.architecture) if network.architecture else PLAIN
