"""Models that visitors may choose, and reasons against the others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from rilievo.errors import ModelError, suggest
from rilievo.models import MODELS, embedded_cards, replicate_cards
from rilievo.models.card import ModelCard
from rilievo.models.separate import find_file

_PACKAGES = {"models": ("torch", "transformers", "diffusers")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One model in the app's list.

    Attributes:
        name: Name in ``MODELS``, or the path that the server was started with.
        card: Card of the model; None for a file or run of the server's owner.
        refusal: Reason why it cannot be chosen; None if it can.
    """

    name: str
    card: ModelCard | None
    refusal: str | None

    @property
    def label(self) -> str:
        """Name and licence, for a drop-down list."""
        return f"{self.shown} ({self.licence})"

    @property
    def shown(self) -> str:
        """The name, without folders for a file on the server."""
        return self.name if self.card is not None else self.name.rstrip("/").rpartition("/")[2]

    @property
    def licence(self) -> str:
        """Licence of the weights, and whether it forbids commercial use."""
        if self.card is None:
            return "the server's own"
        forbidden = ", non-commercial" if self.card.commercial is False else ""
        return self.card.licence + forbidden


def choices(start: str, offered: Sequence[str] | None) -> list[Choice]:
    """Models of the table that are free of charge, the initial one first.

    Args:
        start: Model that is selected when the page opens.
        offered: Names of others that may be chosen; None for all whose extra is installed.

    Raises:
        ModelError: If an offered name is not in the table, or its calls are charged.
    """
    paid = {card.name for card in replicate_cards.listed_cards()}
    for name in (start, *(offered or ())):
        if name in paid:
            raise ModelError(
                f"model '{name}' is charged for each call, so the app does not offer it"
            )
    for name in offered or ():
        if name not in MODELS:
            raise ModelError(f"--offer has no model '{name}'; {suggest(name, MODELS)}")
    first = Choice(name=start, card=MODELS.get(start), refusal=None)
    free = [card for card in MODELS.values() if card.name not in {*paid, start}]
    return [first, *(_choice(card, offered) for card in free)]


def open_choices(listed: Sequence[Choice]) -> Iterator[Choice]:
    """Yield the models that can be chosen."""
    return (choice for choice in listed if choice.refusal is None)


def _choice(card: ModelCard, offered: Sequence[str] | None) -> Choice:
    refusal = None
    if any(find_spec(package) is None for package in _PACKAGES.get(card.extra or "", ())):
        refusal = f"not installed: it needs the extra '{card.extra}'"
    elif card.loader == embedded_cards.SEPARATE and find_file(card) is None:
        refusal = f"not here: it needs {card.source}"
    elif offered is not None and card.name not in offered:
        refusal = "not offered by this server"
    return Choice(name=card.name, card=card, refusal=refusal)
