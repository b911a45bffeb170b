"""Pipelines of diffusers that predict depth or normals: their cards and settings."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rilievo.errors import OptionError
from rilievo.models.card import ModelCard, known_models
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.models.resampling.inference import Filter, Resizing
from rilievo.records.depth_map import DepthKind

INDEX_FILE = "model_index.json"
"""File in the folder of a saved pipeline that names its parts."""
PREFIX = "diffusers:"
LOADER = "diffusers"
EXTRA = "models"
SETTINGS = "rilievo.models.hub.diffusion_cards:DiffusionSettings"
RESIZING = Resizing(filter=Filter.LINEAR)
"""As in Marigold (``resample_method_output``)."""
_MEGABYTES = 5160.0
"""Size of the weights of Stable Diffusion 2 in fp32, on which the known pipelines are based."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionSettings:
    """Settings of Marigold, and of pipelines with its interface."""

    steps: int | None = None
    """Number of denoising steps; by default what the checkpoint's authors recommend."""
    ensemble: int = 1
    """Number of predictions from different noise that are aligned and merged, 1 or at least 3. More
    than one also gives a confidence. The time grows with this number, but the memory hardly does.
    """
    seed: int = 0
    """Seed of the noise. The same seed gives the same result."""
    resolution: int | None = None
    """Longer side to which photographs are resized [px]. 0 keeps their size. By default 768, as the
    authors recommend. The memory grows with the square of this side.
    """

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise OptionError(f"steps must be 1 to 1000, got {self.steps}")
        if not 1 <= self.ensemble <= 100 or self.ensemble == 2:
            raise OptionError(
                f"ensemble must be 1, or 3 to 100 (two members have no median), got {self.ensemble}"
            )
        if not 0 <= self.seed < 2**63:
            raise OptionError(f"seed must be 0 to 2^63 - 1, got {self.seed}")
        if self.resolution is not None and not (
            self.resolution == 0 or 32 <= self.resolution <= 8192
        ):
            raise OptionError(f"resolution must be 0, or 32 to 8192 pixels, got {self.resolution}")


def _pipeline_card(kind: str | None = None, **fields: Any) -> ModelCard:
    return ModelCard(
        kind=None if kind is None else DepthKind(kind),
        confidence=True,
        extra=EXTRA,
        loader=LOADER,
        settings=SETTINGS,
        resizing=RESIZING,
        **fields,
    )


# A Marigold predicts depth in [0, 1] with the nearest surface at 0, or normals.
REPOSITORIES: Mapping[str, ModelCard] = {
    row["source"]: _pipeline_card(
        normals="kind" not in row,
        commercial=True,
        megabytes=_MEGABYTES,
        speed="minutes; a GPU is recommended",
        **row,
    )
    for row in known_models("pipelines")
}
"""Cards of known pipelines by their repository on the hub."""


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of all known pipelines."""
    return tuple(REPOSITORIES.values())


def unlisted_card(source: str, kind: DepthKind | None, *, local: bool) -> ModelCard:
    """Card of an unknown pipeline, in a local folder or in a repository of the hub."""
    return _pipeline_card(
        kind,
        name=source if local else PREFIX + source,
        summary="a pipeline in a local folder" if local else "a pipeline from the hub",
        licence="not stated" if local else f"see https://huggingface.co/{source}",
        source=source,
    )


def as_saved_pipeline(card: ModelCard, folder: Path) -> ModelCard:
    """Change the card of a model so that it is loaded as the pipeline that a folder holds."""
    return replace(
        card,
        extra=EXTRA,
        loader=LOADER,
        settings=SETTINGS,
        resizing=RESIZING,
        source=str(folder),
    )


def find(request: ModelRequest) -> FoundModel | None:
    """Find the pipeline that a request names."""
    return find_pipeline(request.text, request.kind)


def find_pipeline(name: str, kind: DepthKind | None) -> FoundModel | None:
    """Find a pipeline by its folder, by its known repository, or by ``diffusers:ORG/NAME``."""
    if os.path.isfile(Path(name) / INDEX_FILE):
        return FoundModel(card=unlisted_card(str(Path(name).resolve()), kind, local=True))
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    if repository in REPOSITORIES:
        return FoundModel(card=REPOSITORIES[repository], revision=revision or None)
    if name.startswith(PREFIX):
        card = unlisted_card(repository, kind, local=False)
        return FoundModel(card=card, revision=revision or None)
    return None
