"""Models by the name or path that the user gives: one ordered table of finders.

A finder is imported when those before it have not recognised the request.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from rilievo import wings
from rilievo.models.card import ModelCard
from rilievo.models.contracts import FoundModel, ModelRequest
from rilievo.models.default.embedded_cards import EMBEDDED
from rilievo.models.finding.cards import MODELS, unknown_model
from rilievo.models.load_options import LoadOptions
from rilievo.plugins import is_place, load_named, names_offered

Finder = Callable[[ModelRequest], FoundModel | None]
"""Function from a request to the model that is found; None for requests of another kind."""

WINGS = "wings"

# A new way to name a model is one function and one line here; the first match is taken.
FINDERS: Sequence[str] = (
    "rilievo.models.functions.depth_function:find_given",
    "rilievo.models.catalogue.published_files:find",
    "rilievo.models.onnx_files.named_files:find",
    "rilievo.models.finding.listed_models:find",
    "rilievo.models.hub.diffusion_cards:find",
    "rilievo.models.replicate.replicate_cards:find",
    WINGS,
    "rilievo.models.onnx_files.named_files:find_in_folder",
    "rilievo.models.hub.checkpoints:find_folder",
    "rilievo.models.finding.listed_models:find_revised",
    "rilievo.models.outside:find_place",
    "rilievo.models.outside:find_installed",
    "rilievo.models.hub.hub_files:find_repository",
)
"""Finders in the order in which they are asked; ``WINGS`` stands for those of the wings."""


def find(request: ModelRequest) -> FoundModel:
    """Find the model for a request with the first finder that recognises it.

    Raises:
        ModelError: If there is no such model; the message has the nearest names.
    """
    if isinstance(request.name, str) and request.name in EMBEDDED:
        return FoundModel(card=EMBEDDED[request.name])
    found = _first(_finders(), request) or _own(request.name)
    if found is None:
        raise _unknown(request.text)
    return found


def find_card(name: str) -> ModelCard:
    """Find the card of a model by its name, its repository on the hub, or its ``module:load``.

    Raises:
        ModelError: If there is no such model; the message has the nearest names.
    """
    if name in EMBEDDED:
        return EMBEDDED[name]
    from rilievo.models.hub.checkpoints import KINDS
    from rilievo.models.hub.diffusion_cards import REPOSITORIES

    if name in KINDS or name in REPOSITORIES:
        return KINDS.get(name) or REPOSITORIES[name]
    if name in MODELS or is_place(name):
        return MODELS.find(name)
    request = ModelRequest(name=name, kind=None, options=LoadOptions())
    found = None if os.path.isdir(name) else _first(_finders_of_wings(), request)
    found = found or _own(name)
    if found is None or found.card is None:
        raise _unknown(name)
    return found.card


def _own(name: str | Path) -> FoundModel | None:
    """Find a model of rilievo's own by its last word: "small", unless a file is called so."""
    card = None if os.path.exists(name) else EMBEDDED.get(f"rilievo/{name}")
    return None if card is None else FoundModel(card=card)


def _first(finders: Iterator[Finder], request: ModelRequest) -> FoundModel | None:
    found = (finder(request) for finder in finders)
    return next((each for each in found if each is not None), None)


def _finders() -> Iterator[Finder]:
    for place in FINDERS:
        if place == WINGS:
            yield from _finders_of_wings()
        else:
            module, _, name = place.partition(":")
            yield getattr(import_module(module), name)


def _finders_of_wings() -> Iterator[Finder]:
    """Finders of the wings that this copy of rilievo has, and of installed packages."""
    for name in dict.fromkeys((*wings.FINDERS, *names_offered("finder"))):
        if name not in wings.FINDERS or wings.is_present(wings.FINDERS[name]):
            finder = load_named(wings.FINDERS, name, what="finder", asked="a model")
            if finder is not None:
                yield finder


def _unknown(name: str) -> Exception:
    from rilievo.models.hub.checkpoints import KINDS

    return unknown_model(name, [*KINDS])
