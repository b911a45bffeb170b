"""What a user must know to choose a model."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.types import DepthKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a user must know to choose a model; one line of ``MODELS``.

    Attributes:
        name: ``family/variant``.
        summary: One line.
        kind: What its depth is; None for a model of normals alone.
        normals: Whether it gives surface normals.
        confidence: Whether it says how sure it is, pixel by pixel.
        camera: Whether it sees the focal length in the photograph.
        licence: SPDX identifier, or the authors' words; of the weights.
        commercial: Whether the licence allows commercial use; None where it is not known.
        megabytes: Size of the weights on disk; None where it is not known.
        extra: The extra of rilievo that it needs; None for the core.
        speed: What one 640x480 photograph costs on two CPU cores, in words.
        published: Accuracy that others published, with its protocol and source; None where none
            is known here.
        loader: ``module:function`` that makes it; not needed of a model outside rilievo.
        source: Where the weights come from: a repository of the hub, or the absolute path of a
            folder, or the page of a service that keeps them; None where they ship inside the
            package or are the file itself.
        settings: ``module:class`` of the dataclass of what can be set of it
            (``rilievo.models.settings``); None where nothing can.
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


def read_details(card: ModelCard) -> str | None:
    """The longer card that ships beside embedded weights, as text; None where there is none."""
    family, _, variant = card.name.partition("/")
    if family != "rilievo":
        return None
    path = Path(__file__).parent / "default" / f"{variant}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None
