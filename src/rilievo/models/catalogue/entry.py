"""Records of published models in the catalogue."""

from dataclasses import dataclass

from rilievo.models.card import ModelCard
from rilievo.types import DepthKind

LOADER = "rilievo.models.catalogue.opening:load"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One published file.

    Attributes:
        path: Path in the repository.
        size: Size of the file; None if unknown.
        sha256: SHA-256 of the content, or its known first digits; None if unknown.
    """

    path: str
    size: int | None = None
    sha256: str | None = None

    def is_same(self, sha256: str) -> bool:
        """Whether a hash agrees with that of the published file, as far as that is known."""
        return sha256.startswith(self.sha256 or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model of the catalogue.

    Attributes:
        name: ``family/variant``.
        summary: One-line description.
        repository: Repository of the hub, ``org/name``, or the URL of a folder of files
            (https://...).
        revision: Commit of the repository; its main branch if unknown.
        files: Files: the graph first, then the files of weights that it names.
        adapter: Module of this package whose ``open_model`` makes the model.
        kind: Kind of its depth.
        normals: Whether it predicts surface normals.
        confidence: Whether it predicts a confidence.
        camera: Whether it estimates the focal length.
        licence: Licence of the weights, as the original authors state it.
        commercial: Whether that licence allows commercial use; None if unclear.
        speed: Time for one 640x480 photograph on two CPU cores, in words.
        published: Published accuracy, with protocol and source.
        about_megabytes: Size of all files where exact sizes are unknown.
        twin: Repository of the same network for transformers, used for what the core cannot do.
    """

    name: str
    summary: str
    repository: str
    revision: str = "main"
    files: tuple[RemoteFile, ...]
    adapter: str
    kind: DepthKind
    normals: bool = False
    confidence: bool = False
    camera: bool = False
    licence: str
    commercial: bool | None
    speed: str = "not measured"
    published: str | None = None
    about_megabytes: float | None = None
    twin: str | None = None

    @property
    def is_on_hub(self) -> bool:
        """Whether its files come from the hub, not from another address."""
        return "://" not in self.repository

    @property
    def megabytes(self) -> float | None:
        """Size of all files; None if unknown."""
        sizes = [file.size for file in self.files]
        if None in sizes:
            return self.about_megabytes
        return sum(size or 0 for size in sizes) / 1e6

    @property
    def card(self) -> ModelCard:
        """Row of the model in ``MODELS``."""
        return ModelCard(
            name=self.name,
            summary=self.summary,
            kind=self.kind,
            normals=self.normals,
            confidence=self.confidence,
            camera=self.camera,
            licence=self.licence,
            commercial=self.commercial,
            megabytes=self.megabytes,
            extra=None,
            speed=self.speed,
            published=self.published,
            loader=LOADER,
            source=self.repository,
            settings=_SETTINGS.get(self.adapter),
        )


_SETTINGS = {"moge": "rilievo.models.catalogue.moge:MogeSettings"}
