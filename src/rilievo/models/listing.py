"""Table of the models that have a name. The table is data: reading it imports no model."""

import difflib
import re
from dataclasses import replace

from rilievo.errors import ModelError, OptionError
from rilievo.models import diffusion_cards, embedded_cards, monodepth2, replicate_cards
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.table import ENTRIES
from rilievo.models.checkpoints import KINDS, checkpoint_card, listed_cards
from rilievo.outside import OpenTable, is_place

DEFAULT_MODEL = embedded_cards.SMALL
_GUIDE = "docs/extending.md"

# A new model is one file beside this one and one entry here.
_CARDS = (
    *embedded_cards.listed_cards(),
    *(entry.card for entry in ENTRIES.values()),
    *listed_cards(),
    *diffusion_cards.listed_cards(),
    *replicate_cards.listed_cards(),
)


def _outside(found: object, name: str) -> ModelCard:
    card = getattr(found, "card", None)
    if not isinstance(card, ModelCard):
        raise OptionError(
            f"model '{name}' has no card: "
            "give its function one with @rilievo.models.outside.outside_model(card)"
        )
    return replace(card, name=name)


MODELS: OpenTable[ModelCard] = OpenTable({card.name: card for card in _CARDS}, "model", _outside)


def find_card(name: str) -> ModelCard:
    """Find the card of a model by its name, its repository on the hub, or its ``module:load``."""
    if name in KINDS:
        return checkpoint_card(name)
    if name in diffusion_cards.REPOSITORIES:
        return diffusion_cards.repository_card(name)
    if name == monodepth2.NAME:
        return monodepth2.family_card()
    if name not in MODELS and not is_place(name):
        raise unknown(name)
    return MODELS.find(name)


def unknown(name: str) -> ModelError:
    """Error for an unknown name: similar names, how to list all, and how to add one."""
    asked = name.partition("@")[0].lower()
    names = [*MODELS, *KINDS]
    # Common abbreviations: da3, dav2.
    short = re.sub(r"[^a-z0-9]", "", asked)
    near = [each for each in names if _initials(each).startswith(short or "?")][:2]
    near = near or difflib.get_close_matches(asked, names, n=2, cutoff=0.45)
    near = near[: 1 if len(name) > 24 else 2]  # in three lines of a terminal, whatever the name
    nearest = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return ModelError(
        f"no model '{name}'; {nearest}'rilievo models --all' lists all; to add one: "
        f"ORG/NAME --kind KIND (hub), package.module:load ({_GUIDE})"
    )


def _initials(name: str) -> str:
    """First letters of the words of a name, with numbers whole: dav2s, da3b, m2l."""
    words = re.split(r"[-/]", name)
    return "".join(word if word[-1:].isdigit() else word[:1] for word in words)
