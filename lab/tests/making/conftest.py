"""Shared fixtures: tasks that a small network can learn in a few steps."""

from pathlib import Path

import pytest

from support.sloping_shards import write_sloping_shards


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Tilted planes whose brightness tells the depth."""
    return write_sloping_shards(tmp_path / "shards")
