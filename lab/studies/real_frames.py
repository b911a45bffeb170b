"""Frames of the sets of ``real_sets.py``.

The folder of sets is ``RILIEVO_DATA``.
"""

from collections.abc import Iterator
from pathlib import Path

from real_sets import RealSet

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import crop_K
from rilievo.records.sample import Sample

_NYU_FRAME = (slice(45, 471), slice(41, 601))
"""Rows and columns of NYU's photographs inside their white frame."""


def samples(real: RealSet, data: Path, most: int) -> list[Sample]:
    """Read a set's frames, at most this many, evenly spread.

    Raises:
        RilievoError: If the set is not there.
    """
    frames = _opened(real, data)
    count = min(most, len(frames.ids))
    chosen = (frames.ids[index * len(frames.ids) // count] for index in range(count))
    return [_read_sample(real, frames, id) for id in chosen]


def scored_samples(real: RealSet, data: Path) -> Iterator[Sample]:
    """Yield the frames of a set that are scored, in order.

    Raises:
        RilievoError: If the set is not there.
    """
    frames = _opened(real, data)
    return (_read_sample(real, frames, id) for id in real.thinned(frames.ids))


def _opened(real: RealSet, data: Path) -> Dataset:
    return open_dataset(real.dataset, real.root(data), split=real.split, variant=real.variant)


def _read_sample(real: RealSet, frames: Dataset, id: str) -> Sample:
    sample = frames.sample(id)
    return _cut(sample) if real.framed else sample


def _cut(sample: Sample) -> Sample:
    rows, columns = _NYU_FRAME
    camera = sample.camera
    if camera is not None:
        K = crop_K(camera.K, top=rows.start, left=columns.start)
        camera = Camera(K=K, source=camera.source)
    depth, valid = sample.depth, sample.depth_valid
    return Sample(
        id=sample.id,
        image=sample.image[rows, columns],
        camera=camera,
        depth=None if depth is None else depth[rows, columns],
        depth_valid=None if valid is None else valid[rows, columns],
    )
