"""``rilievo models``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from rilievo.cli.streams import printing
from rilievo.cli.tables import table
from rilievo.models import DEFAULT_MODEL, MODELS, find_card
from rilievo.models.card import ModelCard, read_details


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    name: Annotated[str | None, tyro.conf.Positional] = None
    """A model whose whole card to show; without it, all models in a table."""


def main(arguments: Sequence[str]) -> int:
    """List the models, or show the card of one."""
    with printing():
        given = tyro.cli(
            _Arguments,
            args=list(arguments),
            prog="rilievo models",
            description="What models there are: kind, size, licence, extra, speed.",
        )
    text = _table() if given.name is None else _card(find_card(given.name))
    with printing():
        print(text)
    return 0


def _table() -> str:
    header = ("name", "depth", "normals", "size", "licence", "extra", "speed")
    return "\n".join(
        [
            table(header, [_row(card) for card in MODELS.values()]),
            "",
            f"The default is {DEFAULT_MODEL}. 'rilievo models NAME' shows a card;",
            "'rilievo predict --model FILE.onnx' takes any ONNX file that says what it is.",
        ]
    )


def _row(card: ModelCard) -> tuple[str, ...]:
    return (
        card.name,
        card.kind or "none",
        "yes" if card.normals else "no",
        f"{card.megabytes:.1f} MB",
        card.licence + ("" if card.commercial else " (NON-COMMERCIAL)"),
        card.extra or "none",
        card.speed,
    )


def _card(card: ModelCard) -> str:
    facts = {
        "summary": card.summary,
        "depth": f"{card.kind or 'none'}",
        "normals": "yes: unit, camera frame, towards the camera" if card.normals else "no",
        "licence": card.licence + (", commercial use allowed" if card.commercial else ""),
        "size": f"{card.megabytes:.1f} MB",
        "extra": card.extra or "none, it is in the core",
        "speed": card.speed,
    }
    lines = [card.name, "", *(f"{key:<9}{value}" for key, value in facts.items())]
    details = read_details(card)
    return "\n".join(lines if details is None else [*lines, "", details])
