"""Models that other authors published as ONNX files: rows ``[[onnx_models]]`` of ``known.toml``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields

from rilievo.errors import ModelError, suggest
from rilievo.io.json_record import from_json
from rilievo.models.card import ModelCard, known_models
from rilievo.models.catalogue.families import network_family

LOADER = "catalogue"
"""Name of the catalogue's loader in model cards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """Published file.

    Attributes:
        size: Size [bytes]; None if it is not known.
        sha256: Hash, or only its first digits; None if it is not known.
    """

    path: str
    size: int | None = None
    sha256: str | None = None

    def has_hash(self, sha256: str) -> bool:
        """Whether a file with this hash can be the published one; True if its hash is unknown."""
        return sha256.startswith(self.sha256 or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry(ModelCard):
    """Model of the catalogue: its card, and where its files are.

    Attributes:
        files: The ONNX file first, then the files with its weights.
        family: Name of its family, for ``families.network_family``.
        twin: Repository of the same network for transformers. It is loaded instead if the ONNX file
            cannot do what is asked, such as half precision.
    """

    repository: str
    revision: str = "main"
    files: tuple[RemoteFile, ...]
    family: str
    twin: str | None = None

    @property
    def is_on_hub(self) -> bool:
        """Whether its files come from the Hugging Face hub."""
        return "://" not in self.repository

    @property
    def card(self) -> ModelCard:
        """Card in ``MODELS``: fields of this entry, and those that follow from family and files."""
        family = network_family(self.family)
        values = {field.name: getattr(self, field.name) for field in fields(ModelCard)}
        values |= {
            "loader": LOADER,
            "source": self.repository,
            "resizing": family.resizing,
            "settings": family.settings,
            "downloads": tuple(self._download_line(file) for file in self.files),
            "hash_known": all(file.sha256 is not None for file in self.files),
        }
        sizes = [file.size for file in self.files if file.size is not None]
        if len(sizes) == len(self.files):
            values["megabytes"] = sum(sizes) / 1e6
        return ModelCard(**values)

    def _download_line(self, file: RemoteFile) -> str:
        """Address of a file, with its size and hash if they are known."""
        folder_url = self.repository
        if self.is_on_hub:
            folder_url = f"https://huggingface.co/{self.repository}/resolve/{self.revision}"
        parts = [f"{folder_url}/{file.path}"]
        if file.size is not None:
            parts.append(f"{file.size:,} bytes")
        if file.sha256 is not None:
            parts.append(f"sha256 {file.sha256}")
        return ", ".join(parts)


ENTRIES: Mapping[str, CatalogueEntry] = {
    row["name"]: from_json(CatalogueEntry, json.dumps(row)) for row in known_models("onnx_models")
}


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of all models of the catalogue."""
    return tuple(entry.card for entry in ENTRIES.values())


def find_entry(name: str) -> CatalogueEntry:
    """Find a model of the catalogue by name; ``ModelError`` if there is no such model."""
    if name not in ENTRIES:
        raise ModelError(f"the catalogue has no model '{name}'; {suggest(name, ENTRIES)}")
    return ENTRIES[name]
