"""The catalogue: strong models whose authors, or a mirror, publish ONNX files.

The table is data: reading it imports no model and asks no server. Sizes and sha256 are those of
the published files; where none is known here, the first download's hash is kept and later
downloads of the same commit are checked against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rilievo.errors import ModelError, suggest
from rilievo.models.card import ModelCard
from rilievo.types import DepthKind

_ADAPTERS = "rilievo.models.catalogue"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One published file.

    Attributes:
        path: Path in the repository.
        size: Number of bytes; None where it is not known.
        sha256: Hash of the content; None where it is not known.
    """

    path: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model of the catalogue.

    Attributes:
        name: ``family/variant``.
        summary: One line.
        repository: ``org/name`` on the hub, or the address of a folder of files (https://...).
        revision: Commit of the repository; its main branch where none is known.
        files: The graph first, then the files of weights that it names.
        adapter: Module of this folder whose ``load`` makes the model.
        kind: Kind of its depth.
        normals: Whether it predicts surface normals.
        licence: Licence of the weights, as the original authors state it.
        commercial: Whether that licence allows commercial use; None where it is not clear.
        speed: Time of one 640x480 photograph on two processor cores, in words.
    """

    name: str
    summary: str
    repository: str
    revision: str = "main"
    files: tuple[RemoteFile, ...]
    adapter: str
    kind: DepthKind
    normals: bool = False
    licence: str
    commercial: bool | None
    speed: str = "not measured"

    @property
    def megabytes(self) -> float | None:
        """Size of all files; None where it is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes) / 1e6

    @property
    def card(self) -> ModelCard:
        """Its line of ``MODELS``."""
        return ModelCard(
            name=self.name,
            summary=self.summary,
            kind=self.kind,
            normals=self.normals,
            licence=self.licence,
            commercial=self.commercial,
            megabytes=self.megabytes,
            extra=None,
            speed=self.speed,
            loader=f"{_ADAPTERS}.{self.adapter}:load",
            source=self.repository,
            settings=_SETTINGS.get(self.adapter),
        )


_SETTINGS = {"moge": f"{_ADAPTERS}.moge:MogeSettings"}


def _moge(size: str, letter: str, file: RemoteFile, speed: str, revision: str = "main") -> Entry:
    return Entry(
        name=f"moge-2/{size}",
        summary=f"MoGe-2, ViT-{letter.upper()}: metres, normals, mask and camera in one pass",
        repository=f"Ruicheng/moge-2-vit{letter}-normal-onnx",
        revision=revision,
        files=(file,),
        adapter="moge",
        kind=DepthKind.METRIC,
        normals=True,
        licence="MIT",
        commercial=True,
        speed=speed,
    )


_MOGE = (
    _moge(
        "small",
        "s",
        RemoteFile(
            path="model.onnx",
            size=140_852_051,
            sha256="24eacb5dc7a2c54c7bc98f7de085ffbed79ad006ea5b664c2c2cdc02ff3a52f0",
        ),
        "1.8 s",
        "e50ffda41565591092adea54c6ac83d6212e1e23",
    ),
    _moge(
        "base",
        "b",
        RemoteFile(
            path="model.onnx",
            size=419_411_850,
            sha256="bbf14e07a30f11e69d36ab861590123f5598ababcbc8946a063eb4a966f35a21",
        ),
        "not measured",
    ),
    _moge(
        "large",
        "l",
        RemoteFile(
            path="model.onnx",
            size=1_324_265_014,
            sha256="afbc4ccc3450298f3afb35b90f015f4c4f552dea21dc6470d5f7b78b77e2d751",
        ),
        "not measured",
    ),
)

ENTRIES: Mapping[str, Entry] = {entry.name: entry for entry in _MOGE}


def find_entry(name: str) -> Entry:
    """A model of the catalogue by its name.

    Raises:
        ModelError: If there is no such model.
    """
    if name not in ENTRIES:
        raise ModelError(f"the catalogue has no model '{name}'; {suggest(name, ENTRIES)}")
    return ENTRIES[name]
