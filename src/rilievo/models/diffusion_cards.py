"""The diffusion models that are known, and what can be set of one; data, read without torch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.models.card import ModelCard
from rilievo.models.pipeline_index import FILE
from rilievo.types import DepthKind

PREFIX = "diffusers:"
"""Before a repository of the hub that holds a pipeline nobody here knows."""
LOADER = "rilievo.models.pipelines:load"
SETTINGS = "rilievo.models.diffusion_cards:DiffusionSettings"
EXTRA = "models"
MEGABYTES = 5160.0
"""Of the weights of Stable Diffusion 2 in full precision, which every Marigold has."""
_SLOW = "minutes; a GPU is expected"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionSettings:
    """What can be set of Marigold, and of any pipeline of diffusers that is called as it is.

    Raises:
        OptionError: If a number is out of range.
    """

    steps: int | None = None
    """Steps that take the noise away; by default what the checkpoint's authors recommend."""
    ensemble: int = 1
    """Answers from different noise that are aligned and merged, 1 or from 3 on; more than one
    gives a confidence too. Time grows with it, memory hardly."""
    seed: int = 0
    """Of the noise. The same seed gives the same answer, whatever else is predicted."""
    resolution: int | None = None
    """Longer side in pixels at which a photograph is seen; 0 for its own; by default what the
    checkpoint's authors recommend (768). Memory grows with its square."""

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise OptionError(f"steps is 1 to 1000, got {self.steps}")
        if not 1 <= self.ensemble <= 100 or self.ensemble == 2:
            raise OptionError(
                f"ensemble is 1, or 3 to 100 (two answers have no middle), got {self.ensemble}"
            )
        if not 0 <= self.seed < 2**63:
            raise OptionError(f"seed is 0 to 2^63 - 1, got {self.seed}")
        if self.resolution is not None and not (
            self.resolution == 0 or 32 <= self.resolution <= 8192
        ):
            raise OptionError(f"resolution is 0, or 32 to 8192 pixels, got {self.resolution}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """One line of ``REPOSITORIES``; licences are what the authors state for the weights."""

    name: str
    summary: str
    licence: str
    normals: bool = False


# The RAIL++-M licence allows commercial use, and forbids some harmful ones.
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
    """The cards of all known repositories."""
    return tuple(repository_card(repository) for repository in REPOSITORIES)


def repository_card(repository: str) -> ModelCard:
    """The card of a known repository: depth in [0, 1], the nearest surface 0; or normals."""
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
    """The card of a pipeline that nobody here knows, before it says itself what it is.

    Args:
        source: The repository, or the absolute path of a folder.
        kind: What its depth is, if the user says so.
        local: Whether it is a folder.
    """
    return ModelCard(
        name=source if local else PREFIX + source,
        summary="a pipeline in a local folder" if local else "a pipeline of the hub",
        kind=kind,
        normals=False,
        confidence=True,
        licence="not stated" if local else f"see https://huggingface.co/{source}",
        commercial=None,
        megabytes=None,
        extra=EXTRA,
        speed="not measured",
        loader=LOADER,
        source=source,
        settings=SETTINGS,
    )


def find_pipeline(name: str, kind: DepthKind | None) -> tuple[ModelCard, str | None] | None:
    """The card of a pipeline, and its revision, by a name that is none of the short ones.

    Args:
        name: A folder that diffusers saved, ``diffusers:org/name`` or a known repository, either
            followed by ``@`` and a revision or not.
        kind: What its depth is, if the user says so.

    Returns:
        None for the name of something else.
    """
    if os.path.isfile(Path(name) / FILE):
        return unlisted_card(str(Path(name).resolve()), kind, local=True), None
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    if repository in REPOSITORIES:
        return repository_card(repository), revision or None
    if name.startswith(PREFIX):
        return unlisted_card(repository, kind, local=False), revision or None
    return None
