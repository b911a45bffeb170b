"""The core stands by itself, and imports go one way."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / arguments[0]), *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True)


def test_imports_go_one_way() -> None:
    """Imports in functions and modules named by strings too, which import-linter does not see."""
    done = run_tool("structure.py")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_core_works_where_its_subpackages_do_not_exist() -> None:
    """Commands and tests of the core with its dependencies; it takes some minutes."""
    done = run_tool("try_core.py")
    assert done.returncode == 0, done.stdout + done.stderr
    ended = re.findall(r"^(.+): ok$", done.stdout, re.MULTILINE)
    assert {"predict", "measure", "models", "verify", "rilievo.predict"} <= set(ended)
