"""Model cards: the facts for choosing a model; those of the models that rilievo trained itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rilievo.types import DepthKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Facts for choosing a model; one row of ``MODELS``.

    Attributes:
        name: Name, ``family/variant``.
        summary: One-line description.
        kind: Kind of its depth; None for a model that predicts normals only.
        normals: Whether it predicts surface normals.
        confidence: Whether it predicts a confidence for each pixel.
        camera: Whether it estimates the focal length.
        licence: Licence of the weights: SPDX identifier, or the authors' words.
        commercial: Whether the licence allows commercial use; None if unknown.
        megabytes: Size of the weights on disk; None if unknown.
        extra: The extra of rilievo that it needs; None for the core.
        speed: Time for one 640x480 photograph on two CPU cores, in words.
        published: Published accuracy, with protocol and source; None if none is known.
        loader: Function that makes the model, ``module:function``; optional for models of other
            packages.
        source: Origin of the weights: a repository of the hub, the absolute path of a folder, or
            the page of a hosted service; None for weights inside the package, or a file given by
            path.
        settings: Dataclass of its settings, ``module:class`` (``rilievo.models.settings``); None if
            it has none.
    """

    name: str
    summary: str
    kind: DepthKind | None
    normals: bool = False
    confidence: bool = False
    camera: bool = False
    licence: str
    commercial: bool | None = None
    megabytes: float | None = None
    extra: str | None = None
    speed: str = "not measured"
    published: str | None = None
    loader: str = ""
    source: str | None = None
    settings: str | None = None


@cache
def _tables() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    import tomllib

    return tomllib.loads(Path(__file__).with_name("known.toml").read_text(encoding="utf-8"))


def known_models(table: str) -> Sequence[Mapping[str, Any]]:
    """Rows of one table of ``known.toml``: checkpoints, files, pipelines or replicate."""
    return _tables()[table]


def read_details(card: ModelCard) -> str | None:
    """Read the long card beside embedded weights; None if there is none."""
    family, _, variant = card.name.partition("/")
    if family != "rilievo":
        return None
    path = Path(__file__).parent / "default" / f"{variant}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None


SMALL, INT8, TINY = "rilievo/small", "rilievo/small-int8", "rilievo/tiny"
RENDERED = "rilievo/small-rendered"
SEPARATE = "rilievo.models.separate:load"


def embedded_cards() -> tuple[ModelCard, ...]:
    """Cards with the default first; it and the tiny one are inside the package."""
    return (
        _card(
            SMALL,
            "embedded default: MobileNetV2 encoder, light decoder; works offline immediately",
            megabytes=11.1,
            speed="fast: ten milliseconds",
        ),
        _card(
            TINY,
            "for video and small machines: a quarter of the default's weights",
            megabytes=2.7,
            speed="fastest: a few milliseconds",
        ),
        _card(
            INT8,
            "the default in 8 bits: a third of the size, a little less exact",
            megabytes=3.4,
            speed="fast: some milliseconds",
            loader=SEPARATE,
            source="weights/small-int8.onnx of rilievo's repository",
        ),
        _card(
            RENDERED,
            "as the default, trained on rendered scenes alone",
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
    megabytes: float,
    speed: str,
    loader: str = "rilievo.models.onnx:load",
    source: str | None = None,
) -> ModelCard:
    return ModelCard(
        name=name,
        summary=summary,
        kind=DepthKind.UP_TO_SCALE,
        normals=True,
        confidence=True,
        licence="Apache-2.0",
        commercial=True,
        megabytes=megabytes,
        speed=speed,
        loader=loader,
        source=source,
    )
