"""README's chart of accuracy: picture, alternative text and caption say what the cards say."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from write_accuracy_chart import BENCHMARK, PUBLISHED, bars, renewed

from rilievo.models import DEFAULT_MODEL, MODELS
from rilievo.models.default.embedded_cards import read_details

ROOT = Path(__file__).parents[2]
HINT = "run tools/write_accuracy_chart.py"


def test_picture_words_and_cards_have_the_same_numbers() -> None:
    shown = bars()
    assert [bar.name for bar in shown if not bar.inside] == [name for name, *_ in PUBLISHED]
    assert DEFAULT_MODEL in {bar.name for bar in shown}
    picture = (ROOT / "docs/pictures/accuracy.svg").read_text("utf-8")
    drawn = [float(each) for each in re.findall(r">(0\.\d{3})</text>", picture)]
    assert sorted(drawn) == sorted(bar.abs_rel for bar in shown), (
        "run tools/write_accuracy_chart.py"
    )
    [alternative] = re.findall(r"!\[(.*?)\]\(docs/pictures/accuracy.svg\)", readme())
    for bar in shown:
        assert f">{bar.label}</text>" in picture
        assert f"{bar.name} {bar.abs_rel:.3f}" in alternative
        if bar.inside:
            rows = [line for line in str(read_details(MODELS[bar.name])).splitlines()]
            [row] = [line for line in rows if f"`{BENCHMARK}` | {bar.name} |" in line]
            assert row.split(" | ")[5].startswith(f"{bar.abs_rel:.3f} / ")


def test_the_words_around_the_chart_are_those_of_the_tool() -> None:
    assert renewed(readme()) == readme(), HINT


def readme() -> str:
    return (ROOT / "README.md").read_text("utf-8")
