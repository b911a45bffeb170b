"""The models that a server offers, under the names that clients see."""

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
    """Models that a server offers.

    Clients do not see paths of the server, so a model has a name for clients, and another one by
    which the server loads it.

    Attributes:
        names: Names for loading, which may be paths, by the names for clients; the default first.
        options: Device, engine and precision.
    """

    names: Mapping[str, str]
    options: ServerOptions

    def server_name(self, name: str) -> str:
        """Name by which the server loads a model, from that for clients; "" is the default.

        Raises:
            Refusal: If the server does not offer the model.
        """
        if not name:
            return next(iter(self.names.values()))
        if name not in self.names:
            hint = suggest(name[:80], self.names)
            if not hint.startswith("did"):  # nothing is similar, so it would list all
                hint = "/v1/models lists them"
            raise Refusal(404, f"this server has no model '{name[:80]}'; {hint}")
        return self.names[name]

    def video_name(self, name: str) -> str:
        """Name for clients of the model for frames, whose default is the fast one."""
        if not name and self.server_name("") == DEFAULT_MODEL and FAST_MODEL in self.names:
            return FAST_MODEL
        return name

    def display_name(self, name: str) -> str:
        """Name for clients of a model; "" is the default."""
        return name or next(iter(self.names))

    @property
    def display_names_by_path(self) -> Mapping[str, str]:
        """Names for clients by the paths of the models, which messages must not show."""
        display_names = {}
        for display_name, path in self.names.items():
            if display_name != path:
                display_names[path] = display_name
                display_names[os.path.abspath(path)] = display_name
        return display_names

    def load(self, name: str) -> Model:
        """Load a model by its name on the server.

        Raises:
            ModelError: If it is a paid model.
        """
        with shared_cores(cores()):
            model = self.options.load(name)
        if isinstance(model, PaidModel):
            raise _paid_model_error(name)
        return model

    def describe(self) -> list[dict[str, object]]:
        """Describe all models to clients."""
        default = self.display_name("")
        return [
            {
                "name": display_name,
                "default": display_name == default,
                **_describe_card(MODELS.own.get(name)),
            }
            for display_name, name in self.names.items()
        ]


def offered_models(options: ServerOptions) -> OfferedModels:
    """Choose the models that a server offers, by its options.

    Raises:
        ModelError: If there is no such model, it is a paid one, or two have one name.
    """
    paid = {card.name for card in replicate_cards.listed_cards()}
    names: dict[str, str] = {}
    default, *further = options.offered
    fast = (FAST_MODEL,) if default == DEFAULT_MODEL else ()
    for name in dict.fromkeys((default, *fast, *further)):
        if name in paid or name.startswith("replicate:"):
            raise _paid_model_error(name)
        is_public = name in MODELS.own or is_import_path(name)
        display_name = name if is_public else PurePath(name).stem
        if display_name in names:
            raise ModelError(
                f"two models would be called '{display_name}': rename one of the files"
            )
        if not os.path.exists(name):
            find_card(name)
        names[display_name] = name
    return OfferedModels(names, options)


def _paid_model_error(name: str) -> ModelError:
    return ModelError(f"model '{name}' is paid by the call, so the server does not offer it")


def _describe_card(card: ModelCard | None) -> dict[str, object]:
    """What clients learn about a model; nothing about a file without a card."""
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
    """Whether a model is on this machine; None if that is not known."""
    entry = table.ENTRIES.get(card.name)
    if entry is not None:
        return is_downloaded(entry)
    return True if card.extra is None else None
