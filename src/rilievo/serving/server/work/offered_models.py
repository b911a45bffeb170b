"""Models by the names that clients see."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from rilievo.cores import cores
from rilievo.errors import ModelError, suggest
from rilievo.models import DEFAULT_MODEL, FAST_MODEL, MODELS, find_card
from rilievo.models.base import Model, PaidModel
from rilievo.models.card import ModelCard
from rilievo.models.catalogue import table
from rilievo.models.catalogue.download import is_downloaded
from rilievo.models.default.embedded import shared_cores
from rilievo.models.replicate import replicate_cards
from rilievo.plugins import is_place
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.server_options import ServerOptions


@dataclass(frozen=True, slots=True)
class OfferedModels:
    """Models of a server.

    Attributes:
        names: Server's names, which may be paths, by clients' names; the default is first.
        options: Device, engine and precision.
    """

    names: Mapping[str, str]
    options: ServerOptions

    def named(self, name: str) -> str:
        """Server's name of a model; "" is the default."""
        if not name:
            return next(iter(self.names.values()))
        if name not in self.names:
            near = suggest(name[:80], self.names)
            hint = near if near.startswith("did") else "/v1/models lists them"
            raise Refusal(404, f"this server has no model '{name[:80]}'; {hint}")
        return self.names[name]

    def for_video(self, name: str) -> str:
        """Model of frames; the default may be another than for photographs."""
        if not name and self.named("") == DEFAULT_MODEL and FAST_MODEL in self.names:
            return FAST_MODEL
        return name

    def shown(self, name: str) -> str:
        """Clients' name of a model."""
        return name or next(iter(self.names))

    @property
    def shown_by_path(self) -> Mapping[str, str]:
        """Clients' names by the server's paths."""
        pairs = [(shown, name) for shown, name in self.names.items() if shown != name]
        return {path: shown for shown, name in pairs for path in (name, os.path.abspath(name))}

    def load(self, name: str) -> Model:
        """Load a model by the server's name."""
        with shared_cores(cores()):
            model = self.options.load(name)
        if isinstance(model, PaidModel):
            raise _paid(name)
        return model

    def facts(self) -> list[dict[str, object]]:
        """Facts of the models, for clients."""
        return [
            {"name": shown, "default": place == 0, **_card_facts(MODELS.own.get(name))}
            for place, (shown, name) in enumerate(self.names.items())
        ]


def offered_models(options: ServerOptions) -> OfferedModels:
    """Models that a server offers."""
    paid = {card.name for card in replicate_cards.listed_cards()}
    names: dict[str, str] = {}
    default, *others = options.offered
    faster = (FAST_MODEL,) if default == DEFAULT_MODEL else ()
    for name in dict.fromkeys((default, *faster, *others)):
        if name in paid or name.startswith("replicate:"):
            raise _paid(name)
        shown = name if name in MODELS.own or is_place(name) else PurePath(name).stem
        if shown in names:
            raise ModelError(f"two models would be called '{shown}': rename one of the files")
        if not os.path.exists(name):
            find_card(name)
        names[shown] = name
    return OfferedModels(names, options)


def _paid(name: str) -> ModelError:
    return ModelError(f"model '{name}' is paid by the call, so the server does not offer it")


def _card_facts(card: ModelCard | None) -> dict[str, object]:
    if card is None:
        return {}
    return {
        "summary": card.summary,
        "depth": card.kind,
        "normals": card.normals,
        "confidence": card.confidence,
        "sky": card.sky,
        "camera": card.camera,
        "licence": card.licence,
        "commercial": card.commercial,
        "note": card.note,
        "megabytes": card.megabytes,
        "here": _is_here(card),
    }


def _is_here(card: ModelCard) -> bool | None:
    entry = table.ENTRIES.get(card.name)
    if entry is not None:
        return is_downloaded(entry)
    return True if card.extra is None else None
