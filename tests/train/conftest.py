"""Shared fixtures: tasks that a small network can learn in a few steps."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Tilted planes whose brightness tells the depth."""
    folder = tmp_path / "shards"
    folder.mkdir()
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :64] / 32
    for shard in range(2):
        a, b = random.uniform(-1, 1, (2, 4, 1, 1))
        log_depth = 1 + a * rows + b * columns
        image = np.clip(40 * log_depth + 60, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=-1)
        normals = np.zeros((4, 3, 32, 64), np.int8)
        normals[:, 2] = -127
        np.savez(
            folder / f"shard-{shard:05d}.npz",
            image=image,
            log_depth=log_depth.astype(np.float16),
            normals=normals,
            focal=np.full(4, 60, np.float32),
        )
    return folder
