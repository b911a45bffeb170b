"""Rendered frames on disk: compressed-free archives of a fixed number of frames, made in parallel.

A shard ``shard-00000.npz`` holds, for n frames of h × w pixels, ``image`` uint8 (n, h, w, 3),
``log_depth`` float16 (n, h, w), the logarithm of metres, +inf where there is sky, and ``normals``
int8 (n, 3, h, w), 127 times the unit normal, 0 where there is sky.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.datasets.synthetic.pictures import read_photographs, scikit_image_photographs
from rilievo.datasets.synthetic.renderer import render
from rilievo.datasets.synthetic.textures import TextureBank, make_textures
from rilievo.errors import OptionError, OutputError
from rilievo.io.atomic import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """What to render.

    Attributes:
        count: Frames in all.
        seed: Of the first frame's number: frame i has the seed ``seed * 2**32 + i``.
        size: (height, width) of the frames.
        photos: Folders of photographs for the textures, besides scikit-image's.
        folder: Where the shards go.
        frames_per_shard: The last shard may have fewer.
        texture_share: Of the full number of textures; less than 1 for a quick trial.
    """

    count: int
    seed: int
    size: tuple[int, int]
    photos: tuple[Path, ...]
    folder: Path
    frames_per_shard: int = 64
    texture_share: float = 1.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise OptionError(f"--count is at least 1, got {self.count}")
        if self.seed < 0:
            raise OptionError(f"--seed is not negative, got {self.seed}")
        if min(self.size) < 16:
            raise OptionError(f"--size is at least 16 16, got {self.size[0]} {self.size[1]}")


def shard_path(plan: ShardPlan, index: int) -> Path:
    """Where a shard lies."""
    return plan.folder / f"shard-{index:05d}.npz"


def textures_of(plan: ShardPlan) -> TextureBank:
    """The bank of a plan, the same in every process."""
    photographs = scikit_image_photographs() + read_photographs(plan.photos)
    return make_textures(photographs, share=plan.texture_share)


def write_shard(plan: ShardPlan, index: int, textures: TextureBank) -> Path:
    """Render one shard and put it in place whole.

    Raises:
        OutputError: If it cannot be written.
    """
    first = index * plan.frames_per_shard
    numbers = range(first, min(first + plan.frames_per_shard, plan.count))
    height, width = plan.size
    images = np.zeros((len(numbers), height, width, 3), np.uint8)
    log_depth = np.full((len(numbers), height, width), np.inf, np.float16)
    normals = np.zeros((len(numbers), 3, height, width), np.int8)
    for k, number in enumerate(numbers):
        sample = render(plan.seed * 2**32 + number, size=plan.size, textures=textures)
        valid = sample.depth_valid
        assert sample.depth is not None
        assert sample.normals is not None
        assert valid is not None
        images[k] = sample.image
        log_depth[k][valid] = np.log(sample.depth[valid])
        normals[k] = np.where(valid, np.round(127 * sample.normals), 0)
    path = shard_path(plan, index)
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, image=images, log_depth=log_depth, normals=normals)
    return path


_worker_textures: dict[ShardPlan, TextureBank] = {}


def _prepare_worker(plan: ShardPlan) -> None:
    # Two threads a worker would fight over the cores that the workers already fill.
    import cv2

    cv2.setNumThreads(1)
    _worker_textures[plan] = textures_of(plan)


def _write_in_worker(plan: ShardPlan, index: int) -> Path:
    return write_shard(plan, index, _worker_textures[plan])


def missing_shards(plan: ShardPlan) -> Sequence[int]:
    """Shards of a plan that are not there yet."""
    count = -(-plan.count // plan.frames_per_shard)
    return [index for index in range(count) if not shard_path(plan, index).exists()]


def write_shards(plan: ShardPlan, workers: int) -> Iterator[Path]:
    """Render what is missing, yielding each shard as it is done.

    A frame depends on the plan's seed and its own number alone, so neither the number of workers
    nor a stop and restart changes it.

    Raises:
        OptionError: If ``workers`` is less than 1.
        OutputError: If the folder cannot be written.
    """
    if workers < 1:
        raise OptionError(f"--workers is at least 1, got {workers}")
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{plan.folder}: cannot be made: {error.strerror}") from error
    missing = missing_shards(plan)
    if not missing:
        return
    if workers == 1:
        textures = textures_of(plan)
        for index in missing:
            yield write_shard(plan, index, textures)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_prepare_worker, initargs=(plan,)
    ) as pool:
        for done in as_completed([pool.submit(_write_in_worker, plan, k) for k in missing]):
            yield done.result()
