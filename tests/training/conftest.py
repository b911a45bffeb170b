"""Shared fixtures: tasks that a small network can learn in a few steps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sloping_shards import write_sloping_shards


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small networks wait for their threads, and last bits depend on the number of these."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Tilted planes whose brightness tells the depth."""
    return write_sloping_shards(tmp_path / "shards")
