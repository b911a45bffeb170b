"""The command ``rilievo datasets``, which lists the datasets and shows their cards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import format_table, printing, say
from rilievo.data.datasets import DATASETS, find_dataset
from rilievo.data.datasets.dataset import DatasetCard
from rilievo.schema.fields import option

_MAX_LICENCE_CHARACTERS = 20  # in the table


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    name: Annotated[str | None, option(positional=True)] = None
    """Dataset to describe; by default all datasets are listed."""


def main(arguments: Sequence[str]) -> int:
    """List the datasets, or show the card of one."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo datasets",
        description=(
            "List the supported datasets, or show the source, licence, size and folder layout of "
            "one."
        ),
        examples=("rilievo datasets", "rilievo datasets nyuv2"),
    )
    with printing():
        if request.name is None:
            say(_table_of_datasets())
        else:
            say(_card_text(find_dataset(request.name).card))
    return 0


def _table_of_datasets() -> str:
    header = ("name", "what", "size", "licence", "normals")
    rows = [_row_of_card(find_dataset(name).card) for name in DATASETS]
    return "\n".join(
        [
            format_table(header, rows),
            "",
            "'rilievo datasets NAME' describes a dataset; 'rilievo check NAME FOLDER' checks a "
            "download.",
        ]
    )


def _row_of_card(card: DatasetCard) -> tuple[str, ...]:
    return (
        card.name,
        card.title,
        _gigabytes_text(card),
        _licence_text(card, in_table=True),
        "no" if card.normals is None else "yes",
    )


def _gigabytes_text(card: DatasetCard) -> str:
    return "-" if card.gigabytes is None else f"{card.gigabytes:g} GB"


def _licence_text(card: DatasetCard, *, in_table: bool = False) -> str:
    """Licence, or in the table a hint in place of a long one."""
    is_too_long_for_table = in_table and len(card.licence) > _MAX_LICENCE_CHARACTERS
    licence = "see its card" if is_too_long_for_table else card.licence
    return licence if card.commercial else f"{licence} (NON-COMMERCIAL)"


def _card_text(card: DatasetCard) -> str:
    """Write a card as rows of a name and a value, then the layout and the caveats."""
    counts = (
        f"{split} ({card.counts[split]} images)" if split in card.counts else split
        for split in card.splits
    )
    rows = {
        "title": card.title,
        "what": card.summary,
        "get it": card.homepage,
        "licence": _licence_text(card),
        "size": _gigabytes_text(card),
        "splits": ", ".join(counts),
        "variants": ", ".join(card.variants),
        "normals": card.normals or "none",
        "extra": card.extra or "none needed",
    }
    lines = [card.name, "", *(f"{key:<10}{value}" for key, value in rows.items())]
    lines += ["", "layout:", *(f"  {line}" for line in card.layout.strip("\n").splitlines())]
    if card.caveats:
        lines += ["", "caveats:", *(f"  - {caveat}" for caveat in card.caveats)]
    return "\n".join(lines)
