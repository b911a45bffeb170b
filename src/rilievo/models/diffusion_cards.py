"""Known diffusion models and their settings, readable without torch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.models.card import ModelCard
from rilievo.models.pipeline_index import FILE
from rilievo.types import DepthKind

PREFIX = "diffusers:"
"""Prefix for a repository of the hub that holds an unknown pipeline."""
LOADER = "rilievo.models.pipelines:load"
SETTINGS = "rilievo.models.diffusion_cards:DiffusionSettings"
EXTRA = "models"
MEGABYTES = 5160.0
"""Size of the weights of Stable Diffusion 2 in full precision, which every Marigold has."""
_SLOW = "minutes; a GPU is expected"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionSettings:
    """Settings of Marigold, and of other pipelines of diffusers with the same interface."""

    steps: int | None = None
    """Number of denoising steps; by default what the checkpoint's authors recommend."""
    ensemble: int = 1
    """Number of predictions from different noise that are aligned and merged, 1 or at least 3; more
    than one also gives a confidence. Time grows with it, memory hardly.
    """
    seed: int = 0
    """Seed of the noise. The same seed gives the same result, whatever else is predicted."""
    resolution: int | None = None
    """Longer side [px] to which photographs are resized; 0 keeps their own; by default what the
    checkpoint's authors recommend (768). Memory grows with its square.
    """

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise OptionError(f"steps is 1 to 1000, got {self.steps}")
        if not 1 <= self.ensemble <= 100 or self.ensemble == 2:
            raise OptionError(
                f"ensemble is 1, or 3 to 100 (two members have no median), got {self.ensemble}"
            )
        if not 0 <= self.seed < 2**63:
            raise OptionError(f"seed is 0 to 2^63 - 1, got {self.seed}")
        if self.resolution is not None and not (
            self.resolution == 0 or 32 <= self.resolution <= 8192
        ):
            raise OptionError(f"resolution is 0, or 32 to 8192 pixels, got {self.resolution}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """One row of ``REPOSITORIES``; licences are those that the authors state for the weights."""

    name: str
    summary: str
    licence: str
    normals: bool = False


# The RAIL++-M licence allows commercial use, and forbids some harmful uses.
_RAIL = "OpenRAIL++-M"
_DEPTH, _NORMALS = "Marigold depth", "Marigold normals"

REPOSITORIES: Mapping[str, _Known] = {
    "prs-eth/marigold-depth-v1-1": _Known(
        name="marigold/depth-v1-1", summary=f"{_DEPTH} 1.1, few steps (DDIM)", licence=_RAIL
    ),
    "prs-eth/marigold-depth-v1-0": _Known(
        name="marigold/depth-v1-0",
        summary=f"{_DEPTH} 1.0, the paper's (DDIM, 10 to 50 steps)",
        licence="Apache-2.0",
    ),
    "prs-eth/marigold-depth-lcm-v1-0": _Known(
        name="marigold/depth-lcm", summary=f"{_DEPTH} 1.0, 1 to 4 steps (LCM)", licence="Apache-2.0"
    ),
    "prs-eth/marigold-normals-v1-1": _Known(
        name="marigold/normals-v1-1",
        summary=f"{_NORMALS} 1.1, few steps (DDIM)",
        licence=_RAIL,
        normals=True,
    ),
    "prs-eth/marigold-normals-lcm-v0-1": _Known(
        name="marigold/normals-lcm",
        summary=f"{_NORMALS} 0.1, 1 to 4 steps (LCM)",
        licence="Apache-2.0",
        normals=True,
    ),
}


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of all known repositories."""
    return tuple(repository_card(repository) for repository in REPOSITORIES)


def repository_card(repository: str) -> ModelCard:
    """Card of a known repository: depth in [0, 1] with the nearest surface at 0, or normals."""
    known = REPOSITORIES[repository]
    return ModelCard(
        name=known.name,
        summary=known.summary,
        kind=None if known.normals else DepthKind.AFFINE,
        normals=known.normals,
        confidence=True,
        licence=known.licence,
        commercial=True,
        megabytes=MEGABYTES,
        extra=EXTRA,
        speed=_SLOW,
        loader=LOADER,
        source=repository,
        settings=SETTINGS,
    )


def unlisted_card(source: str, kind: DepthKind | None, *, local: bool) -> ModelCard:
    """Card of an unknown pipeline, before its files have been read."""
    return ModelCard(
        name=source if local else PREFIX + source,
        summary="a pipeline in a local folder" if local else "a pipeline of the hub",
        kind=kind,
        confidence=True,
        licence="not stated" if local else f"see https://huggingface.co/{source}",
        extra=EXTRA,
        loader=LOADER,
        source=source,
        settings=SETTINGS,
    )


def find_pipeline(name: str, kind: DepthKind | None) -> tuple[ModelCard, str | None] | None:
    """Find the card and the revision of a pipeline that has no short name.

    Args:
        name: A folder that diffusers saved, ``diffusers:org/name`` or a known repository; the
            latter two may be followed by ``@`` and a revision.
        kind: Kind of its depth, if the user states it.

    Returns:
        Card and revision; None if the name is not that of a pipeline.
    """
    if os.path.isfile(Path(name) / FILE):
        return unlisted_card(str(Path(name).resolve()), kind, local=True), None
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    if repository in REPOSITORIES:
        return repository_card(repository), revision or None
    if name.startswith(PREFIX):
        return unlisted_card(repository, kind, local=False), revision or None
    return None
