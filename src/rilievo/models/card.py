"""Model cards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rilievo.models.resampling.inference import PLAIN, Resizing
from rilievo.records.depth_map import DepthKind

NOT_STATED = "not stated"

RESEARCH_DATA = (
    "partly for non-commercial use; whether that binds the weights, their licence does not say"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Facts for choosing a model; one row of ``MODELS``.

    Attributes:
        name: ``family/variant``.
        kind: Kind of its depth; None for normals only.
        licence: SPDX identifier of the weights' licence, or words.
        stated: Place where authors state it.
        research_data: Whether some training data is for non-commercial use.
        teacher: Model that labelled the training images, with its licence.
        commercial: Whether commercial use is allowed; None if unknown.
        area: Pixels that it sees; None if not fixed.
        hash_known: Whether SHA-256 is known before the first download.
        downloads: Address, bytes and SHA-256.
        speed: Time for 640x480 on two CPU cores.
        published: Accuracy, with protocol and source.
        loader: Key of ``MODEL_KINDS`` or of ``rilievo.extensions.subpackages``, or
            ``module:function``.
        source: Repository, folder, or page; None inside the package.
        settings: Dataclass, ``module:class``.
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
        """Warning on weights that never ran in our tests."""
        return "" if self.source is None else "not tried by us"


@cache
def _known_toml_tables() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    import tomllib

    return tomllib.loads(Path(__file__).with_name("known.toml").read_text(encoding="utf-8"))


def known_models(table: str) -> Sequence[Mapping[str, Any]]:
    """Rows of a table of ``known.toml``."""
    return _known_toml_tables()[table]
