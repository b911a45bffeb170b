"""Real photographs for inspecting a model: frames of datasets, and free photographs.

The folder of sets is ``RILIEVO_DATA``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
from jaxtyping import UInt8
from PIL import Image
from real_sets import REAL_SETS, RealSet

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.base import Dataset
from rilievo.geometry.intrinsics import crop_K
from rilievo.types import Camera, Sample

_NYU_FRAME = (slice(45, 471), slice(41, 601))
"""Rows and columns of NYU's photographs inside their white frame."""
FREE = ("astronaut", "chelsea", "coffee", "motorcycle_left", "rocket")
"""Photographs that scikit-image ships."""


SHOWN = tuple(
    REAL_SETS[name]
    for name in (
        "nyu",
        "7scenes",
        "sunrgbd",
        "tum",
        "realsense",
        "motorcycle",
        "replica-47",
        "icl",
        "tartanair",
        "kitti-depth",
        "kitti-raw",
    )
)
"""Sets to show, one of each kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A photograph with a name to be shown by."""

    label: str
    pixels: UInt8[np.ndarray, "h w 3"]


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


def free_pictures() -> list[Picture]:
    """The photographs of ``FREE``."""
    folder = Path(skimage.__file__).parent / "data"
    found = [
        next(path for path in folder.glob(f"{name}.*") if path.suffix != ".npz") for name in FREE
    ]
    return [_read(path) for path in found]


def pictures(data: Path, most: int) -> list[Picture]:
    """Free photographs, Kodak's, and at most this many frames of each set."""
    kodak = sorted((data / "photos_kodak24").glob("*.png"))
    shown = [*free_pictures(), *(_read(path, "Kodak ") for path in kodak)]
    for real in SHOWN:
        shown += [
            Picture(label=f"{real.label} {sample.id}", pixels=sample.image)
            for sample in samples(real, data, most)
        ]
    return shown


def sequence(real: RealSet, data: Path) -> list[Sample]:
    """All frames of a set in order."""
    return list(_opened(real, data))


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


def _read(path: Path, prefix: str = "") -> Picture:
    with Image.open(path) as image:
        return Picture(label=f"{prefix}{path.stem}", pixels=np.asarray(image.convert("RGB")))
