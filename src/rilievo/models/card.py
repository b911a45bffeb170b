"""Model cards, and the table of known models, ``known.toml``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rilievo.models.resampling.inference import DEFAULT_RESIZING, Resizing
from rilievo.records.depth_map import DepthKind

NOT_STATED = "not stated"
"""Licence of weights whose authors name none."""

RESEARCH_DATA = (
    "partly for non-commercial use; the licence of the weights does not say whether this "
    "restriction applies to the weights"
)
"""What is said about the training data of weights that were trained on research data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a model predicts, its licence, its cost, and where it comes from.

    Attributes:
        name: Name ``family/variant``.
        summary: One line for lists of models.
        kind: Kind of its depth; None if it predicts normals only.
        normals: Whether it predicts normals; ``confidence``, ``sky`` and ``camera`` likewise.
        resizing: How its depth is resized to the photograph.
        corrected_by_lines: Whether depth is corrected to agree with the lines of a room, as
            ``rilievo.models.refinement.manhattan`` explains. Only the embedded models are, because
            the correction was not tried with others.
        licence: SPDX identifier of the weights' licence, or words.
        stated: Where the authors state the licence.
        research_data: Whether some of the training data is for non-commercial use only.
        teacher: Model that labelled the training images, with its licence.
        commercial: Whether the licence allows commercial use; None if unknown.
        area: Number of pixels of its input; None if it is not fixed.
        megabytes: Size of its files; None if unknown.
        hash_known: Whether its SHA-256 is known before the first download.
        downloads: Address of each file, with its size and SHA-256 if they are known.
        extra: Extra of the package that it needs.
        speed: Time for 640x480 on two CPU cores.
        published: Accuracy by its authors or others, with protocol and source.
        loader: What loads it: a key of ``MODEL_KINDS`` or of ``LOADERS`` in
            ``rilievo.extensions.subpackages``, or ``module:function``.
        source: Repository, folder, or page; None for the embedded models.
        settings: Dataclass of its settings, ``module:class``.
    """

    name: str
    summary: str
    kind: DepthKind | None
    normals: bool = False
    confidence: bool = False
    sky: bool = False
    camera: bool = False
    resizing: Resizing = DEFAULT_RESIZING
    corrected_by_lines: bool = False
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
        """Remark on weights that rilievo's tests never ran; "" for the embedded models."""
        return "" if self.source is None else "not tested by us"


@cache
def _known_toml_tables() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    import tomllib

    return tomllib.loads(Path(__file__).with_name("known.toml").read_text(encoding="utf-8"))


def known_models(table: str) -> Sequence[Mapping[str, Any]]:
    """Rows of a table of ``known.toml``, such as "checkpoints"."""
    return _known_toml_tables()[table]
