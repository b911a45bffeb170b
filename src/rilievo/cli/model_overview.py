"""Overview of models."""

import re
from collections.abc import Iterator, Mapping, Sequence

from rilievo.cli.streams import table
from rilievo.depth_map import DepthKind
from rilievo.models import DEFAULT_MODEL, MODELS
from rilievo.models.card import ModelCard
from rilievo.models.catalogue import table as catalogue
from rilievo.models.catalogue.download import is_downloaded
from rilievo.models.default.embedded_cards import BASE, SMALL
from rilievo.models.model_options import QUALITIES

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


def overview() -> str:
    """Text of ``rilievo models``."""
    here = [
        *_EMBEDDED,
        *(name for name, entry in catalogue.ENTRIES.items() if is_downloaded(entry)),
    ]
    away = [name for name in _DOWNLOADS if name not in here]
    words = {**_DOWNLOADS, **_EMBEDDED}
    present = [
        (name, _size(MODELS[name]), _gives(MODELS[name]), words.get(name, "")) for name in here
    ]
    offered = [
        (
            name,
            _size(MODELS[name]),
            _gives(MODELS[name]),
            _nyu_abs_rel(MODELS[name]) or _UNKNOWN,
            MODELS[name].licence,
            _DOWNLOADS[name] + _MARK * bool(MODELS[name].note),
        )
        for name in away
    ]
    header = ("name", "size", "gives", "error", "licence", "")
    parts = [f"On this machine, without a network:\n{_rows(present)}"]
    if offered:
        parts.append(
            f"One download each, by its first use or by 'rilievo models fetch NAME...':\n"
            f"{table(header, offered)}\n{_errors_explained(away)}{_marks_explained(away)}"
        )
    return "\n\n".join([*parts, _words()])


def _marks_explained(names: Sequence[str]) -> str:
    notes = dict.fromkeys(MODELS[name].note for name in names if MODELS[name].note)
    return f"\n{_MARK.strip()} {'; '.join(notes)}" if notes else ""


def _words() -> str:
    words = ", ".join(f"{word} = {name}" for word, name in QUALITIES.items())
    return (
        f"rilievo predict photo.jpg                takes {DEFAULT_MODEL}\n"
        f"rilievo predict photo.jpg --quality WORD {words}\n"
        "rilievo predict photo.jpg --model NAME   takes any of these\n"
        "rilievo models NAME, --all, --json       one in full, all of them, for programs"
    )


def _rows(rows: Sequence[Sequence[str]]) -> str:
    return table(("",) * len(rows[0]), rows)


def _size(card: ModelCard) -> str:
    if card.megabytes is None:
        return "not known"
    return f"{card.megabytes:,.0f} MB"


def _gives(card: ModelCard) -> str:
    others = {"normals": card.normals, "camera": card.camera}
    return ", ".join([_DEPTH[card.kind], *(name for name, other in others.items() if other)])


def _nyu_abs_rel(card: ModelCard) -> str | None:
    """Published AbsRel on NYUv2."""
    hit = re.search(r"NYUv2 (\d+\.\d+)/", card.published or "")
    return None if hit is None else hit[1]


def _errors_explained(names: Sequence[str]) -> str:
    sources = dict.fromkeys(_sources(names))
    whose = f"; by {', '.join(sources)}" if sources else ""
    return f"error: AbsRel on NYUv2, scale and shift fitted{whose}; {_UNKNOWN} where none is known"


def _sources(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        card = MODELS[name]
        if _nyu_abs_rel(card) is not None:
            yield (card.published or "").rpartition("(")[2].removesuffix(")")
