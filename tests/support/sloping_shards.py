"""Shards of tilted planes whose brightness tells the depth, from which little is learned much."""

from pathlib import Path

import numpy as np


def write_sloping_shards(folder: Path) -> Path:
    """Write two shards of four frames each."""
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
