"""Depth checkpoints of the Hugging Face hub: the cards of known ones."""

from collections.abc import Mapping
from typing import Any

from rilievo.models.card import NOT_STATED, ModelCard, known_models
from rilievo.types import DepthKind

LOADER = "rilievo.models.transformers:load"
EXTRA = "models"


def _card(source: str, kind: str, licence: str, name: str = "", **facts: Any) -> ModelCard:
    """Card of a repository; without a short name, as twins of ONNX files, it is named by it."""
    return ModelCard(
        name=name or source,
        kind=DepthKind(kind),
        licence=licence,
        commercial=None if licence == NOT_STATED else licence in ("Apache-2.0", "MIT"),
        extra=EXTRA,
        loader=LOADER,
        source=source,
        **facts,
    )


KINDS: Mapping[str, ModelCard] = {
    row["source"]: _card(**row) for row in known_models("checkpoints")
}
"""Cards of known repositories, with the kind of their depth."""


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of all checkpoints that have a short name."""
    return tuple(card for repository, card in KINDS.items() if card.name != repository)


def unlisted_card(source: str, kind: DepthKind, *, local: bool) -> ModelCard:
    """Card of an unknown checkpoint, whose kind the user states."""
    return ModelCard(
        name=source,
        summary="a checkpoint in a local folder" if local else "a checkpoint of the hub",
        kind=kind,
        licence=NOT_STATED if local else f"see https://huggingface.co/{source}",
        extra=EXTRA,
        loader=LOADER,
        source=source,
    )
