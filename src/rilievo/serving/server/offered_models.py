"""The models that a server offers, under the names that clients see."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from rilievo.errors import ModelError
from rilievo.errors.typing_errors import hint_for_typing_error
from rilievo.extensions.trust import is_import_path
from rilievo.io.files.machine import cores
from rilievo.models import FAST_MODEL, MODELS, find_card, is_paid_name
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

    Clients must not see paths of the server. So a model has a display name for clients, and a
    server name by which it is loaded.

    Attributes:
        names: Server names, which may be paths, by display name; the default model comes first.
        options: Device, engine and precision.
    """

    names: Mapping[str, str]
    options: ServerOptions

    def server_name(self, name: str) -> str:
        """Look up the server name of a display name; "" is the default model."""
        if not name:
            return next(iter(self.names.values()))
        if name not in self.names:
            raise Refusal(404, f"this server has no model '{name[:80]}'; {self._hint(name)}")
        return self.names[name]

    def _hint(self, name: str) -> str:
        """Hint for a model that is not offered."""
        if name in MODELS.own and not is_paid_name(name):
            return (
                "/v1/models lists the available models, and whoever runs the server can add this "
                f"one with --offer {name}"
            )
        hint = hint_for_typing_error(name[:80], self.names)
        return hint or "/v1/models lists the available models"

    def video_name(self, name: str) -> str:
        """Display name of the model for frames of a video.

        If neither the request nor the server names a model, frames get the fast one.
        """
        return name if name or self.options.model else FAST_MODEL

    def display_name(self, name: str) -> str:
        """Display name of a model; "" is the default model."""
        return name or next(iter(self.names))

    @property
    def display_names_by_path(self) -> Mapping[str, str]:
        """Display names by the paths of models, which messages to clients must not show."""
        display_names = {}
        for display_name, path in self.names.items():
            if display_name != path:
                display_names[path] = display_name
                display_names[os.path.abspath(path)] = display_name
        return display_names

    def load(self, name: str) -> Model:
        """Load a model by its server name."""
        with shared_cores(cores()):
            model = self.options.load(name)
        if isinstance(model, PaidModel):
            raise _paid_model_error(name)
        return model

    def describe(self) -> list[dict[str, object]]:
        """Describe all models in JSON for clients."""
        default = self.display_name("")
        descriptions = []
        for display_name, server_name in self.names.items():
            card = MODELS.own.get(server_name)
            is_default = display_name == default
            descriptions.append(
                {"name": display_name, "default": is_default, **_describe_card(card)}
            )
        return descriptions


def offered_models(options: ServerOptions) -> OfferedModels:
    """List the models that a server offers, as its options say.

    If the options name no model, the fast one is offered, too, because it is the default for
    frames of videos.

    Raises:
        ModelError: If a model is unknown or paid, or if two would have the same display name.
    """
    names: dict[str, str] = {}
    default, *others = options.offered
    video_models = [] if options.model else [FAST_MODEL]
    for name in dict.fromkeys([default, *video_models, *others]):
        if is_paid_name(name):
            raise _paid_model_error(name)
        is_public = name in MODELS.own or is_import_path(name)
        display_name = name if is_public else PurePath(name).stem
        if display_name in names:
            raise ModelError(f"two models have the name '{display_name}': rename one of the files")
        if not os.path.exists(name):
            find_card(name)  # raises ModelError for an unknown name
        names[display_name] = name
    return OfferedModels(names, options)


def _paid_model_error(name: str) -> ModelError:
    return ModelError(
        f"model '{name}' is paid for each photograph, so a server cannot offer it: choose another "
        "model"
    )


def _describe_card(card: ModelCard | None) -> dict[str, object]:
    """Describe a model's card in JSON for clients; empty for a model file, which has no card."""
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
