"""Models that other authors published as ONNX files, and their families, as ``known.toml`` states.

A row ``[[onnx_families]]`` says how photographs are given to the networks of a family and how their
outputs are read. The rows ``[[onnx_models]]`` below it are the models of the family.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from rilievo.errors import ModelError, suggest
from rilievo.io.json_record import InvalidRecordError, from_json, to_json
from rilievo.models.card import ModelCard, known_models
from rilievo.models.resampling.inference import DEFAULT_RESIZING, Resizing
from rilievo.models.resampling.preparation import Preparation

LOADER = "catalogue"
"""Name of the catalogue's loader in model cards."""


class InputForm(StrEnum):
    """How a photograph becomes the input of a network."""

    RESIZED = "resized"
    LETTERBOXED = "letterboxed"
    """Resized to fit into a frame, whose border has the mean colour."""
    PATCHES = "patches"
    """At its own size, with the number of patches to which the network resizes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFamily:
    """How photographs are given to the networks of a family, and how their outputs are read.

    Attributes:
        preparation: Size, filter, mean and deviation of the input; None for patches.
        inputs: Names of the inputs by role, "picture" and "tokens"; empty for a single input.
        rotates_portraits: Whether portrait photographs are turned by 90°, to landscape format.
        has_view_axis: Whether the input has a second axis, after the batch, for several views.
        one_by_one: Whether a batch has exactly one photograph.
        outputs: Possible names of the outputs by role, in order of preference.
        any_depth_name: Whether a single output is depth, whatever its name.
        output_form: Name in ``graph_outputs.OUTPUT_READERS``.
        min_sky: Value of the output "sky" from which a pixel is sky; 0 without such an output.
        canonical_focal: Focal length for which the depth is metric [px]; 0 if there is none.
        max_canonical_depth: Largest depth at that focal length [m]; 0 for no limit.
        patch_side: Side of a patch [px], for networks that take patches.
        settings: Dataclass of the settings that a user may choose, ``module:class``.
    """

    name: str
    input_form: InputForm = InputForm.RESIZED
    preparation: Preparation | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    rotates_portraits: bool = False
    has_view_axis: bool = False
    one_by_one: bool = False
    outputs: Mapping[str, tuple[str, ...]]
    any_depth_name: bool = False
    output_form: str
    min_sky: float = 0.0
    canonical_focal: float = 0.0
    max_canonical_depth: float = 0.0
    patch_side: int = 0
    resizing: Resizing = DEFAULT_RESIZING
    settings: str | None = None


Row = TypeVar("Row")


@cache
def network_family(name: str) -> NetworkFamily:
    """Read the family of this name from ``known.toml``; ``ModelError`` if there is none."""
    rows = {row["name"]: row for row in known_models("onnx_families")}
    if name not in rows:
        raise ModelError(f"known.toml has no family '{name}'; {suggest(name, rows)}")
    return read_row(NetworkFamily, rows[name])


def read_row(record_class: type[Row], row: Mapping[str, Any]) -> Row:
    """Read a row of ``known.toml`` as a dataclass.

    Raises:
        ModelError: If a value is wrong, or a field does not exist. A misspelt field would be
            ignored otherwise, and a wrong deviation of the input still gives plausible depth.
    """
    place = f"known.toml, the row '{row.get('name', '')}'"
    try:
        record = from_json(record_class, json.dumps(row))
    except InvalidRecordError as error:
        raise ModelError(f"{place}: {error}") from error
    # Written as JSON again, the record has all fields that exist.
    existing_fields = json.loads(to_json(record))
    unknown_names = _unknown_names(row, existing_fields)
    if unknown_names:
        raise ModelError(f"{place} has fields that do not exist: {', '.join(unknown_names)}")
    return record


def _unknown_names(given: Any, existing: Any) -> list[str]:
    """Names of fields in one value of JSON that another one lacks, at any depth."""
    unknown_names: list[str] = []
    if isinstance(given, list) and isinstance(existing, list):
        for given_item, existing_item in zip(given, existing, strict=True):
            unknown_names += _unknown_names(given_item, existing_item)
    elif isinstance(given, Mapping) and isinstance(existing, Mapping):
        unknown_names += [name for name in given if name not in existing]
        for name in given.keys() & existing.keys():
            unknown_names += _unknown_names(given[name], existing[name])
    return unknown_names


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
        family: Name of its family, for ``network_family``.
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
        card_names = [card_field.name for card_field in fields(ModelCard)]
        values = {name: getattr(self, name) for name in card_names}
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
    row["name"]: read_row(CatalogueEntry, row) for row in known_models("onnx_models")
}


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of all models of the catalogue."""
    return tuple(entry.card for entry in ENTRIES.values())


def find_entry(name: str) -> CatalogueEntry:
    """Find a model of the catalogue by name; ``ModelError`` if there is no such model."""
    if name not in ENTRIES:
        raise ModelError(f"the catalogue has no model '{name}'; {suggest(name, ENTRIES)}")
    return ENTRIES[name]
