"""Shared fixtures of tests of views; no test changes them."""

from pathlib import Path

import pytest

from support.looked_at import write_run


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Evaluations of one model that is a tenth too far in the first image, and of a near one."""
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder, "far", error=0.1), write_run(folder, "near", error=-0.2)]
