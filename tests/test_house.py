"""The house stands by itself, and its walls are no worse than the bounds that are written down."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / arguments[0]), *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True)


def test_imports_and_files_are_no_worse_than_their_bounds() -> None:
    """Imports in functions, under TYPE_CHECKING and by strings count; import-linter has the rest.

    Circles, imports of wings by the house, names and sizes of folders: ``tools/walls.py`` lists
    what it counts, and its bounds.
    """
    done = run_tool("walls.py", "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_the_house_works_where_its_wings_do_not_exist() -> None:
    """Commands and tests of the house, with the core's dependencies; it takes some minutes."""
    done = run_tool("house_alone.py")
    assert done.returncode == 0, done.stdout + done.stderr
    ended = re.findall(r"^(.+): ok$", done.stdout, re.MULTILINE)
    assert {"predict", "measure", "models", "verify", "rilievo.predict"} <= set(ended)
