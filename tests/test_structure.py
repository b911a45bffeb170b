"""The core stands by itself, and the package is built no worse than its bounds say."""

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

    Circles, imports of subpackages by the core, names and sizes of folders: ``structure.py`` lists
    what it counts, and its bounds.
    """
    done = run_tool("structure.py", "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_the_core_works_where_its_subpackages_do_not_exist() -> None:
    """Commands and tests of the core with its dependencies; it takes some minutes."""
    done = run_tool("try_core.py")
    assert done.returncode == 0, done.stdout + done.stderr
    ended = re.findall(r"^(.+): ok$", done.stdout, re.MULTILINE)
    assert {"predict", "measure", "models", "verify", "rilievo.predict"} <= set(ended)
