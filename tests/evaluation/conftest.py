"""Shared fixtures of tests of whole evaluations."""

from pathlib import Path

import pytest

from support.tiny_dataset import write_tiny


@pytest.fixture
def with_report() -> None:
    """Asks ``root`` to let the report be drawn."""


@pytest.fixture
def no_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations draw no charts, which takes seconds."""
    monkeypatch.setattr("rilievo.evaluation.evaluation_report.write_report", lambda *_: None)


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A tiny dataset, whose evaluations draw no charts unless asked to."""
    if "with_report" not in request.fixturenames:
        request.getfixturevalue("no_pages")
    write_tiny(tmp_path / "data")
    return tmp_path / "data"
