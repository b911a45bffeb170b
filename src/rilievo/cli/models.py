"""``rilievo models``: list models, show their cards, download them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from rilievo.cli.parsing import parse
from rilievo.cli.streams import format_table, print_to_stderr, printing, say
from rilievo.errors import OptionError
from rilievo.extensions.subpackages import load_service
from rilievo.models import DEFAULT_MODEL, MODELS, find_card, load_model
from rilievo.models.card import RESEARCH_DATA, ModelCard
from rilievo.models.catalogue import table as catalogue
from rilievo.models.catalogue.download import is_downloaded
from rilievo.models.catalogue.table import CatalogueEntry, find_entry
from rilievo.models.default.embedded import BASE, SMALL, read_long_card
from rilievo.models.load_options import SettingDescription, describe_settings
from rilievo.models.model_options import QUALITIES
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import option

_EMBEDDED: Mapping[str, str] = {
    BASE: "the default for photographs",
    SMALL: "the default for videos, five times as fast as rilievo/base",
}
"""Embedded models, and what they are good for."""
_RECOMMENDED: Mapping[str, str] = {
    "zipdepth": "the best for its size",
    "depth-anything-v2/small": "finer depth, larger file",
    "depth-anything-3/small": "predicts the focal length",
    "moge-2/small": "metres without a known size",
    "moge-2/large": "the most accurate of these",
}
"""Models that the overview offers for download, and what they are good for."""

_DEPTH_WORDS: Mapping[DepthKind | None, str] = {
    DepthKind.METRIC: "metres",
    DepthKind.UP_TO_SCALE: "depth up to scale",
    DepthKind.AFFINE: "depth up to scale and shift",
    DepthKind.AFFINE_INVERSE: "inverse depth",
}
_UNKNOWN = "-"
_ASTERISK = " *"


def _overview_text() -> str:
    """Text of ``rilievo models``: the models on this machine, and recommended downloads."""
    downloaded = [name for name, entry in catalogue.ENTRIES.items() if is_downloaded(entry)]
    available = [*_EMBEDDED, *downloaded]
    offered = [name for name in _RECOMMENDED if name not in available]
    sections = [f"Available offline on this machine:\n{_available_table(available)}"]
    if offered:
        sections.append(
            f"Downloaded at first use, or with 'rilievo models fetch NAME...':\n"
            f"{_offered_table(offered)}\n{_error_footnote(offered)}{_asterisk_notes(offered)}"
        )
    return "\n\n".join([*sections, _usage_lines()])


def _available_table(names: Sequence[str]) -> str:
    merits = {**_RECOMMENDED, **_EMBEDDED}
    rows = []
    for name in names:
        card = MODELS[name]
        rows.append((name, _whole_megabytes(card), _outputs_text(card), merits.get(name, "")))
    return format_table(("",) * 4, rows)


def _offered_table(names: Sequence[str]) -> str:
    rows = []
    for name in names:
        card = MODELS[name]
        merit = _RECOMMENDED[name]
        if card.note:
            merit += _ASTERISK  # the note follows below the table
        abs_rel = _nyu_abs_rel(card) or _UNKNOWN
        rows.append(
            (name, _whole_megabytes(card), _outputs_text(card), abs_rel, card.licence, merit)
        )
    return format_table(("name", "size", "gives", "error", "licence", ""), rows)


def _asterisk_notes(names: Sequence[str]) -> str:
    notes = dict.fromkeys(MODELS[name].note for name in names if MODELS[name].note)
    return f"\n{_ASTERISK.strip()} {'; '.join(notes)}" if notes else ""


def _usage_lines() -> str:
    qualities = ", ".join(f"{word} = {name}" for word, name in QUALITIES.items())
    return (
        f"rilievo predict photo.jpg                use {DEFAULT_MODEL}\n"
        f"rilievo predict photo.jpg --quality WORD {qualities}\n"
        "rilievo predict photo.jpg --model NAME   use any of these models\n"
        "rilievo models NAME                      describe a model in detail\n"
        "rilievo models --all                     list all models; with --json, as JSON\n"
        "rilievo models --backbones               list networks for training probes"
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
    match = re.search(r"NYUv2 (\d+\.\d+)/", card.published or "")
    return None if match is None else match[1]


def _error_footnote(names: Sequence[str]) -> str:
    """Explain the column of errors, and name the papers that published them."""
    cards = [MODELS[name] for name in names]
    published = [card.published or "" for card in cards if _nyu_abs_rel(card) is not None]
    # Each text ends with its source in parentheses.
    sources = dict.fromkeys(text.rpartition("(")[2].removesuffix(")") for text in published)
    authors = f" ({', '.join(sources)})" if sources else ""
    return (
        f"error: AbsRel on NYUv2 after fitting scale and shift{authors}; {_UNKNOWN} means unknown"
    )


_ACTIONS = {
    "fetch": "Download models from the catalogue now, so that they work offline later.",
    "path": "Print the file paths of embedded or downloaded models.",
}

_NOTES_OF_ALL = f"""\
The default is {DEFAULT_MODEL}. 'rilievo models NAME' describes a model. 'speed' is the time for a \
photograph of 640x480 pixels on two processor cores.
'rilievo predict --model FILE.onnx' runs any ONNX file with metadata.
'--model ORG/NAME --kind KIND' runs a depth model from the Hugging Face hub, and '--model FOLDER' \
runs one from a folder.
'--model package.module:load' runs a function of your own (docs/extending.md).
'--model replicate:OWNER/NAME' runs a model at replicate.com, which charges for each photograph.
'rilievo models fetch NAME' downloads a model in advance, and 'rilievo models path NAME' prints \
its path."""

_NOTES_OF_BACKBONES = f"""\
'rilievo models NAME' describes a network in detail. Both sides of an image are padded to \
multiples of the patch size. {_UNKNOWN} means that a number is unknown, and 'not confirmed' that \
we found no licence statement by the authors.
'rilievo train probe --backbone NAME' also accepts any other timm/MODEL, hf/ORG/NAME and \
diffusers/ORG/NAME, and your own package.module:Class."""
_BACKBONE_PREFIXES = ("timm/", "hf/", "diffusers/")
"""Beginnings of the names of backbones that others published."""

_FIRST_DOWNLOAD = (
    "not published: rilievo records the size and SHA-256 that the hub states at the first "
    "download, and checks the file against them then and at every later use"
)

_COMMERCIAL_USE = {True: ", commercial use allowed", False: ": NON-COMMERCIAL", None: ""}


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    name: Annotated[str | None, option(positional=True)] = None
    """Model, backbone or file to describe. By default, list installed and downloadable models."""
    all: bool = False
    """List all models, including those of installed packages."""
    backbones: bool = False
    """List the backbones for probes ('rilievo train probe --backbone NAME')."""
    json: bool = False
    """Print everything about all models, or about the given one, as JSON."""

    def __post_init__(self) -> None:
        if self.backbones and (self.all or self.name is not None):
            excluded = "all" if self.all else "name"
            raise OptionError(option="backbones", without=excluded)


@dataclass(frozen=True, kw_only=True)
class _FetchArguments:
    names: Annotated[tuple[str, ...], option(positional=True, metavar="NAME")]
    """Models from the catalogue, such as zipdepth and moge-2/small, or rilievo's own models."""


def main(arguments: Sequence[str]) -> int:
    """List models, show a card, or download models; return the exit code."""
    if arguments and arguments[0] in _ACTIONS:
        return _fetch_or_print_paths(arguments[0], arguments[1:])
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo models",
        description=(
            "List installed and downloadable models. 'fetch NAME...' downloads models in advance, "
            "and 'path NAME...' prints the paths of their files."
        ),
        examples=(
            "rilievo models",
            "rilievo models zipdepth",
            "rilievo models --backbones",
            *(f"rilievo models {name} zipdepth moge-2/small" for name in _ACTIONS),
        ),
    )
    # An error of a model must not count as one of printing, so the text is made before.
    text = json.dumps(_json_records(request), indent=1) if request.json else _terminal_text(request)
    with printing():
        if request.json:
            print(text)
        else:
            say(text)  # wrapped to the terminal
    return 0


def _terminal_text(request: _Arguments) -> str:
    if request.name is not None:
        return _named_card_text(request.name)
    if request.backbones:
        return _backbone_table()
    return _all_models_table() if request.all else _overview_text()


def _json_records(request: _Arguments) -> list[dict[str, object]]:
    if request.backbones:
        return [asdict(card) for card in load_service("backbones").values()]
    if request.name is None:
        return [_card_record(card) for card in MODELS.all().values()]
    if _is_backbone(request.name):
        return [asdict(load_service("backbone-card")(request.name))]
    return [_card_record(_find_or_load_card(request.name))]


def _is_backbone(name: str) -> bool:
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
    """Run ``rilievo models fetch`` or ``path``: print the path of each model's file."""
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
                print_to_stderr(
                    f"rilievo: {card.name} needs no download, because it is part of rilievo"
                )
    return 0


def _is_embedded(card: ModelCard) -> bool:
    return card.source is None


def _find_or_fetch_file(entry: CatalogueEntry, *, fetch: bool) -> Path:
    """ONNX file of a model. Download it first if it is missing and ``fetch`` is set."""
    from rilievo.models.catalogue.download import fetch_files, require_files

    if not fetch:
        return require_files(entry)[0]
    was_downloaded = is_downloaded(entry)
    paths = fetch_files(entry)
    if was_downloaded:
        print_to_stderr(f"rilievo: {entry.name} is already downloaded")
    return paths[0]


def _all_models_table() -> str:
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
    return f"{format_table(header, rows)}\n\n{_NOTES_OF_ALL}"


def _licence_text(card: Any) -> str:
    """Licence of a model or backbone, with a warning if it forbids commercial use."""
    return card.licence + (" (NON-COMMERCIAL)" if card.commercial is False else "")


def _backbone_table() -> str:
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
    return f"{format_table(header, rows)}\n\n{_NOTES_OF_BACKBONES}"


def _millions(parameters: int | None) -> str:
    return _UNKNOWN if parameters is None else f"{parameters / 1e6:,.1f} M"


def _backbone_text(card: Any) -> str:
    """Describe a backbone in full."""
    parameters = "unknown"
    if card.parameters is not None:
        parameters = f"{card.parameters:,}"
    patch = "not confirmed"
    if card.patch is not None:
        patch = f"{card.patch} px; both sides of an image are padded to multiples of this size"
    entries = {
        "summary": card.summary,
        "parameters": parameters,
        "patch": patch,
        "licence": card.licence + _COMMERCIAL_USE[card.commercial],
        "stated on": card.stated,
        "paper": card.paper,
        "source": card.source,
    }
    weights = f" --weights {card.weights_file}" if card.weights_file else ""
    command = f"rilievo train probe --backbone {card.name}{weights} --root data/ -o run"
    return "\n".join([card.name, "", *_entry_lines(entries), "", command])


def _entry_lines(entries: Mapping[str, str]) -> list[str]:
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
    """Card of a model as JSON, without the entries that only rilievo needs to load it."""
    record = asdict(card)
    del record["loader"]
    del record["settings"]
    return {**record, "note": card.note}


def _megabytes(card: ModelCard) -> str:
    return "not known" if card.megabytes is None else f"{card.megabytes:.1f} MB"


def _setting_line(setting: SettingDescription) -> str:
    default = "" if setting.default is None else f", {setting.default}"
    return f"  {setting.name} ({setting.type}{default}): {setting.help}"


def _text_if_unpublished(card: ModelCard) -> str:
    """Sentence on the accuracy of a model for which nobody has published a number."""
    if read_long_card(card) is not None:
        return "no results published by others; our own results are below"
    if card.kind is None:
        return "unknown"
    return f"unknown; to measure it: rilievo evaluate -m {card.name} --benchmark nyuv2-eigen"


def _card_text(card: ModelCard) -> str:
    """Describe a model in full, with its downloads, its settings and its long card."""
    entries = {**_output_entries(card), **_origin_entries(card)}
    lines = [card.name, "", *_entry_lines(entries)]
    lines += [f"{'download':<12}{download}" for download in card.downloads]
    if card.settings is not None:
        settings = describe_settings(card.settings)
        lines += ["", "settings (--set NAME=VALUE):", *map(_setting_line, settings)]
    long_card = read_long_card(card)
    if long_card is not None:
        lines += ["", long_card]
    return "\n".join(lines)


def _output_entries(card: ModelCard) -> Mapping[str, str]:
    """Say what a model predicts, and at which size it sees a photograph."""
    normals = "yes: unit vectors in the camera frame, towards the camera" if card.normals else "no"
    return {
        "summary": card.summary,
        "depth": f"{card.kind or 'none'}",
        "normals": normals,
        "confidence": "yes: 0 to 1 for each pixel" if card.confidence else "no",
        "sky": "yes: a mask; surfaces leave out the sky" if card.sky else "no",
        "camera": "yes: it predicts the focal length" if card.camera else "no",
        "sees": "" if card.area is None else f"{card.area:,} pixels of the resized photograph",
        "resized": card.resizing.description,
    }


def _origin_entries(card: ModelCard) -> Mapping[str, str]:
    """Say where a model comes from, what one may do with it, and how large and good it is."""
    return {
        "licence": card.licence + _COMMERCIAL_USE[card.commercial],
        "stated on": card.stated,
        "trained on": f"data {RESEARCH_DATA}" if card.research_data else "",
        "labelled by": card.teacher,
        "size": _megabytes(card),
        "hash": "" if card.hash_known else _FIRST_DOWNLOAD,
        "extra": card.extra or "none needed",
        "speed": card.speed,
        "note": card.note,
        "published": card.published or _text_if_unpublished(card),
        "source": card.source or "included in the package",
    }
