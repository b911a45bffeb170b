"""Models at replicate.com: how they are named, their cards and their settings."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.json_record import InvalidRecordError, parse_json
from rilievo.models.card import ModelCard, known_models
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.records.depth_map import DepthKind

PREFIX = "replicate:"
LOADER = "replicate"
SETTINGS = "rilievo.models.replicate_cards:ReplicateSettings"
_NAME_PART = r"[A-Za-z0-9][\w.-]*"
_VERSION_ID = r"[0-9a-f]{64}"
_NAME = re.compile(rf"({_NAME_PART})/({_NAME_PART})(?::({_VERSION_ID}))?", re.ASCII)

_KNOWN_MODELS = {row["name"]: row for row in known_models("replicate")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateSettings:
    """Settings of a model at replicate.com."""

    calls: int | None = None
    """Maximum number of photographs to send, each of which is a paid call. By default 1, or for a
    folder as many as you agreed to.
    """
    image: str = "image"
    """Name of the model's input for the photograph."""
    inputs: str = "{}"
    """The model's other inputs, as a JSON object."""
    output: str | None = None
    """Name of the result that is the depth, or its index from 0. By default the only grey one."""
    timeout: int = 600
    """Time after which rilievo gives up a photograph and cancels its prediction [s]."""

    def __post_init__(self) -> None:
        if self.calls is not None and self.calls < 1:
            raise OptionError(f"calls must be 1 or more, got {self.calls}")
        if not self.image:
            raise OptionError("image must be the name of an input, got ''")
        if not 1 <= self.timeout <= 86400:
            raise OptionError(f"timeout must be 1 to 86400 seconds, got {self.timeout}")
        if self.image in self.parse_inputs():
            raise OptionError(
                f"inputs must not contain '{self.image}', which is the input for the photograph"
            )

    def parse_inputs(self) -> Mapping[str, Any]:
        """Parse the JSON of ``inputs``; ``OptionError`` if it is not a JSON object."""
        with suppress(InvalidRecordError):
            inputs = parse_json(self.inputs)
            if isinstance(inputs, dict):
                return inputs
        raise OptionError(f"inputs must be a JSON object, got '{self.inputs}'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Version of a model at replicate.com; ``id`` is None for the latest version."""

    owner: str
    name: str
    id: str | None


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of the models that rilievo knows."""
    return tuple(
        _replicate_card(name, DepthKind(row["kind"]), row["summary"])
        for name, row in _KNOWN_MODELS.items()
    )


def version_card(name: str, kind: DepthKind | None) -> ModelCard | None:
    """Card for ``replicate:OWNER/NAME`` or ``replicate:OWNER/NAME:VERSION``.

    Args:
        name: Name; the card is None if it does not begin with ``replicate:``.
        kind: Kind of depth that the user states, which models unknown to rilievo need.
    """
    if not name.startswith(PREFIX):
        return None
    version = parse_version(name)
    known_model = _KNOWN_MODELS.get(f"{version.owner}/{version.name}")
    summary = "a model at replicate.com"
    if known_model is not None:
        summary = known_model["summary"]
        # If the user states another kind, ``load_by_name`` refuses it.
        kind = DepthKind(known_model["kind"])
    if kind is None:
        raise ModelError(
            problem=Text(
                f"rilievo does not know what the pictures of model '{name}' show: give ",
                OptionName("kind", DepthKind.AFFINE.value),
                " if they show depth, or ",
                OptionName("kind", DepthKind.AFFINE_INVERSE.value),
                " if they show inverse depth",
            )
        )
    if kind.is_depth:
        raise OptionError(
            f"model '{name}': its result is a picture that is stretched to its own range, so its "
            f"kind is {DepthKind.AFFINE} or {DepthKind.AFFINE_INVERSE}, not {kind}"
        )
    return _replicate_card(name.removeprefix(PREFIX), kind, summary)


def find(request: ModelRequest) -> FoundModel | None:
    """Find a model by ``replicate:OWNER/NAME``."""
    card = version_card(request.text, request.kind)
    return None if card is None else FoundModel(card=card)


def is_version_id(text: str) -> bool:
    """Whether a text has the form of a version's id, 64 hexadecimal digits."""
    return re.fullmatch(_VERSION_ID, text) is not None


def parse_version(name: str) -> Version:
    """Parse ``replicate:OWNER/NAME`` or ``replicate:OWNER/NAME:VERSION``.

    A known model without a version has the one that rilievo knows.
    """
    match = _NAME.fullmatch(name.removeprefix(PREFIX))
    if match is None:
        raise ModelError(
            f"'{name}' is not the name of a model: expected {PREFIX}owner/name or "
            f"{PREFIX}owner/name:version, where the version has 64 hex digits"
        )
    owner, model_name, stated_id = match.groups()
    known_model = _KNOWN_MODELS.get(f"{owner}/{model_name}", {})
    return Version(owner=owner, name=model_name, id=stated_id or known_model.get("version"))


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
