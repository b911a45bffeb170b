"""A campaign is green only where each reader, job and command had a try."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.torture import __main__ as campaign
from rilievo.errors import OptionError

ROOT = Path(__file__).parents[3]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(map(str, (ROOT / "src", ROOT)))
    return subprocess.run(
        [sys.executable, "-m", "lab.torture", *words, "-o", str(folder)],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "untried"),
    [
        (("kills", "--minutes", "0.02"), "export (kills)"),
        (("kills", "--only", "export", "--kills", "0"), "export (kills)"),
        (("interruptions", "--minutes", "0.001"), "models (interruptions)"),
        (("interruptions", "--only", "models", "--interruptions", "0"), "models (interruptions)"),
        (("cuts", "--minutes", "0.001"), "surface (crude cuts)"),
        (("cuts", "--only", "export", "--cuts", "0"), "export (honest cuts)"),
        (("pressure", "--minutes", "0.001"), "evaluate (pressure: twice)"),
        (("names", "--minutes", "0.0001"), "our evaluation.json (names)"),
        (("inputs", "--minutes", "0.0001"), "photo: JPEG (inputs)"),
        (("inputs", "--inputs", "0", "--only", "photo: JPEG"), "photo: JPEG (inputs)"),
    ],
)
def test_a_part_that_tried_nothing_ends_with_1_and_says_what_had_no_try(
    words: tuple[str, ...], untried: str, tmp_path: Path
) -> None:
    ended = run(tmp_path, *words)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    [line] = [line for line in ended.stdout.splitlines() if line.startswith("not tried: ")]
    assert untried in line


def test_a_word_that_fits_no_name_is_refused(tmp_path: Path) -> None:
    ended = run(tmp_path, "kills", "cuts", "--only", "mcp", "--only", "typo")
    assert ended.returncode == 2
    assert ended.stderr == "--only typo: no name in kills, cuts has this word\n"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (None, "it needs a checkout and git"),
        (["src/a.py"], "and src/a.py differ from it: commit them first"),
        ([*"abcde"], "and a, b, c and 2 more files differ from it: commit them first"),
    ],
)
def test_tables_are_not_written_of_a_tree_that_no_commit_has(
    changed: list[str] | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "changed_since", lambda _: changed)
    with pytest.raises(OptionError, match=words):
        campaign._check(campaign.Arguments(page=Path("page.md")))
    monkeypatch.setattr(campaign, "changed_since", lambda _: [])
    campaign._check(campaign.Arguments(page=Path("page.md")))
