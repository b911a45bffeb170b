"""Model cards: the facts for choosing a model."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rilievo.foreign_names import ForeignNames
from rilievo.frozen import frozen
from rilievo.models.resampling.answer_rule import PLAIN, Resizing
from rilievo.types import DepthKind

NOT_STATED = "not stated"
"""Licence of weights whose authors state none."""

RESEARCH_DATA = (
    "partly for non-commercial use; whether that binds the weights, their licence does not say"
)
"""Note on the training data of all models with ``research_data``."""


@frozen
class ModelCard(ForeignNames):
    """Facts for choosing a model; one row of ``MODELS``.

    Attributes:
        name: Name, ``family/variant``.
        summary: One-line description.
        kind: Kind of its depth; None for a model that predicts normals only.
        normals: Whether it predicts surface normals.
        confidence: Whether it predicts a confidence for each pixel.
        sky: Whether it tells pixels that see no surface from all others.
        camera: Whether it estimates the focal length.
        resizing: Rule by which its answer is resized to the photograph, of the program that
            docs/reference/other-programs.md names.
        licence: Licence of the weights: SPDX identifier, or the authors' words.
        stated: Place where the authors state the licence; empty where none is known.
        research_data: Whether the weights were trained on data some of which is for
            non-commercial use alone; False if not known.
        teacher: Model that labelled the training images, with its licence, which may not allow
            what the licence of these weights does; empty if none did, or it is not known.
        commercial: Whether the licence allows commercial use; None if unknown.
        area: Pixels of a photograph that it sees; None if that is not a fixed number.
        megabytes: Size of the weights on disk; None if unknown.
        hash_known: Whether the SHA-256 of its files is known beforehand; otherwise the size and
            hash that the hub states at the first download are checked then, and remembered.
        downloads: Address, bytes and SHA-256 of every file that is downloaded, as far as known, in
            words.
        extra: The extra of rilievo that it needs; None for the core.
        speed: Time for one 640x480 photograph on two CPU cores, in words.
        published: Published accuracy, with protocol and source; None if none is known.
        loader: Loader of the model, by its name in ``MODEL_KINDS`` or in
            ``rilievo.wings``, or as ``module:function``; optional for models of other packages.
        source: Origin of the weights: a repository of the hub, the absolute path of a folder, or
            the page of a hosted service; None for weights inside the package, or a file given by
            path.
        settings: Dataclass of its settings, ``module:class``
            (``rilievo.models.adapter_settings``); None if it has none.
    """

    name: str
    summary: str
    kind: DepthKind | None
    normals: bool = False
    confidence: bool = False
    sky: bool = False
    camera: bool = False
    resizing: Resizing = PLAIN
    licence: str
    stated: str = ""
    research_data: bool = False
    teacher: str = ""
    commercial: bool | None = None
    area: int | None = None
    megabytes: float | None = None
    hash_known: bool = True
    downloads: tuple[str, ...] = ()
    extra: str | None = None
    speed: str = "not measured"
    published: str | None = None
    loader: str = ""
    source: str | None = None
    settings: str | None = None

    @property
    def note(self) -> str:
        """Note on a model whose published weights never ran in our tests; empty for our own."""
        return "" if self.source is None else "not tried by us"


@cache
def _tables() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    import tomllib

    return tomllib.loads(Path(__file__).with_name("known.toml").read_text(encoding="utf-8"))


def known_models(table: str) -> Sequence[Mapping[str, Any]]:
    """Rows of one table of ``known.toml``: checkpoints, graphs, files, pipelines, replicate."""
    return _tables()[table]
