"""Loaders of models, by the names that their cards give."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from rilievo import wings
from rilievo.errors import ModelError, needing
from rilievo.models.card import ModelCard
from rilievo.plugins import is_place, load_named

if TYPE_CHECKING:
    from rilievo.models.base import Model
    from rilievo.models.load_options import LoadOptions

LOADERS: Mapping[str, str] = {
    "embedded": "rilievo.models.default.embedded:load",
    "separate": "rilievo.models.default.embedded:load_separate",
    "catalogue": "rilievo.models.catalogue.opening:load",
    "replicate": "rilievo.models.replicate.replicate_model:load",
}
"""Loaders of the house; those of the wings stand in ``rilievo.wings``."""


def find_loader(card: ModelCard) -> "Callable[[ModelCard, LoadOptions], Model]":
    """Import the loader that a card names.

    Raises:
        MissingExtraError: If it needs a package that is not installed.
        MissingPartError: If it needs a wing that this copy of rilievo does not have.
    """
    asked = f"model '{card.name}'"
    with needing(asked, card.extra or "train"):
        if is_place(card.loader) or card.loader in LOADERS:
            module, _, function = LOADERS.get(card.loader, card.loader).partition(":")
            return getattr(import_module(module), function)
        found = load_named(wings.LOADERS, card.loader, what="loader", asked=asked)
    if found is None:
        raise ModelError(f"{asked} names a loader that is not known: '{card.loader}'")
    return found
