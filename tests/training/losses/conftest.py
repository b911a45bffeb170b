"""Losses of the guide to extending, as a user's own module."""

import sys
from pathlib import Path

import pytest


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working folder with the guide's losses, whose place is not on Python's path before."""
    section = Path("docs/extending.md").read_text().partition("\n## A loss\n")[2]
    (tmp_path / "lab_losses.py").write_text(section.split("```python\n")[1].split("```")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "lab_losses", raising=False)
    return tmp_path
