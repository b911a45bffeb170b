"""README's chart of accuracy: picture, alternative text and caption say what the cards say."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

from write_accuracy_chart import BENCHMARK, PUBLISHED, dots, renewed

from rilievo.models import DEFAULT_MODEL, MODELS
from rilievo.models.default.embedded import read_long_card

ROOT = Path(__file__).parents[3]
HINT = "run lab/studies/write_accuracy_chart.py"


def test_picture_words_and_cards_have_the_same_numbers() -> None:
    shown = dots()
    assert [dot.name for dot in shown if not dot.inside] == [name for name, *_ in PUBLISHED]
    assert DEFAULT_MODEL in {dot.name for dot in shown}
    picture = (ROOT / "docs/pictures/accuracy.svg").read_text("utf-8")
    drawn = [float(each) for each in re.findall(r": (0\.\d{3})</text>", picture)]
    assert sorted(drawn) == sorted(dot.abs_rel for dot in shown), (
        "run lab/studies/write_accuracy_chart.py"
    )
    [alternative] = re.findall(r"!\[(.*?)\]\(docs/pictures/accuracy.svg\)", readme())
    for dot in shown:
        assert f">{dot.label}: {dot.abs_rel:.3f}</text>" in picture
        assert f"{dot.name} {dot.megabytes:.0f} MB {dot.abs_rel:.3f}" in alternative
        if dot.inside:
            rows = [line for line in str(read_long_card(MODELS[dot.name])).splitlines()]
            [row] = [line for line in rows if f"`{BENCHMARK}` | {dot.name} |" in line]
            assert row.split(" | ")[5].startswith(f"{dot.abs_rel:.3f} / ")


def test_the_words_around_the_chart_are_those_of_the_tool() -> None:
    assert renewed(readme()) == readme(), HINT


def readme() -> str:
    return (ROOT / "README.md").read_text("utf-8")
