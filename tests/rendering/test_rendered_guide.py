"""The examples of the guide to rendered scenes are run, line by line."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from rilievo.data.datasets import find_dataset
from rilievo.data.datasets.sets import rendered
from scenes import Kind, command, make_textures, renderer
from scenes import clip as clip_module

GUIDE = (Path(__file__).parents[2] / "docs" / "synthetic.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python -m scenes (.*?)(?: +#.*)?$", GUIDE, re.MULTILINE)


@pytest.mark.parametrize("options", COMMANDS)
def test_every_command_of_the_guide_is_a_plan(
    options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["synthetic", *shlex.split(options)])
    plan = command.plan_of(command.parse())
    assert f"{plan.counted_by} {plan.count}" in options


@pytest.mark.slow
def test_every_program_of_the_guide_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = make_textures([], share=0.01)
    for module in (renderer, clip_module):
        monkeypatch.setattr(module, "default_textures", lambda: bank)
    rendered._frame.cache_clear()
    programs = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert len(programs) == 2
    for code in programs:
        exec(compile(code, "docs/synthetic.md", "exec"), {})
    assert capsys.readouterr().out.strip() in GUIDE
    rendered._frame.cache_clear()


def test_the_guide_has_the_splits_and_variants_of_the_card() -> None:
    card = find_dataset("synthetic").card
    for split, count in card.counts.items():
        first = f"{rendered.FIRST_OF_SPLIT[split]:010d}"
        assert f"| `{split}` | {count:,} | from {first} |" in GUIDE
    for kind in Kind:
        assert f"`{kind}`" in GUIDE
