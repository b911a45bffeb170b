"""Catalogue: models with published ONNX files.

A row ``[[files]]`` of ``known.toml`` names a row ``[[graphs]]``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields

from rilievo.errors import ModelError, suggest
from rilievo.io.json_record import from_json
from rilievo.models.card import ModelCard, known_models
from rilievo.models.resampling.inference import Resizing

LOADER = "catalogue"

_GRAPHS = {row["name"]: row for row in known_models("graphs")}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """Published file; ``sha256`` may be its first digits."""

    path: str
    size: int | None = None
    sha256: str | None = None

    def is_same(self, sha256: str) -> bool:
        """Whether a hash begins with the known digits."""
        return sha256.startswith(self.sha256 or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry(ModelCard):
    """Model of the catalogue.

    Attributes:
        repository: Repository of the hub, or URL of a folder.
        files: Graph first, then its weights.
        graph: Row of the table of graphs.
        twin: Repository for transformers, for what the core lacks.
    """

    repository: str
    revision: str = "main"
    files: tuple[RemoteFile, ...]
    graph: str
    twin: str | None = None

    @property
    def is_on_hub(self) -> bool:
        """Whether its files come from the hub."""
        return "://" not in self.repository

    @property
    def card(self) -> ModelCard:
        """Row in ``MODELS``, with exact sizes where known."""
        stated = {column.name: getattr(self, column.name) for column in fields(ModelCard)}
        sizes = [file.size for file in self.files if file.size is not None]
        if len(sizes) == len(self.files):
            stated["megabytes"] = sum(sizes) / 1e6
        stated["downloads"] = tuple(map(self._download_line, self.files))
        stated["hash_known"] = all(file.sha256 is not None for file in self.files)
        graph = _GRAPHS[self.graph]
        stated["resizing"] = from_json(Resizing, json.dumps(graph.get("resizing", {})))
        stated |= {"loader": LOADER, "source": self.repository, "settings": graph.get("settings")}
        return ModelCard(**stated)

    def _download_line(self, file: RemoteFile) -> str:
        hub = f"https://huggingface.co/{self.repository}/resolve/{self.revision}"
        address = f"{hub if self.is_on_hub else self.repository}/{file.path}"
        size = [] if file.size is None else [f"{file.size:,} bytes"]
        digest = [] if file.sha256 is None else [f"sha256 {file.sha256}"]
        return ", ".join([address, *size, *digest])


ENTRIES: Mapping[str, CatalogueEntry] = {
    row["name"]: from_json(CatalogueEntry, json.dumps(row)) for row in known_models("files")
}


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of the catalogue."""
    return tuple(entry.card for entry in ENTRIES.values())


def find_entry(name: str) -> CatalogueEntry:
    """Find a model of the catalogue by name."""
    if name not in ENTRIES:
        raise ModelError(f"the catalogue has no model '{name}'; {suggest(name, ENTRIES)}")
    return ENTRIES[name]
