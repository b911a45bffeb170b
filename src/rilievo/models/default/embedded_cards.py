"""Cards of the models inside the package."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rilievo.depth_map import DepthKind
from rilievo.models.card import ModelCard
from rilievo.models.contracts import FoundModel, ModelRequest

BASE, SMALL = "rilievo/base", "rilievo/small"


def embedded_cards() -> tuple[ModelCard, ...]:
    """Cards, the default first."""
    return (
        _card(
            name=BASE,
            summary="embedded default for photographs: layout and detail in one graph",
            area=196_608,
            megabytes=13.5,
            speed="84 ms",
            sky=True,
        ),
        _card(
            name=SMALL,
            summary="embedded default for videos: MobileNetV2 encoder; five times as fast as base",
            area=64_512,
            megabytes=3.1,
            speed="14 ms",
        ),
    )


def _card(**facts: Any) -> ModelCard:
    return ModelCard(
        kind=DepthKind.UP_TO_SCALE,
        normals=True,
        confidence=True,
        licence="Apache-2.0",
        commercial=True,
        loader="embedded",
        **facts,
    )


EMBEDDED: Mapping[str, ModelCard] = {card.name: card for card in embedded_cards()}


def find_embedded(request: ModelRequest) -> FoundModel | None:
    """Find an embedded model by its name."""
    is_name = isinstance(request.name, str) and request.name in EMBEDDED
    return FoundModel(card=EMBEDDED[request.text]) if is_name else None


def find_short(request: ModelRequest) -> FoundModel | None:
    """Find an embedded model by its last word, "small", unless a file is called so."""
    card = None if os.path.exists(request.name) else EMBEDDED.get(f"rilievo/{request.name}")
    return None if card is None else FoundModel(card=card)


def read_details(card: ModelCard) -> str | None:
    """Read the long card beside embedded weights."""
    family, _, variant = card.name.partition("/")
    if family != "rilievo":
        return None
    path = Path(__file__).parent / f"{variant}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None
