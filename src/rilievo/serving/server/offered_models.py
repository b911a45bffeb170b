"""Models by the names that clients see."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from rilievo.errors import ModelError, suggest
from rilievo.extensions.trust import is_import_path
from rilievo.io.files.machine import cores
from rilievo.models import DEFAULT_MODEL, FAST_MODEL, MODELS, find_card, replicate_cards
from rilievo.models.base import Model, PaidModel
from rilievo.models.card import ModelCard
from rilievo.models.catalogue import table
from rilievo.models.catalogue.download import is_downloaded
from rilievo.models.default.embedded import shared_cores
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

    def server_name(self, name: str) -> str:
        """Server's name of a model; "" is the default."""
        if not name:
            return next(iter(self.names.values()))
        if name not in self.names:
            near = suggest(name[:80], self.names)
            hint = near if near.startswith("did") else "/v1/models lists them"
            raise Refusal(404, f"this server has no model '{name[:80]}'; {hint}")
        return self.names[name]

    def video_name(self, name: str) -> str:
        """Clients' name of frames' model; its default may be another."""
        if not name and self.server_name("") == DEFAULT_MODEL and FAST_MODEL in self.names:
            return FAST_MODEL
        return name

    def display_name(self, name: str) -> str:
        """Clients' name of a model; "" is the default."""
        return name or next(iter(self.names))

    @property
    def display_names_by_path(self) -> Mapping[str, str]:
        """Clients' names by the server's paths."""
        pairs = [(shown, name) for shown, name in self.names.items() if shown != name]
        return {path: shown for shown, name in pairs for path in (name, os.path.abspath(name))}

    def load(self, name: str) -> Model:
        """Load a model by the server's name."""
        with shared_cores(cores()):
            model = self.options.load(name)
        if isinstance(model, PaidModel):
            raise _paid_model_error(name)
        return model

    def facts(self) -> list[dict[str, object]]:
        """Name and card of each model, for clients."""
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
            raise _paid_model_error(name)
        shown = name if name in MODELS.own or is_import_path(name) else PurePath(name).stem
        if shown in names:
            raise ModelError(f"two models would be called '{shown}': rename one of the files")
        if not os.path.exists(name):
            find_card(name)
        names[shown] = name
    return OfferedModels(names, options)


def _paid_model_error(name: str) -> ModelError:
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
        "here": _is_downloaded_if_known(card),
    }


def _is_downloaded_if_known(card: ModelCard) -> bool | None:
    entry = table.ENTRIES.get(card.name)
    if entry is not None:
        return is_downloaded(entry)
    return True if card.extra is None else None
