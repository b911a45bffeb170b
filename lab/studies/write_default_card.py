"""Write the cards of the embedded models, and README's table of them, from files and scores.

    python lab/studies/write_default_card.py scores.json [--speed speed.json] [--panel panel.md]

``scores.json`` is what ``evaluate_default_model.py --json`` wrote, and ``speed.json`` what ``python
-m benchmarks.embedded --json`` did: milliseconds by model. A card goes into the package as
``NAME.md``; ``rilievo models rilievo/NAME`` shows it. ``panel.md`` is what ``judge_models.py
--only-deciding`` printed of the default; it stands first in its card.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from card_words import as_text
from default_scores import Row, Scores, read_scores
from file_facts import FileFacts, read_facts

from rilievo.errors import InputError, RilievoError
from rilievo.models import DEFAULT_MODEL
from rilievo.models.card import ModelCard
from rilievo.models.default.embedded import embedded_cards

_ROOT = Path(__file__).parents[2]
_FOLDER = _ROOT / "src" / "rilievo" / "models" / "default"
_REGION = re.compile(r"(<!-- embedded models -->\n).*?(<!-- end -->)", re.DOTALL)
_COLUMNS = (
    ("NYU Depth V2, 94 frames", "NYU Depth V2, 94", "nyuv2-eigen-filled"),
    ("7-Scenes, 31 views", "7-Scenes, 31", "depth"),
    ("KITTI, 3", "KITTI, annotated", "kitti-eigen-improved"),
)
"""Heading of a column, beginning of its set's title, and benchmark."""


def path_of(card: ModelCard) -> Path:
    """The file of an embedded model.

    Raises:
        InputError: If it is not here.
    """
    path = _FOLDER / f"{card.name.partition('/')[2]}.onnx"
    if not path.is_file():
        raise InputError(f"the file of model '{card.name}' is not here; train or fetch it first")
    return path


def overview(facts: Sequence[FileFacts], rows: Sequence[Row], speed: Mapping[str, float]) -> str:
    """README's table: what each model is, and its AbsRel / δ1 on the largest sets."""
    titles = [f"{heading}, `{benchmark}`" for heading, _, benchmark in _COLUMNS]
    header = ("model", "size", "weights", "licence", "two cores", *titles)
    lines = [header, ("---",) * len(header)]
    for each in facts:
        cells = [_cell(rows, each.name, title, benchmark) for _, title, benchmark in _COLUMNS]
        time = f"{speed[each.name]:.1f} ms" if each.name in speed else "–"
        size, weights = f"{each.size_bytes / 1e6:.1f} MB", f"{each.parameters / 1e6:.2f} M"
        shown = f"{weights}, {each.precision}"
        lines.append((f"`{each.name}`", size, shown, each.licence, time, *cells))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cell(rows: Sequence[Row], model: str, title: str, benchmark: str) -> str:
    for row in rows:
        if (row.model, row.benchmark) == (model, benchmark) and row.set.startswith(title):
            return f"{row.abs_rel:.3f} / {row.delta1:.3f}"
    return "–"


def renewed(text: str, table: str) -> str:
    """A page with its table of the embedded models made anew."""
    return _REGION.sub(lambda found: f"{found[1]}{table}{found[2]}", text)


def write_cards(
    scores: Scores, speed: Mapping[str, float], folder: Path = _FOLDER, panel: str = ""
) -> tuple[FileFacts, ...]:
    """A card for every embedded model that was scored.

    Raises:
        InputError: If the file of one is not here.
    """
    scored = {row.model for row in scores.rows}
    cards = [card for card in embedded_cards() if card.name in scored]
    every = tuple(read_facts(path_of(card)) for card in cards)
    for facts in every:
        judged = panel if facts.name == DEFAULT_MODEL else ""
        text = as_text(facts, scores, speed.get(facts.name), judged)
        (folder / f"{facts.name.partition('/')[2]}.md").write_text(text, encoding="utf-8")
    return every


def main() -> None:
    """Read the options, write cards and table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--speed", type=Path, help="milliseconds by model, as JSON")
    parser.add_argument("--panel", type=Path, help="output of judge_models.py for the default")
    options = parser.parse_args()
    panel = options.panel.read_text("utf-8") if options.panel else ""
    speed = json.loads(options.speed.read_text()) if options.speed else {}
    scores = read_scores(options.scores)
    facts = write_cards(scores, speed, panel=panel)
    page = _ROOT / "README.md"
    table = overview(facts, scores.rows, speed)
    page.write_text(renewed(page.read_text("utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except RilievoError as error:
        sys.exit(f"error: {error}")
