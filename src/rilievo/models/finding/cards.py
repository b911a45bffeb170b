"""Table of the cards of all known models.

The tables of other models than the embedded ones are imported when they are needed.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module

from rilievo.errors import ModelError, OptionError
from rilievo.models.card import ModelCard
from rilievo.models.default.embedded_cards import BASE, EMBEDDED, SMALL
from rilievo.plugins import OpenTable

DEFAULT_MODEL = BASE
"""Model of photographs, unless another is named."""

FAST_MODEL = SMALL
"""Model of videos and streams, unless another is named."""

REMOVED: Mapping[str, str] = {"rilievo/tiny": f"is gone since 0.3.0: {SMALL} is the fast model"}
"""Models that are gone, with what to do instead."""

# A new family of models is one file with the cards of those that are listed, and a line here.
TABLES: Sequence[str] = (
    "rilievo.models.catalogue.table:listed_cards",
    "rilievo.models.hub.checkpoints:listed_cards",
    "rilievo.models.hub.diffusion_cards:listed_cards",
    "rilievo.models.replicate.replicate_cards:listed_cards",
)


@cache
def _cards() -> Mapping[str, ModelCard]:
    places = (place.split(":") for place in TABLES)
    others = (getattr(import_module(module), name)() for module, name in places)
    return {**EMBEDDED, **{card.name: card for cards in others for card in cards}}


class _Cards(Mapping[str, ModelCard]):
    """Cards by name; looking up an embedded model imports no other table."""

    def __getitem__(self, name: str) -> ModelCard:
        return EMBEDDED[name] if name in EMBEDDED else _cards()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_cards())

    def __len__(self) -> int:
        return len(_cards())


def _outside(found: object, name: str) -> ModelCard:
    card = getattr(found, "card", None)
    if not isinstance(card, ModelCard):
        raise OptionError(
            f"model '{name}' has no card: give its function one with @rilievo.model(kind=...)"
        )
    return replace(card, name=name)


MODELS: OpenTable[ModelCard] = OpenTable(_Cards(), "model", _outside)


def removed_model(name: str) -> ModelError | None:
    """Error for the name of a model that is gone; None for any other."""
    whole = name.partition("@")[0].lower()
    whole = whole if "/" in whole else f"rilievo/{whole}"
    return ModelError(f"{whole} {REMOVED[whole]}") if whole in REMOVED else None


def unknown_model(name: str, others: Sequence[str]) -> ModelError:
    """Error for an unknown name: similar names, how to list all, and how to add one.

    Args:
        name: The name.
        others: Names of models that are not listed.
    """
    if (removed := removed_model(name)) is not None:
        return removed
    if name.endswith("/"):
        return ModelError(
            f"no folder '{name}', and no model of that name; 'rilievo models --all' lists all"
        )
    asked = name.partition("@")[0].lower()
    names = [*MODELS, *others]
    # Common abbreviations: da3, dav2.
    short = re.sub(r"[^a-z0-9]", "", asked)
    near = [each for each in names if _initials(each).startswith(short or "?")][:2]
    near = near or difflib.get_close_matches(asked, names, n=2, cutoff=0.45)
    own = {each.partition("/")[2]: each for each in EMBEDDED}
    nearest_own = [own[each] for each in difflib.get_close_matches(asked, own, n=1)]
    near = sorted(dict.fromkeys((*nearest_own, *near)), key=lambda each: each not in EMBEDDED)
    near = near[: 1 if len(name) > 24 else 2]  # in three lines of a terminal, whatever the name
    nearest = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return ModelError(
        f"no model '{name}'; {nearest}'rilievo models --all' lists all; to add one: "
        "ORG/NAME --kind KIND (hub), package.module:load (docs/extending.md)"
    )


def _initials(name: str) -> str:
    """First letters of the words of a name, with numbers whole: dav2s, da3b, m2l."""
    words = re.split(r"[-/]", name)
    return "".join(word if word[-1:].isdigit() else word[:1] for word in words)
