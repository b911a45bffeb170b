"""Shared fixtures of tests of whole evaluations."""

from pathlib import Path

import pytest

from tiny_dataset import write_tiny


@pytest.fixture
def with_report() -> None:
    """Asks ``root`` to let the report be drawn."""


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny dataset. Its evaluations draw no charts, which takes seconds, unless asked to."""
    if "with_report" not in request.fixturenames:
        monkeypatch.setattr(
            "rilievo.evaluation.reports.results_writing.write_report", lambda *_: None
        )
    write_tiny(tmp_path / "data")
    return tmp_path / "data"
