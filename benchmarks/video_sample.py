"""One augmented sample of three frames, from JPEG and from the cache, and the plain way to it."""

import copy
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.measure import in_turns, spread
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings
from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.sequences import read_frame
from rilievo.training.video.config.video_config import VideoAugmentation
from rilievo.training.video.frames.video_frames import TargetFrames, open_frames

MOST_MS = 30.0
NATIVE, SIZE = (375, 1242), (192, 640)
NAMES = ("astronaut", "coffee", "rocket", "motorcycle_left")
QUALITY = 92
STEP = 6
"""Columns from one frame to the next [px]."""
OFFSETS = (-1, 1)
SCALES = 4


def run(settings: Settings) -> Report:
    count = settings.count(30, quick=6)
    paths = _write_clip(settings.folder("clip"), count + 2)
    data = VideoData(
        roots=(str(paths[0].parent),), fov=80.0, least_motion=0, stride=1, held_out=0.0
    )
    opened = open_frames(data, size=SIZE, offsets=OFFSETS, cache=settings.work / "cache")
    kept, sequence = opened.training, opened.sequences[0].sequence
    direct = copy.copy(kept)
    direct.frame_of = lambda place: read_frame(sequence, place.frame, SIZE, None)
    _ours(kept)()  # the kernels are compiled
    torch.set_num_threads(1)
    sides = {
        "plain": _plain(paths),
        "from JPEG": _ours(direct),
        "from the cache": _ours(kept),
    }
    costs = {
        name: spread([1000 * seconds / count for seconds in each])
        for name, each in in_turns(sides, rounds=settings.count(3, quick=1)).items()
    }
    plain, jpeg = costs["plain"].median, costs["from JPEG"].median
    rows = [(name, str(cost), f"{plain / cost.median:.1f}") for name, cost in costs.items()]
    bar = Bar(
        promise=f"a sample from JPEG takes at most {MOST_MS:g} CPU-ms",
        measured=f"{jpeg:.3g} ms, {plain / jpeg:.1f} times as fast as the plain way",
        kept=jpeg <= MOST_MS,
    )
    table = Table(columns=("sample", "CPU ms", "times as fast"), rows=rows)
    return Report(name="video_sample", about=_about(count), tables=(table,), bars=(bar,))


def _about(count: int) -> str:
    return (
        f"CPU time of one sample of three frames, {SIZE[1]}x{SIZE[0]} from JPEG of "
        f"{NATIVE[1]}x{NATIVE[0]}, half of them mirrored, half in other colours; means over "
        f"{count} samples, in turns, one thread. The plain way changes colours at the size of the "
        "files and at all four scales of every frame, and makes floats of all of them."
    )


def _write_clip(folder: Path, count: int) -> list[Path]:
    """A camera that pans along a row of photographs."""
    import skimage

    pictures = Path(skimage.__file__).parent / "data"
    strips: list[np.ndarray] = []
    for name in NAMES:
        [source] = [each for each in pictures.glob(f"{name}.*") if each.suffix != ".npz"]
        with Image.open(source) as image:
            strips.append(np.asarray(image.convert("RGB"))[: NATIVE[0]])
    row = Image.fromarray(np.concatenate(strips, axis=1))
    paths: list[Path] = []
    for index in range(count):
        left = index * STEP
        path = folder / f"{index:06d}.jpg"
        row.crop((left, 0, left + NATIVE[1], NATIVE[0])).save(path, quality=QUALITY)
        paths.append(path)
    return paths


def _ours(frames: TargetFrames) -> Callable[[], float]:
    def work() -> float:
        start = time.process_time()
        for index in range(len(frames)):
            rng = np.random.default_rng([0, index])
            frames.views_of(index, rng=rng, augmentation=VideoAugmentation())
        return time.process_time() - start

    return work


def _plain(paths: list[Path]) -> Callable[[], float]:
    from torchvision.transforms import ColorJitter
    from torchvision.transforms.functional import to_tensor

    def sample(index: int) -> None:
        changes = random.random() < 0.5
        mirrors = random.random() < 0.5
        jitter = ColorJitter(0.2, 0.2, 0.2, 0.1)
        for offset in (0, *OFFSETS):
            with Image.open(paths[1 + index + offset]) as file:
                image = file.convert("RGB")
            if mirrors:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            for scale in range(-1, SCALES):
                if scale >= 0:
                    size = (SIZE[1] >> scale, SIZE[0] >> scale)
                    image = image.resize(size, Image.Resampling.LANCZOS)
                to_tensor(image)
                to_tensor(jitter(image) if changes else image)

    def work() -> float:
        random.seed(0)
        start = time.process_time()
        for index in range(len(paths) - 2):
            sample(index)
        return time.process_time() - start

    return work
