"""Writes rendered frames to uncompressed archives of a fixed number of frames, in parallel.

A shard ``shard-00000.npz`` holds, for n frames of h × w pixels, ``image`` uint8 (n, h, w, 3),
``log_depth`` float16 (n, h, w), the logarithm of metres, +inf where there is sky, and ``normals``
int8 (n, 3, h, w), 127 times the unit normal, 0 where there is sky, and ``focal`` float32 (n,) [px],
the same across and down, with the principal point in the middle.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import is_zipfile

import numpy as np

from lab.scenes.plan import Plan, write_all
from lab.scenes.renderer import render
from lab.scenes.textures import TextureBank
from rilievo.io.files.atomic import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan(Plan):
    """Plan of frames to render into shards.

    Attributes:
        frames_per_shard: Number of frames in a shard; the last one may have fewer.
    """

    frames_per_shard: int = 64


def shard_path(plan: ShardPlan, index: int) -> Path:
    """File of a shard."""
    return plan.folder / f"shard-{index:05d}.npz"


def write_shard(plan: ShardPlan, index: int, textures: TextureBank) -> Path:
    """Render one shard and write it atomically.

    Raises:
        OutputError: If the file cannot be written.
    """
    first = index * plan.frames_per_shard
    numbers = range(first, min(first + plan.frames_per_shard, plan.count))
    height, width = plan.size
    images = np.zeros((len(numbers), height, width, 3), np.uint8)
    log_depth = np.full((len(numbers), height, width), np.inf, np.float16)
    normals = np.zeros((len(numbers), 3, height, width), np.int8)
    focal = np.zeros(len(numbers), np.float32)
    for k, number in enumerate(numbers):
        sample = render(plan.seed_of(number), size=plan.size, textures=textures, kind=plan.kind)
        valid = sample.depth_valid
        assert sample.depth is not None
        assert sample.normals is not None
        assert valid is not None
        assert sample.camera is not None
        images[k] = sample.image
        log_depth[k][valid] = np.log(sample.depth[valid])
        focal[k] = sample.camera.K[0, 0]
        normals[k] = np.where(valid, np.round(127 * sample.normals), 0)
    path = shard_path(plan, index)
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, image=images, log_depth=log_depth, normals=normals, focal=focal)
    return path


def missing_shards(plan: ShardPlan) -> Sequence[int]:
    """Numbers of the shards of a plan that are missing or truncated."""
    count = -(-plan.count // plan.frames_per_shard)
    # The table of contents is at the end of an archive, so a truncated one has none.
    return [index for index in range(count) if not is_zipfile(shard_path(plan, index))]


def write_shards(plan: ShardPlan, workers: int) -> Iterator[Path]:
    """Render missing shards, and yield the path of each as it is finished.

    A frame depends only on the plan and its own number, so neither the number of workers nor a
    stop and restart changes it.

    Raises:
        OptionError: If ``workers`` is less than 1.
        OutputError: If the folder cannot be written.
    """
    return write_all(plan, missing_shards(plan), write_shard, workers)
