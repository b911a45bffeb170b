"""Cards of the models that rilievo trained itself."""

from collections.abc import Mapping
from pathlib import Path

from rilievo.models.card import ModelCard
from rilievo.types import DepthKind

BASE, SMALL = "rilievo/base", "rilievo/small"
RENDERED = "rilievo/small-rendered"
SEPARATE = "separate"
"""Loader of a network whose file lies apart from the package."""


def embedded_cards() -> tuple[ModelCard, ...]:
    """Cards with the default first; all but the last are inside the package."""
    return (
        _card(
            BASE,
            "embedded default for photographs: layout and detail, two networks in one graph",
            area=196_608,
            megabytes=14.1,
            speed="medium: some eighty milliseconds",
            marks=True,
        ),
        _card(
            SMALL,
            "embedded default for videos: MobileNetV2 encoder; five times as fast as base",
            area=64_512,
            megabytes=3.0,
            speed="fast: ten milliseconds",
        ),
        _card(
            RENDERED,
            "as small, trained on rendered scenes alone",
            area=49_152,
            megabytes=5.6,
            speed="fast: ten milliseconds",
            loader=SEPARATE,
            source="weights/small-rendered.onnx of rilievo's repository",
        ),
    )


def _card(
    name: str,
    summary: str,
    *,
    area: int,
    megabytes: float,
    speed: str,
    marks: bool = False,
    loader: str = "embedded",
    source: str | None = None,
) -> ModelCard:
    return ModelCard(
        name=name,
        summary=summary,
        kind=DepthKind.UP_TO_SCALE,
        normals=True,
        confidence=True,
        sky=marks,
        licence="Apache-2.0",
        commercial=True,
        area=area,
        megabytes=megabytes,
        speed=speed,
        loader=loader,
        source=source,
    )


EMBEDDED: Mapping[str, ModelCard] = {card.name: card for card in embedded_cards()}
"""Cards by name, with the default first."""


def read_details(card: ModelCard) -> str | None:
    """Read the long card beside embedded weights; None if there is none."""
    family, _, variant = card.name.partition("/")
    if family != "rilievo":
        return None
    path = Path(__file__).parent / f"{variant}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None
