"""The examples of the guide to rendered scenes are run, line by line."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from lab.scenes import Kind, command, make_textures, renderer
from lab.scenes import clip as clip_module

GUIDE = (Path(__file__).parents[3] / "docs" / "synthetic.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python -m lab.scenes (.*?)(?: +#.*)?$", GUIDE, re.MULTILINE)


@pytest.mark.parametrize("options", COMMANDS)
def test_every_command_of_the_guide_is_a_plan(
    options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["synthetic", *shlex.split(options)])
    plan = command.plan_of(command.parse())
    assert f"{plan.counted_by} {plan.count}" in options


@pytest.mark.slow
def test_every_program_of_the_guide_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank = make_textures([], share=0.01)
    for module in (renderer, clip_module):
        monkeypatch.setattr(module, "default_textures", lambda: bank)
    programs = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert len(programs) == 1
    for code in programs:
        exec(compile(code, "docs/synthetic.md", "exec"), {})


def test_the_guide_names_every_kind() -> None:
    for kind in Kind:
        assert f"`{kind}`" in GUIDE
