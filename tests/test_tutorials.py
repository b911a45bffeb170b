"""The tutorials are followed from their first line to their last, each in an empty folder.

On a tutorial's page, a block without a language holds commands, a block ``python`` holds a program,
and a block ``text`` holds what the commands before it print.
"""

import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
# Commands that install, that need what is not here, or that run until they are stopped.
LEFT_OUT = re.compile(r"^(pip|git|cd|make) |^rilievo (app|serve|mcp|view)\b|--live|--quality")


@dataclass(frozen=True)
class Step:
    """One block of a page."""

    language: str
    text: str

    def commands(self) -> list[str]:
        lines = self.text.replace("\\\n", " ").splitlines()
        stripped = [re.split(r"\s#\s", line)[0].strip() for line in lines]
        return [line for line in stripped if line and not LEFT_OUT.search(line)]


def steps(page: Path) -> list[Step]:
    return [Step(*block) for block in BLOCK.findall(page.read_text("utf-8"))]


def run(command: list[str] | str, folder: Path) -> str:
    """Run a command or a program as a reader would, and return what it prints."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "COLUMNS": "200",
    }
    done = subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def is_shown(line: str, printed: str) -> bool:
    """Whether a line was printed: with the same words, and with numbers within a tenth.

    Times, rates and sizes of files differ between machines, so numbers before ' s', ' a second' and
    ' MB' are free.
    """
    numbers = [float(number) for number in NUMBER.findall(line)]
    free = [
        bool(re.match(r"\s?(s\b|a second\b|min\b|[kMG]?B\b)", line[match.end() :]))
        for match in NUMBER.finditer(line)
    ]
    words = NUMBER.sub("#", line).strip()
    for candidate in printed.splitlines():
        if NUMBER.sub("#", candidate).strip() != words:
            continue
        found = [float(number) for number in NUMBER.findall(candidate)]
        if all(
            is_free or math.isclose(one, other, rel_tol=0.1, abs_tol=0.011)
            for one, other, is_free in zip(numbers, found, free, strict=True)
        ):
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_can_be_followed(page: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    printed = ""
    for step in steps(page):
        if step.language == "":
            commands = step.commands()
            if commands:
                printed = "".join(run(command, tmp_path) for command in commands)
        elif step.language == "python":
            printed = run([sys.executable, "-c", step.text], tmp_path)
        elif step.language == "text":
            missing = [
                line
                for line in step.text.splitlines()
                if line.strip() not in ("", "...") and not is_shown(line, printed)
            ]
            assert not missing, f"not printed: {missing}\nprinted:\n{printed}"


def test_other_words_or_numbers_are_told_from_those_shown() -> None:
    assert is_shown("length 1.02 m, in 3.0 s", "note\nlength 1.00 m, in 9.7 s\n")
    assert is_shown("5 done in 2 s (2.2 a second)", "5 done in 1 s (5.0 a second)")
    assert not is_shown("length 1.02 m", "length 1.22 m")
    assert not is_shown("length 1.02 m", "width 1.02 m")
