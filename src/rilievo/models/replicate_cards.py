"""Models at replicate.com: how they are named, their cards and their settings."""

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
_NAME_PART = r"[A-Za-z0-9][\w.-]*"
_VERSION_ID = r"[0-9a-f]{64}"
_NAME = re.compile(rf"({_NAME_PART})/({_NAME_PART})(?::({_VERSION_ID}))?", re.ASCII)

_KNOWN_MODELS = {row["name"]: row for row in known_models("replicate")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateSettings:
    """Settings of a model at replicate.com."""

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
        """Parse the JSON of ``inputs``.

        Raises:
            OptionError: If they are no JSON object.
        """
        try:
            inputs = parse_json(self.inputs)
        except NotThisRecord:
            inputs = None
        if not isinstance(inputs, dict):
            raise OptionError(f"inputs is a JSON object, got '{self.inputs}'")
        return inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Version of a model at replicate.com; ``id`` is None for the latest one."""

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
        name: Name; the card is None for names of another form.
        kind: Kind of depth that the user states, which unknown models need.

    Raises:
        ModelError: If an unknown model has no kind, or the name is not valid.
        OptionError: If a picture cannot show the kind.
    """
    if not name.startswith(PREFIX):
        return None
    version = parse_version(name)
    known_model = _KNOWN_MODELS.get(f"{version.owner}/{version.name}")
    summary = "a model at replicate.com"
    if known_model is not None:
        summary = known_model["summary"]
        # If the user states another kind, that is refused where the card is used.
        kind = DepthKind(known_model["kind"])
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
    """Find a model by ``replicate:OWNER/NAME``."""
    card = version_card(request.text, request.kind)
    return None if card is None else FoundModel(card=card)


def is_version_id(text: str) -> bool:
    """Whether a text has the form of a version's id, 64 hexadecimal digits."""
    return re.fullmatch(_VERSION_ID, text) is not None


def parse_version(name: str) -> Version:
    """Parse ``replicate:OWNER/NAME`` or ``replicate:OWNER/NAME:VERSION``.

    A known model without a version has the one that rilievo knows.

    Raises:
        ModelError: If the name has another form.
    """
    match = _NAME.fullmatch(name.removeprefix(PREFIX))
    if match is None:
        raise ModelError(
            f"'{name}' names no model: expected {PREFIX}owner/name or {PREFIX}owner/name:version, "
            "the version being 64 hex digits"
        )
    owner, model, version_id = match.groups()
    known_model = _KNOWN_MODELS.get(f"{owner}/{model}", {})
    return Version(owner=owner, name=model, id=version_id or known_model.get("version"))


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
