"""``rilievo models``: list models, show their cards, download them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from rilievo.cli.parsing import parse
from rilievo.cli.streams import complain, printing, say, table
from rilievo.errors import ModelError, OptionError
from rilievo.extensions.subpackages import load_service
from rilievo.models import DEFAULT_MODEL, MODELS, find_card, load_model
from rilievo.models.card import RESEARCH_DATA, ModelCard
from rilievo.models.catalogue import table as catalogue
from rilievo.models.catalogue.download import is_downloaded
from rilievo.models.catalogue.table import CatalogueEntry, find_entry
from rilievo.models.default.embedded import BASE, SMALL, read_long_card
from rilievo.models.model_options import QUALITIES
from rilievo.models.model_settings import SettingDescription, describe_settings
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import option

_EMBEDDED: Mapping[str, str] = {
    BASE: "the default for photographs",
    SMALL: "the default for videos, five times as fast",
}
"""Embedded models, and what recommends them."""
_RECOMMENDED: Mapping[str, str] = {
    "zipdepth": "the best for its size",
    "depth-anything-v2/small": "finer, eight times as large",
    "depth-anything-3/small": "sees the focal length too",
    "moge-2/small": "metres, nothing to know",
    "moge-2/large": "the best here",
}
"""Models that the overview offers for download, and what recommends them."""

_DEPTH_WORDS: Mapping[DepthKind | None, str] = {
    DepthKind.METRIC: "metres",
    DepthKind.UP_TO_SCALE: "depth up to scale",
    DepthKind.AFFINE: "depth up to scale, shift",
    DepthKind.AFFINE_INVERSE: "inverse depth",
}
_UNKNOWN = "-"
_ASTERISK = " *"


def _overview_text() -> str:
    """Text of ``rilievo models``: models on this machine, and those to download."""
    downloaded = [name for name, entry in catalogue.ENTRIES.items() if is_downloaded(entry)]
    available = [*_EMBEDDED, *downloaded]
    offered = [name for name in _RECOMMENDED if name not in available]
    parts = [f"On this machine, without a network:\n{_table_of_available(available)}"]
    if offered:
        parts.append(
            f"One download each, by its first use or by 'rilievo models fetch NAME...':\n"
            f"{_table_of_offered(offered)}\n{_error_footnote(offered)}{_asterisk_notes(offered)}"
        )
    return "\n\n".join([*parts, _usage_lines()])


def _table_of_available(names: Sequence[str]) -> str:
    merits = {**_RECOMMENDED, **_EMBEDDED}
    rows = []
    for name in names:
        card = MODELS[name]
        rows.append((name, _whole_megabytes(card), _outputs_text(card), merits.get(name, "")))
    return table(("",) * 4, rows)


def _table_of_offered(names: Sequence[str]) -> str:
    rows = []
    for name in names:
        card = MODELS[name]
        merit = _RECOMMENDED[name] + (_ASTERISK if card.note else "")
        abs_rel = _nyu_abs_rel(card) or _UNKNOWN
        rows.append(
            (name, _whole_megabytes(card), _outputs_text(card), abs_rel, card.licence, merit)
        )
    return table(("name", "size", "gives", "error", "licence", ""), rows)


def _asterisk_notes(names: Sequence[str]) -> str:
    notes = dict.fromkeys(MODELS[name].note for name in names if MODELS[name].note)
    return f"\n{_ASTERISK.strip()} {'; '.join(notes)}" if notes else ""


def _usage_lines() -> str:
    qualities = ", ".join(f"{word} = {name}" for word, name in QUALITIES.items())
    return (
        f"rilievo predict photo.jpg                takes {DEFAULT_MODEL}\n"
        f"rilievo predict photo.jpg --quality WORD {qualities}\n"
        "rilievo predict photo.jpg --model NAME   takes any of these\n"
        "rilievo models NAME, --all, --json       one in full, all of them, for programs\n"
        "rilievo models --backbones               networks whose features a probe reads"
    )


def _whole_megabytes(card: ModelCard) -> str:
    if card.megabytes is None:
        return "not known"
    return f"{card.megabytes:,.0f} MB"


def _outputs_text(card: ModelCard) -> str:
    outputs = [_DEPTH_WORDS[card.kind]]
    if card.normals:
        outputs.append("normals")
    if card.camera:
        outputs.append("camera")
    return ", ".join(outputs)


def _nyu_abs_rel(card: ModelCard) -> str | None:
    """Published AbsRel on NYUv2; None if there is none."""
    match = re.search(r"NYUv2 (\d+\.\d+)/", card.published or "")
    return None if match is None else match[1]


def _error_footnote(names: Sequence[str]) -> str:
    """What the column of errors is, and who published them."""
    cards = [MODELS[name] for name in names]
    published = [card.published or "" for card in cards if _nyu_abs_rel(card) is not None]
    # The source stands at the end, in parentheses.
    sources = dict.fromkeys(text.rpartition("(")[2].removesuffix(")") for text in published)
    authors = f"; by {', '.join(sources)}" if sources else ""
    return (
        f"error: AbsRel on NYUv2, scale and shift fitted{authors}; {_UNKNOWN} where none is known"
    )


_ACTIONS = {
    "fetch": "Download models of the catalogue now, so that they work offline later.",
    "path": "Print where the files of models lie that are embedded or downloaded.",
}

_NOTES_OF_ALL = f"""\
The default is {DEFAULT_MODEL}. 'rilievo models NAME' shows a card. 'speed' is of 640x480 pixels \
on two processor cores.
'rilievo predict --model FILE.onnx' takes any ONNX file that says what it is;
'--model ORG/NAME --kind KIND' a depth model of the Hugging Face hub, '--model FOLDER' one on disk;
'--model package.module:load' a function of your own (docs/extending.md);
'rilievo models fetch NAME' downloads what the core runs beforehand, \
'rilievo models path NAME' says where it lies;
'--model replicate:OWNER/NAME' one at replicate.com, paid by the photograph."""

_NOTES_OF_BACKBONES = f"""\
'rilievo models NAME' shows one in full. Both sides of an image are padded to multiples of the \
patch. {_UNKNOWN} is a number that was not counted, and 'not confirmed' a licence for which we \
found no statement of the authors.
'rilievo train probe --backbone NAME' also takes any other timm/MODEL, hf/ORG/NAME and \
diffusers/ORG/NAME, and package.module:Class of your own."""
_BACKBONE_PREFIXES = ("timm/", "hf/", "diffusers/")
"""Beginnings of the names of backbones that others published."""

_FIRST_DOWNLOAD = (
    "not published: the size and SHA-256 that the hub states at the first download are checked "
    "then, remembered, and checked at every later use"
)

_COMMERCIAL_USE = {True: ", commercial use allowed", False: ": NON-COMMERCIAL", None: ""}


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    name: Annotated[str | None, option(positional=True)] = None
    """Model, backbone or file whose card to show; without it: what is here, and what one download
    gives.
    """
    all: bool = False
    """List all models, including those of installed packages."""
    backbones: bool = False
    """List the networks whose features a probe reads ('rilievo train probe --backbone NAME')."""
    json: bool = False
    """Print all facts of all models, or of the one that is named, as JSON."""

    def __post_init__(self) -> None:
        if self.backbones and (self.all or self.name is not None):
            excluded = "all" if self.all else "name"
            raise OptionError(option="backbones", without=excluded)


@dataclass(frozen=True, kw_only=True)
class _FetchArguments:
    names: Annotated[tuple[str, ...], option(positional=True, metavar="NAME")]
    """Models of the catalogue, such as zipdepth and moge-2/small, or rilievo's own."""


def main(arguments: Sequence[str]) -> int:
    """List models, show a card, or download models; return the exit code."""
    if arguments and arguments[0] in _ACTIONS:
        return _fetch_or_print_paths(arguments[0], arguments[1:])
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo models",
        description=(
            "What models there are: those on this machine, and what one download gives. 'fetch "
            "NAME...' downloads some beforehand, 'path NAME...' prints where their files lie."
        ),
        examples=(
            "rilievo models",
            "rilievo models zipdepth",
            "rilievo models --backbones",
            *(f"rilievo models {name} zipdepth moge-2/small" for name in _ACTIONS),
        ),
    )
    if request.json:
        text = json.dumps(_json_records(request), indent=1)
    else:
        text = _text(request)
    with printing():
        if request.json:
            print(text)
        else:
            say(text)
    return 0


def _text(request: _Arguments) -> str:
    if request.name is not None:
        return _named_card_text(request.name)
    if request.backbones:
        return _table_of_backbones()
    return _table_of_all_models() if request.all else _overview_text()


def _json_records(request: _Arguments) -> list[dict[str, object]]:
    """Cards of the models or backbones that were asked for, as JSON has them."""
    if request.backbones:
        return [asdict(card) for card in load_service("backbones").values()]
    if request.name is None:
        return [_card_record(card) for card in MODELS.all().values()]
    if _is_backbone(request.name):
        return [asdict(load_service("backbone-card")(request.name))]
    return [_card_record(_find_or_load_card(request.name))]


def _is_backbone(name: str) -> bool:
    """Whether a name is that of a backbone, and not of a model or file."""
    if name in MODELS or Path(name).exists():
        return False
    return name.startswith(_BACKBONE_PREFIXES) or name in load_service("backbones")


def _named_card_text(name: str) -> str:
    if _is_backbone(name):
        return _backbone_text(load_service("backbone-card")(name))
    return _card_text(_find_or_load_card(name))


def _find_or_load_card(name: str) -> ModelCard:
    if name in MODELS.own or not Path(name).exists():
        return find_card(name)
    return replace(load_model(name).card, name=name, source=name)


def _fetch_or_print_paths(action: str, arguments: Sequence[str]) -> int:
    """Run ``rilievo models fetch`` or ``path``: print the path of each model."""
    request = parse(
        _FetchArguments,
        arguments,
        prog=f"rilievo models {action}",
        description=_ACTIONS[action],
        examples=(f"rilievo models {action} zipdepth moge-2/small",),
    )
    cards = [find_card(name) for name in dict.fromkeys(request.names)]
    entries = {card.name: find_entry(card.name) for card in cards if not _is_embedded(card)}
    from rilievo.models.default.embedded import embedded_file

    with printing():
        for card in cards:
            entry = entries.get(card.name)
            if entry is not None:
                print(_find_or_fetch_file(entry, fetch=action == "fetch"))
                continue
            print(embedded_file(card.name))
            if action == "fetch":
                complain(f"rilievo: {card.name} is here already: it comes with rilievo")
    return 0


def _is_embedded(card: ModelCard) -> bool:
    return card.source is None


def _find_or_fetch_file(entry: CatalogueEntry, *, fetch: bool) -> Path:
    """ONNX file of a model, downloaded if ``fetch`` is true and it is missing."""
    from rilievo.models.catalogue.download import fetch_files, find_files

    paths = find_files(entry)
    if paths is None and not fetch:
        raise ModelError(
            f"model '{entry.name}' is not downloaded: 'rilievo models fetch {entry.name}'"
        )
    if paths is not None and fetch:
        complain(f"rilievo: {entry.name} is here already")
    return (paths or fetch_files(entry))[0]


def _table_of_all_models() -> str:
    header = ("name", "gives", "depth", "size", "licence", "extra", "speed")
    rows = [
        (
            card.name,
            _all_outputs_text(card),
            card.kind or "none",
            _megabytes(card),
            _licence_text(card),
            card.extra or "none",
            card.speed,
        )
        for card in MODELS.all().values()
    ]
    return f"{table(header, rows)}\n\n{_NOTES_OF_ALL}"


def _licence_text(card: Any) -> str:
    """Licence of a model or backbone, with a warning if it forbids commercial use."""
    return card.licence + (" (NON-COMMERCIAL)" if card.commercial is False else "")


def _table_of_backbones() -> str:
    header = ("name", "network", "parameters", "patch", "licence", "paper")
    rows = [
        (
            card.name,
            card.summary,
            _millions(card.parameters),
            _UNKNOWN if card.patch is None else f"{card.patch} px",
            _licence_text(card),
            card.paper,
        )
        for card in load_service("backbones").values()
    ]
    return f"{table(header, rows)}\n\n{_NOTES_OF_BACKBONES}"


def _millions(parameters: int | None) -> str:
    return _UNKNOWN if parameters is None else f"{parameters / 1e6:,.1f} M"


def _backbone_text(card: Any) -> str:
    """Card of a backbone, for the terminal."""
    parameters, patch = "not counted", "not confirmed"
    if card.parameters is not None:
        parameters = f"{card.parameters:,}"
    if card.patch is not None:
        patch = f"{card.patch} px, of which both sides of an image are made multiples"
    entries = {
        "summary": card.summary,
        "parameters": parameters,
        "patch": patch,
        "licence": card.licence + _COMMERCIAL_USE[card.commercial],
        "stated on": card.stated,
        "paper": card.paper,
        "source": card.source,
    }
    command = f"rilievo train probe --backbone {card.name} --root data/ -o run"
    return "\n".join([card.name, "", *_entry_lines(entries), "", command])


def _entry_lines(entries: Mapping[str, str]) -> list[str]:
    """Lines of a card's entries, without those that are empty."""
    return [f"{name:<12}{value}" for name, value in entries.items() if value]


def _all_outputs_text(card: ModelCard) -> str:
    outputs = {
        "depth": card.kind is not None,
        "normals": card.normals,
        "confidence": card.confidence,
        "sky": card.sky,
        "camera": card.camera,
    }
    return ", ".join(name for name, is_predicted in outputs.items() if is_predicted)


def _card_record(card: ModelCard) -> dict[str, object]:
    record = asdict(card)
    del record["loader"], record["settings"]
    return {**record, "note": card.note}


def _megabytes(card: ModelCard) -> str:
    return "not known" if card.megabytes is None else f"{card.megabytes:.1f} MB"


def _setting_line(setting: SettingDescription) -> str:
    default = "" if setting.default is None else f", {setting.default}"
    return f"  {setting.name} ({setting.type}{default}): {setting.help}"


def _text_if_unpublished(card: ModelCard) -> str:
    """What is said about the accuracy of a model for which no one published any."""
    if read_long_card(card) is not None:
        return "nothing by others; measured by us, below"
    if card.kind is None:
        return "not known here"
    return f"not known here; 'rilievo evaluate -m {card.name} --benchmark nyuv2-eigen' measures it"


def _card_text(card: ModelCard) -> str:
    """Card of a model, for the terminal, with its settings and its long card if any."""
    entries = {
        "summary": card.summary,
        "depth": f"{card.kind or 'none'}",
        "normals": "yes: unit, camera frame, towards the camera" if card.normals else "no",
        "confidence": "yes: 0 to 1, pixel by pixel" if card.confidence else "no",
        "sky": "yes: a mask; surfaces leave it out" if card.sky else "no",
        "camera": "yes: the focal length that it sees" if card.camera else "no",
        "sees": "" if card.area is None else f"{card.area:,} pixels of a photograph",
        "resized": card.resizing.described,
        "licence": card.licence + _COMMERCIAL_USE[card.commercial],
        "stated on": card.stated,
        "trained on": f"data {RESEARCH_DATA}" if card.research_data else "",
        "labelled by": card.teacher,
        "size": _megabytes(card),
        "hash": "" if card.hash_known else _FIRST_DOWNLOAD,
        "extra": card.extra or "none, it is in the core",
        "speed": card.speed,
        "note": card.note,
        "published": card.published or _text_if_unpublished(card),
        "source": card.source or "inside the package",
    }
    lines = [card.name, "", *_entry_lines(entries)]
    lines += [f"{'download':<12}{download}" for download in card.downloads]
    if card.settings is not None:
        described = describe_settings(card.settings)
        lines += ["", "settings (--set NAME=VALUE):", *map(_setting_line, described)]
    long_card = read_long_card(card)
    if long_card is not None:
        lines += ["", long_card]
    return "\n".join(lines)
