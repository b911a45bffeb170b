"""Real photographs to look at a model with: frames of sets on disk, and photographs that are free.

The folder of sets is ``RILIEVO_DATA``; those of ``tools/real`` find themselves there.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
from jaxtyping import UInt8
from PIL import Image

from rilievo.datasets import open_dataset
from rilievo.geometry.intrinsics import crop_K
from rilievo.types import Camera, Sample

_YAMLS = Path(__file__).parent / "real"
_NYU_FRAME = (slice(45, 471), slice(41, 601))
"""Rows and columns of NYU's photographs inside their white frame."""
FREE = ("astronaut", "chelsea", "coffee", "motorcycle_left", "rocket")
"""Photographs that scikit-image ships."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A set of frames that lies on disk.

    Attributes:
        title: For tables and labels.
        dataset: In ``DATASETS``.
        place: Below the folder of downloads; for the dataset ``folder``, a YAML beside this tool.
        split: Of the dataset.
        variant: Of the dataset, where it has several.
        framed: Whether NYU's white frame is to be cut off.
    """

    title: str
    dataset: str
    place: str
    split: str = "all"
    variant: str | None = None
    framed: bool = False


KITCHEN = Source(title="7-Scenes", dataset="seven-scenes", place="7scenes_redkitchen")
SOURCES = (
    Source(
        title="NYU",
        dataset="nyuv2",
        place="nyuv2_labeled_8bit",
        split="test",
        variant="filled",
        framed=True,
    ),
    KITCHEN,
    Source(title="SUN RGB-D", dataset="sunrgbd", place="sunrgbd_original"),
    Source(title="TUM", dataset="tum", place="tum_fr1_desk_9"),
    Source(title="RealSense", dataset="folder", place="realsense.yaml"),
    Source(title="Middlebury", dataset="folder", place="motorcycle.yaml"),
    Source(title="Replica", dataset="folder", place="replica_47.yaml"),
    Source(title="ICL-NUIM", dataset="folder", place="icl.yaml"),
    Source(title="TartanAir", dataset="folder", place="tartanair.yaml"),
    Source(title="KITTI", dataset="kitti-depth", place="kitti_depth_metric3d", split="pairs"),
    Source(title="KITTI raw", dataset="kitti-raw", place="kitti_raw"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A photograph with a name to be shown by."""

    label: str
    pixels: UInt8[np.ndarray, "h w 3"]


def samples(source: Source, data: Path, most: int) -> list[Sample]:
    """At most so many frames of a set, evenly taken.

    Raises:
        RilievoError: If the set is not there.
    """
    root = _YAMLS / source.place if source.dataset == "folder" else data / source.place
    frames = open_dataset(source.dataset, root, split=source.split, variant=source.variant)
    count = min(most, len(frames.ids))
    chosen = (frames.ids[index * len(frames.ids) // count] for index in range(count))
    return [_cut(frames.sample(id)) if source.framed else frames.sample(id) for id in chosen]


def free_pictures() -> list[Picture]:
    """The photographs of ``FREE``."""
    folder = Path(skimage.__file__).parent / "data"
    found = [
        next(path for path in folder.glob(f"{name}.*") if path.suffix != ".npz") for name in FREE
    ]
    return [_read(path) for path in found]


def pictures(data: Path, most: int) -> list[Picture]:
    """Free photographs, Kodak's, and at most so many frames of each set."""
    kodak = sorted((data / "photos_kodak24").glob("*.png"))
    shown = [*free_pictures(), *(_read(path, "Kodak ") for path in kodak)]
    for source in SOURCES:
        shown += [
            Picture(label=f"{source.title} {sample.id}", pixels=sample.image)
            for sample in samples(source, data, most)
        ]
    return shown


def sequence(source: Source, data: Path) -> list[Sample]:
    """All frames of a set in order, as they are."""
    root = data / source.place
    return list(open_dataset(source.dataset, root, split=source.split))


def _cut(sample: Sample) -> Sample:
    rows, columns = _NYU_FRAME
    camera = sample.camera
    if camera is not None:
        K = crop_K(camera.K, top=rows.start, left=columns.start)
        camera = Camera(K=K, source=camera.source)
    return Sample(id=sample.id, image=sample.image[rows, columns], camera=camera)


def _read(path: Path, prefix: str = "") -> Picture:
    with Image.open(path) as image:
        return Picture(label=f"{prefix}{path.stem}", pixels=np.asarray(image.convert("RGB")))
