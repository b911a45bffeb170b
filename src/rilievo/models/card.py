"""Model cards; those of the models that rilievo trained itself, and their files."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.errors import ModelError
from rilievo.types import DepthKind

if TYPE_CHECKING:
    from rilievo.models.engines import LoadOptions
    from rilievo.models.onnx import OnnxModel


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
        stated: Place where the authors state the licence; empty where none is known.
        research_data: Whether the weights were trained on data some of which is for
            non-commercial use alone; False if not known.
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
    stated: str = ""
    research_data: bool = False
    commercial: bool | None = None
    megabytes: float | None = None
    extra: str | None = None
    speed: str = "not measured"
    published: str | None = None
    loader: str = ""
    source: str | None = None
    settings: str | None = None


NOT_STATED = "not stated"
"""Licence of weights whose authors state none."""

RESEARCH_DATA = (
    "partly for non-commercial use; whether that binds the weights, their licence does not say"
)
"""Note on the training data of all models with ``research_data``."""


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


BASE, SMALL, TINY = "rilievo/base", "rilievo/small", "rilievo/tiny"
RENDERED = "rilievo/small-rendered"
SEPARATE = "rilievo.models.card:load_separate"


def embedded_cards() -> tuple[ModelCard, ...]:
    """Cards with the default first; all but the last are inside the package."""
    return (
        _card(
            BASE,
            "embedded default for photographs: ResNet50 v2 encoder; works offline immediately",
            megabytes=11.0,
            speed="medium: some forty milliseconds",
        ),
        _card(
            SMALL,
            "embedded default for videos: MobileNetV2 encoder; 2.6 times as fast as base",
            megabytes=3.0,
            speed="fast: ten milliseconds",
        ),
        _card(
            TINY,
            "for small machines: a quarter of the weights of small",
            megabytes=2.7,
            speed="fastest: a few milliseconds",
        ),
        _card(
            RENDERED,
            "as small, trained on rendered scenes alone",
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


FOLDER = "weights"
"""Folder in the repository, and below the cache folder."""

VARIABLE = "RILIEVO_WEIGHTS"


def load_separate(card: ModelCard, options: "LoadOptions") -> "OnnxModel":
    """Load a network from its own file (``ModelCard.loader``)."""
    from rilievo.models.onnx import OnnxModel

    if options.revision is not None:
        raise ModelError(f"model '{card.name}' is one file, so it has no '@{options.revision}'")
    path = file_of(card)
    model = OnnxModel(path, options, card)
    if model.facts.name != card.name:
        raise ModelError(
            f"{path}: should be '{card.name}', but its metadata name '{model.facts.name}'; take "
            f"{card.source} anew"
        )
    return model


def file_of(card: ModelCard) -> Path:
    """File of a network of rilievo's own, inside the package or apart."""
    if card.source is None:
        from rilievo.models.onnx import embedded_file

        return embedded_file(card.name)
    path = find_file(card)
    if path is None:
        raise ModelError(
            f"model '{card.name}' is not inside the package: take {card.source}, put it into "
            f"{_own_folder()} ({VARIABLE} names another folder), or give its path as the model"
        )
    return path


def find_file(card: ModelCard) -> Path | None:
    """Find the file of a network in the first folder that has it; None if there is none."""
    file = f"{card.name.partition('/')[2]}.onnx"
    return next((folder / file for folder in _folders() if (folder / file).is_file()), None)


def _folders() -> Iterator[Path]:
    given = os.environ.get(VARIABLE)
    if given:
        yield Path(given)
    yield _own_folder()
    source = Path(__file__).parents[2]
    if source.name == "src":
        yield source.parent / FOLDER


def _own_folder() -> Path:
    from rilievo.models.engines import cache_directory

    return cache_directory() / FOLDER
