"""``rilievo models``."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, table
from rilievo.errors import ModelError
from rilievo.models import DEFAULT_MODEL, MODELS, find_card
from rilievo.models.card import RESEARCH_DATA, ModelCard
from rilievo.models.default.embedded_cards import SEPARATE, SMALL, TINY, read_details
from rilievo.models.model_options import QUALITIES
from rilievo.models.settings import SettingFacts, describe_settings, settings_class
from rilievo.models.speeds import Speed, speeds

_ACTIONS = {
    "fetch": "Download a model of the catalogue now, so that it works offline later.",
    "path": "Print where the file of a model lies that is embedded or downloaded.",
}

# The recommended models; the others are older, larger, slower or narrower.
_RECOMMENDED = (
    DEFAULT_MODEL,
    SMALL,
    TINY,
    "moge-2/small",
    "moge-2/large",
    "depth-anything-v2/small",
    "depth-anything-3/small",
)

_NOTES_OF_ALL = f"""\
The default is {DEFAULT_MODEL}. 'rilievo models NAME' shows a card. 'speed' is of 640x480 pixels \
on two processor cores;
'speed here' was measured on this machine at the first use.
'rilievo predict --model FILE.onnx' takes any ONNX file that says what it is;
'--model ORG/NAME --kind KIND' a depth model of the Hugging Face hub, '--model FOLDER' one on disk;
'--model package.module:load' a function of your own (docs/extending.md);
'rilievo models fetch NAME' downloads what the core runs beforehand, \
'rilievo models path NAME' says where it lies;
'--model replicate:OWNER/NAME' one at replicate.com, paid by the photograph."""

_FIRST_DOWNLOAD = (
    "not published: the size and SHA-256 that the hub states at the first download are checked "
    "then, remembered, and checked ever after"
)

_USES = {True: ", commercial use allowed", False: ": NON-COMMERCIAL", None: ""}


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    name: Annotated[str | None, tyro.conf.Positional] = None
    """Model whose card to show; without it, six recommended ones are listed."""
    all: bool = False
    """List all models, including those of installed packages."""
    json: bool = False
    """Print all facts of all models, or of the one that is named, as JSON."""


@dataclass(frozen=True, kw_only=True)
class _FetchArguments:
    name: Annotated[str, tyro.conf.Positional]
    """Model of the catalogue, such as moge-2/small, or one of rilievo's own."""


def main(arguments: Sequence[str]) -> int:
    """List the models, show the card of one, or download one."""
    if arguments and arguments[0] in _ACTIONS:
        return _fetch(arguments[0], arguments[1:])
    given = parse(
        _Arguments,
        arguments,
        prog="rilievo models",
        description=(
            "What models there are: kind, size, licence, extra, speed. 'fetch NAME' downloads one "
            "beforehand, 'path NAME' prints where its file lies."
        ),
        examples=(
            "rilievo models",
            "rilievo models moge-2/small",
            *(f"rilievo models {name} moge-2/small" for name in _ACTIONS),
        ),
    )
    if given.json:
        found = MODELS.all().values() if given.name is None else [find_card(given.name)]
        text = json.dumps([_facts(card) for card in found], indent=1)
    elif given.name is not None:
        text = _card(find_card(given.name))
    else:
        text = _listing(all=given.all)
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
    with printing():
        print(_file_of(find_card(given.name), fetch=action == "fetch"))
    return 0


def _file_of(card: ModelCard, *, fetch: bool) -> Path:
    if card.loader == SEPARATE or card.source is None:
        from rilievo.models.default.embedded import file_of

        return file_of(card)
    from rilievo.models.catalogue.download import fetch_files, find_files
    from rilievo.models.catalogue.table import find_entry

    entry = find_entry(card.name)
    found = fetch_files(entry) if fetch else find_files(entry)
    if found is None:
        raise ModelError(
            f"model '{card.name}' is not downloaded: 'rilievo models fetch {card.name}'"
        )
    return found[0]


def _listing(*, all: bool) -> str:
    """Table of all models, or of the recommended ones with fewer columns."""
    measured = speeds()
    header = ("name", "gives", "depth", "size", "speed here", "licence", "extra", "speed")
    cards = MODELS.all().values() if all else [MODELS[name] for name in _RECOMMENDED]
    rows = [
        (
            card.name,
            _gives(card),
            card.kind or "none",
            _size(card),
            _speed(measured.get(card.name)),
            card.licence + (" (NON-COMMERCIAL)" if card.commercial is False else ""),
            card.extra or "none",
            card.speed,
        )
        for card in cards
    ]
    if all:
        return f"{table(header, rows)}\n\n{_NOTES_OF_ALL}"
    words = ", ".join(f"{word} = {name}" for word, name in QUALITIES.items())
    return f"""{table(header[:6], [row[:6] for row in rows])}

rilievo predict photo.jpg --quality WORD   {words}
rilievo predict photo.jpg --model NAME     any of these; downloaded where needed
rilievo models NAME, --all, --json         one in full, all of them, for programs"""


def _gives(card: ModelCard) -> str:
    parts = {
        "depth": card.kind is not None,
        "normals": card.normals,
        "confidence": card.confidence,
        "sky": card.sky,
        "camera": card.camera,
    }
    return ", ".join(name for name, given in parts.items() if given)


def _speed(measured: Speed | None) -> str:
    if measured is None:
        return "not run yet"
    return f"{measured.seconds:.2g} s, {measured.pixels}"


def _facts(card: ModelCard) -> dict[str, object]:
    """All facts of a card, and the measured speed, for JSON."""
    measured = speeds().get(card.name)
    facts = {key: value for key, value in asdict(card).items() if key not in ("loader", "settings")}
    return {**facts, "speed_here": None if measured is None else asdict(measured)}


def _size(card: ModelCard) -> str:
    return "not known" if card.megabytes is None else f"{card.megabytes:.1f} MB"


def _setting(facts: SettingFacts) -> str:
    default = "" if facts.default is None else f", {facts.default}"
    return f"  {facts.name} ({facts.type}{default}): {facts.help}"


def _unpublished(card: ModelCard) -> str:
    if read_details(card) is not None:
        return "nothing by others; measured by us, below"
    if card.kind is None:
        return "not known here"
    return f"not known here; 'rilievo evaluate -m {card.name} --benchmark nyuv2-eigen' measures it"


def _card(card: ModelCard) -> str:
    facts = {
        "summary": card.summary,
        "depth": f"{card.kind or 'none'}",
        "normals": "yes: unit, camera frame, towards the camera" if card.normals else "no",
        "confidence": "yes: 0 to 1, pixel by pixel" if card.confidence else "no",
        "sky": "yes: a mask; surfaces leave it out" if card.sky else "no",
        "steps": "yes: they tell sharpening where depth jumps" if card.steps else "no",
        "camera": "yes: the focal length that it sees" if card.camera else "no",
        "licence": card.licence + _USES[card.commercial],
        **({"stated on": card.stated} if card.stated else {}),
        **({"trained on": f"data {RESEARCH_DATA}"} if card.research_data else {}),
        **({"labelled by": card.teacher} if card.teacher else {}),
        "size": _size(card),
        **({} if card.hash_known else {"hash": _FIRST_DOWNLOAD}),
        "extra": card.extra or "none, it is in the core",
        "speed": card.speed,
        "speed here": _speed(speeds().get(card.name)),
        "published": card.published or _unpublished(card),
        "source": card.source or "inside the package",
    }
    lines = [card.name, "", *(f"{key:<12}{value}" for key, value in facts.items())]
    if card.settings is not None:
        described = describe_settings(settings_class(card.settings))
        lines += ["", "what can be set of it (--set NAME=VALUE):", *map(_setting, described)]
    details = read_details(card)
    return "\n".join(lines if details is None else [*lines, "", details])
