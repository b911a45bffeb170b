"""Known models at replicate.com, and their settings; plain data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.models.card import ModelCard, known_models
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.records.depth_map import DepthKind

PREFIX = "replicate:"
LOADER = "replicate"
SETTINGS = "rilievo.models.replicate_cards:ReplicateSettings"
_PART = r"[A-Za-z0-9][\w.-]*"
_ID = r"[0-9a-f]{64}"
_NAME = re.compile(rf"({_PART})/({_PART})(?::({_ID}))?", re.ASCII)

_VERSIONS = {row["name"]: row for row in known_models("replicate")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateSettings:
    """Settings at replicate.com."""

    calls: int | None = None
    """Most photographs to send, each a paid call; by default one, or as many as were confirmed for
    a folder.
    """
    image: str = "image"
    """Name of the model's input for the photograph."""
    inputs: str = "{}"
    """The model's other inputs, as a JSON object."""
    output: str | None = None
    """Result that is the depth, by name or index from 0; by default the only grey one."""
    timeout: int = 600
    """Seconds after which a photograph is given up and its prediction cancelled."""

    def __post_init__(self) -> None:
        if self.calls is not None and self.calls < 1:
            raise OptionError(f"calls is 1 or more, got {self.calls}")
        if not self.image:
            raise OptionError("image is the name of an input, got ''")
        if not 1 <= self.timeout <= 86400:
            raise OptionError(f"timeout is 1 to 86400 seconds, got {self.timeout}")
        if self.image in self.read_inputs():
            raise OptionError(f"inputs has '{self.image}', which is the photograph")

    def read_inputs(self) -> Mapping[str, Any]:
        """Parse ``inputs``."""
        try:
            inputs = parse_json(self.inputs)
        except NotThisRecord:
            inputs = None
        if not isinstance(inputs, dict):
            raise OptionError(f"inputs is a JSON object, got '{self.inputs}'")
        return inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Model at replicate.com; ``id`` is the version's hash, None for the latest."""

    owner: str
    name: str
    id: str | None


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of known models."""
    return tuple(
        _replicate_card(name, DepthKind(entry["kind"]), entry["summary"])
        for name, entry in _VERSIONS.items()
    )


def version_card(name: str, kind: DepthKind | None) -> ModelCard | None:
    """Card for ``replicate:owner/name`` with or without ``:version``."""
    if not name.startswith(PREFIX):
        return None
    version = parse_version(name)
    entry = _VERSIONS.get(f"{version.owner}/{version.name}")
    summary = "a model at replicate.com" if entry is None else entry["summary"]
    if entry is not None:
        # A different kind given by the user is refused where the card is used.
        kind = DepthKind(entry["kind"])
    if kind is None:
        raise ModelError(
            problem=Text(
                f"model '{name}' is not known: say what its picture shows with ",
                OptionName("kind", "..."),
                f": {DepthKind.AFFINE} (depth) or {DepthKind.AFFINE_INVERSE} (inverse depth)",
            )
        )
    if kind.is_depth:
        raise OptionError(
            f"model '{name}': a picture is stretched to its own range, so it is "
            f"{DepthKind.AFFINE} or {DepthKind.AFFINE_INVERSE}, not {kind}"
        )
    return _replicate_card(name.removeprefix(PREFIX), kind, summary)


def find(request: ModelRequest) -> FoundModel | None:
    """Find a model by its name at replicate.com."""
    card = version_card(request.text, request.kind)
    return None if card is None else FoundModel(card=card)


def is_version(text: str) -> bool:
    """Whether a text is 64 hex digits."""
    return re.fullmatch(_ID, text) is not None


def parse_version(name: str) -> Version:
    """Parse ``replicate:owner/name`` or ``replicate:owner/name:version``."""
    match = _NAME.fullmatch(name.removeprefix(PREFIX))
    if match is None:
        raise ModelError(
            f"'{name}' names no model: expected {PREFIX}owner/name or {PREFIX}owner/name:version, "
            "the version being 64 hex digits"
        )
    owner, model, version = match.groups()
    entry = _VERSIONS.get(f"{owner}/{model}", {})
    return Version(owner=owner, name=model, id=version or entry.get("version"))


def _replicate_card(name: str, kind: DepthKind, summary: str) -> ModelCard:
    page = f"https://replicate.com/{name.partition(':')[0]}"
    return ModelCard(
        name=PREFIX + name,
        summary=summary,
        kind=kind,
        licence=f"see {page}",
        speed="seconds; every photograph is a paid call",
        loader=LOADER,
        source=page,
        settings=SETTINGS,
    )
