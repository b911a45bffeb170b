"""``rilievo models``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing
from rilievo.cli.tables import table
from rilievo.models import DEFAULT_MODEL, MODELS, find_card
from rilievo.models.card import ModelCard, read_details
from rilievo.models.settings import SettingFacts, describe_settings, settings_class


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    name: Annotated[str | None, tyro.conf.Positional] = None
    """A model whose whole card to show; without it, all models in a table."""


@dataclass(frozen=True, kw_only=True)
class _FetchArguments:
    name: Annotated[str, tyro.conf.Positional]
    """A model of the catalogue, such as moge-2/small."""


_ACTIONS = {
    "fetch": "Download a model of the catalogue now, so that it works offline later.",
    "path": "Print where the file of a downloaded model lies.",
}


def main(arguments: Sequence[str]) -> int:
    """List the models, show the card of one, or fetch one."""
    if arguments and arguments[0] in _ACTIONS:
        return _fetch(arguments[0], arguments[1:])
    given = parse(
        _Arguments,
        arguments,
        prog="rilievo models",
        description="What models there are: kind, size, licence, extra, speed.",
    )
    text = _table() if given.name is None else _card(find_card(given.name))
    with printing():
        print(text)
    return 0


def _fetch(action: str, arguments: Sequence[str]) -> int:
    given = parse(
        _FetchArguments,
        arguments,
        prog=f"rilievo models {action}",
        description=_ACTIONS[action],
    )
    from rilievo.models.catalogue.download import fetch_files
    from rilievo.models.catalogue.table import find_entry

    paths = fetch_files(find_entry(given.name), offline=action == "path")
    with printing():
        print(paths[0])
    return 0


def _table() -> str:
    header = ("name", "depth", "normals", "size", "licence", "extra", "speed")
    return "\n".join(
        [
            table(header, [_row(card) for card in MODELS.values()]),
            "",
            f"The default is {DEFAULT_MODEL}. 'rilievo models NAME' shows a card;",
            "'rilievo predict --model FILE.onnx' takes any ONNX file that says what it is;",
            "'--model ORG/NAME --kind KIND' a depth model of the Hugging Face hub, "
            "'--model FOLDER' one on disk;",
            "'rilievo models fetch NAME' downloads moge-2/* beforehand, 'rilievo models path NAME' "
            "says where it lies;",
            "'--model replicate:OWNER/NAME' one at replicate.com, paid by the photograph.",
        ]
    )


def _row(card: ModelCard) -> tuple[str, ...]:
    return (
        card.name,
        card.kind or "none",
        "yes" if card.normals else "no",
        _size(card),
        card.licence + (" (NON-COMMERCIAL)" if card.commercial is False else ""),
        card.extra or "none",
        card.speed,
    )


_USES = {True: ", commercial use allowed", False: ": NON-COMMERCIAL", None: ""}


def _size(card: ModelCard) -> str:
    return "not known" if card.megabytes is None else f"{card.megabytes:.1f} MB"


def _setting(facts: SettingFacts) -> str:
    default = "" if facts.default is None else f", {facts.default}"
    return f"  {facts.name} ({facts.type}{default}): {facts.help}"


def _card(card: ModelCard) -> str:
    facts = {
        "summary": card.summary,
        "depth": f"{card.kind or 'none'}",
        "normals": "yes: unit, camera frame, towards the camera" if card.normals else "no",
        "confidence": "yes: 0 to 1, pixel by pixel" if card.confidence else "no",
        "licence": card.licence + _USES[card.commercial],
        "size": _size(card),
        "extra": card.extra or "none, it is in the core",
        "speed": card.speed,
        "source": card.source or "inside the package",
    }
    lines = [card.name, "", *(f"{key:<12}{value}" for key, value in facts.items())]
    if card.settings is not None:
        described = describe_settings(settings_class(card.settings))
        lines += ["", "what can be set of it (--set NAME=VALUE):", *map(_setting, described)]
    details = read_details(card)
    return "\n".join(lines if details is None else [*lines, "", details])
