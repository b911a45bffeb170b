"""``rilievo models``."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
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
_DOWNLOADS: Mapping[str, str] = {
    "zipdepth": "the best for its size",
    "depth-anything-v2/small": "finer, eight times as large",
    "depth-anything-3/small": "sees the focal length too",
    "moge-2/small": "metres, nothing to know",
    "moge-2/large": "the best here",
}

_DEPTH: Mapping[DepthKind | None, str] = {
    DepthKind.METRIC: "metres",
    DepthKind.UP_TO_SCALE: "depth up to scale",
    DepthKind.AFFINE: "depth up to scale, shift",
    DepthKind.AFFINE_INVERSE: "inverse depth",
}
_UNKNOWN = "-"
_MARK = " *"


def overview_text() -> str:
    """Text of ``rilievo models``."""
    here = [
        *_EMBEDDED,
        *(name for name, entry in catalogue.ENTRIES.items() if is_downloaded(entry)),
    ]
    away = [name for name in _DOWNLOADS if name not in here]
    words = {**_DOWNLOADS, **_EMBEDDED}
    present = [
        (name, _whole_megabytes(MODELS[name]), _outputs_text(MODELS[name]), words.get(name, ""))
        for name in here
    ]
    offered = [
        (
            name,
            _whole_megabytes(MODELS[name]),
            _outputs_text(MODELS[name]),
            _nyu_abs_rel(MODELS[name]) or _UNKNOWN,
            MODELS[name].licence,
            _DOWNLOADS[name] + _MARK * bool(MODELS[name].note),
        )
        for name in away
    ]
    header = ("name", "size", "gives", "error", "licence", "")
    parts = [f"On this machine, without a network:\n{_headless_table(present)}"]
    if offered:
        parts.append(
            f"One download each, by its first use or by 'rilievo models fetch NAME...':\n"
            f"{table(header, offered)}\n{_error_footnote(away)}{_asterisk_notes(away)}"
        )
    return "\n\n".join([*parts, _usage_lines()])


def _asterisk_notes(names: Sequence[str]) -> str:
    notes = dict.fromkeys(MODELS[name].note for name in names if MODELS[name].note)
    return f"\n{_MARK.strip()} {'; '.join(notes)}" if notes else ""


def _usage_lines() -> str:
    words = ", ".join(f"{word} = {name}" for word, name in QUALITIES.items())
    return (
        f"rilievo predict photo.jpg                takes {DEFAULT_MODEL}\n"
        f"rilievo predict photo.jpg --quality WORD {words}\n"
        "rilievo predict photo.jpg --model NAME   takes any of these\n"
        "rilievo models NAME, --all, --json       one in full, all of them, for programs\n"
        "rilievo models --backbones               networks whose features a probe reads"
    )


def _headless_table(rows: Sequence[Sequence[str]]) -> str:
    return table(("",) * len(rows[0]), rows)


def _whole_megabytes(card: ModelCard) -> str:
    if card.megabytes is None:
        return "not known"
    return f"{card.megabytes:,.0f} MB"


def _outputs_text(card: ModelCard) -> str:
    others = {"normals": card.normals, "camera": card.camera}
    return ", ".join([_DEPTH[card.kind], *(name for name, other in others.items() if other)])


def _nyu_abs_rel(card: ModelCard) -> str | None:
    """Published AbsRel on NYUv2."""
    hit = re.search(r"NYUv2 (\d+\.\d+)/", card.published or "")
    return None if hit is None else hit[1]


def _error_footnote(names: Sequence[str]) -> str:
    sources = dict.fromkeys(_error_sources(names))
    whose = f"; by {', '.join(sources)}" if sources else ""
    return f"error: AbsRel on NYUv2, scale and shift fitted{whose}; {_UNKNOWN} where none is known"


def _error_sources(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        card = MODELS[name]
        if _nyu_abs_rel(card) is not None:
            yield (card.published or "").rpartition("(")[2].removesuffix(")")


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
_PATCH_MEANS = ", of which both sides of an image are made multiples"
_NO_PATCH = "not confirmed"
_BACKBONE_BEGINNINGS = ("timm/", "hf/", "diffusers/")

_FIRST_DOWNLOAD = (
    "not published: the size and SHA-256 that the hub states at the first download are checked "
    "then, remembered, and checked at every later use"
)

_USES = {True: ", commercial use allowed", False: ": NON-COMMERCIAL", None: ""}


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
            given = "all" if self.all else "name"
            raise OptionError(option="backbones", without=given)


@dataclass(frozen=True, kw_only=True)
class _FetchArguments:
    names: Annotated[tuple[str, ...], option(positional=True, metavar="NAME")]
    """Models of the catalogue, such as zipdepth and moge-2/small, or rilievo's own."""


def main(arguments: Sequence[str]) -> int:
    """List models, show a card, or download one."""
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
        text = json.dumps(_records(request), indent=1)
    elif request.name is not None:
        text = _named_card_text(request.name)
    elif request.backbones:
        text = _table_of_backbones()
    else:
        text = _table_of_all_models() if request.all else overview_text()
    with printing():
        if request.json:
            print(text)
        else:
            say(text)
    return 0


def _records(request: _Arguments) -> list[dict[str, object]]:
    """Facts of what was asked for, for JSON."""
    if request.backbones:
        return [asdict(card) for card in load_service("backbones").values()]
    if request.name is None:
        return [_card_record(card) for card in MODELS.all().values()]
    if _is_backbone(request.name):
        return [asdict(load_service("backbone-card")(request.name))]
    return [_card_record(_find_or_load_card(request.name))]


def _is_backbone(name: str) -> bool:
    """Whether a name begins as those of backbones of timm and others, or is one of ours."""
    if name in MODELS or Path(name).exists():
        return False
    return name.startswith(_BACKBONE_BEGINNINGS) or name in load_service("backbones")


def _named_card_text(name: str) -> str:
    if _is_backbone(name):
        return _backbone_text(load_service("backbone-card")(name))
    return _card_text(_find_or_load_card(name))


def _find_or_load_card(name: str) -> ModelCard:
    if name in MODELS.own or not Path(name).exists():
        return find_card(name)
    return replace(load_model(name).card, name=name, source=name)


def _fetch_or_print_paths(action: str, arguments: Sequence[str]) -> int:
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
            print(
                embedded_file(card.name)
                if entry is None
                else _find_or_fetch_file(entry, fetch=action == "fetch")
            )
            if entry is None and action == "fetch":
                complain(f"rilievo: {card.name} is here already: it comes with rilievo")
    return 0


def _is_embedded(card: ModelCard) -> bool:
    return card.source is None


def _find_or_fetch_file(entry: CatalogueEntry, *, fetch: bool) -> Path:
    from rilievo.models.catalogue.download import fetch_files, find_files

    there = find_files(entry)
    if there is None and not fetch:
        raise ModelError(
            f"model '{entry.name}' is not downloaded: 'rilievo models fetch {entry.name}'"
        )
    if there is not None and fetch:
        complain(f"rilievo: {entry.name} is here already")
    return (there or fetch_files(entry))[0]


def _table_of_all_models() -> str:
    header = ("name", "gives", "depth", "size", "licence", "extra", "speed")
    rows = [
        (
            card.name,
            _all_outputs_text(card),
            card.kind or "none",
            _megabytes(card),
            card.licence + (" (NON-COMMERCIAL)" if card.commercial is False else ""),
            card.extra or "none",
            card.speed,
        )
        for card in MODELS.all().values()
    ]
    return f"{table(header, rows)}\n\n{_NOTES_OF_ALL}"


def _table_of_backbones() -> str:
    header = ("name", "network", "parameters", "patch", "licence", "paper")
    rows = [
        (
            card.name,
            card.summary,
            _millions(card.parameters),
            _UNKNOWN if card.patch is None else f"{card.patch} px",
            card.licence + (" (NON-COMMERCIAL)" if card.commercial is False else ""),
            card.paper,
        )
        for card in load_service("backbones").values()
    ]
    return f"{table(header, rows)}\n\n{_NOTES_OF_BACKBONES}"


def _millions(parameters: int | None) -> str:
    return _UNKNOWN if parameters is None else f"{parameters / 1e6:,.1f} M"


def _backbone_text(card: Any) -> str:
    count = card.parameters
    facts = {
        "summary": card.summary,
        "parameters": "not counted" if count is None else f"{count:,}",
        "patch": _NO_PATCH if card.patch is None else f"{card.patch} px{_PATCH_MEANS}",
        "licence": card.licence + _USES[card.commercial],
        **({"stated on": card.stated} if card.stated else {}),
        "paper": card.paper,
        "source": card.source,
    }
    lines = [card.name, "", *(f"{key:<12}{value}" for key, value in facts.items())]
    return "\n".join(
        [*lines, "", f"rilievo train probe --backbone {card.name} --root data/ -o run"]
    )


def _all_outputs_text(card: ModelCard) -> str:
    parts = {
        "depth": card.kind is not None,
        "normals": card.normals,
        "confidence": card.confidence,
        "sky": card.sky,
        "camera": card.camera,
    }
    return ", ".join(name for name, part in parts.items() if part)


def _card_record(card: ModelCard) -> dict[str, object]:
    facts = {key: value for key, value in asdict(card).items() if key not in ("loader", "settings")}
    return {**facts, "note": card.note}


def _megabytes(card: ModelCard) -> str:
    return "not known" if card.megabytes is None else f"{card.megabytes:.1f} MB"


def _setting_line(facts: SettingDescription) -> str:
    default = "" if facts.default is None else f", {facts.default}"
    return f"  {facts.name} ({facts.type}{default}): {facts.help}"


def _text_if_unpublished(card: ModelCard) -> str:
    if read_long_card(card) is not None:
        return "nothing by others; measured by us, below"
    if card.kind is None:
        return "not known here"
    return f"not known here; 'rilievo evaluate -m {card.name} --benchmark nyuv2-eigen' measures it"


def _card_text(card: ModelCard) -> str:
    facts = {
        "summary": card.summary,
        "depth": f"{card.kind or 'none'}",
        "normals": "yes: unit, camera frame, towards the camera" if card.normals else "no",
        "confidence": "yes: 0 to 1, pixel by pixel" if card.confidence else "no",
        "sky": "yes: a mask; surfaces leave it out" if card.sky else "no",
        "camera": "yes: the focal length that it sees" if card.camera else "no",
        **({} if card.area is None else {"sees": f"{card.area:,} pixels of a photograph"}),
        "resized": card.resizing.described,
        "licence": card.licence + _USES[card.commercial],
        **({"stated on": card.stated} if card.stated else {}),
        **({"trained on": f"data {RESEARCH_DATA}"} if card.research_data else {}),
        **({"labelled by": card.teacher} if card.teacher else {}),
        "size": _megabytes(card),
        **({} if card.hash_known else {"hash": _FIRST_DOWNLOAD}),
        "extra": card.extra or "none, it is in the core",
        "speed": card.speed,
        **({"note": card.note} if card.note else {}),
        "published": card.published or _text_if_unpublished(card),
        "source": card.source or "inside the package",
    }
    lines = [card.name, "", *(f"{key:<12}{value}" for key, value in facts.items())]
    lines += [f"{'download':<12}{download}" for download in card.downloads]
    if card.settings is not None:
        described = describe_settings(card.settings)
        lines += ["", "settings (--set NAME=VALUE):", *map(_setting_line, described)]
    details = read_long_card(card)
    return "\n".join(lines if details is None else [*lines, "", details])
