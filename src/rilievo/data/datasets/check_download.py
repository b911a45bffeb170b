"""Check of a downloaded dataset: what it lists, what is missing or broken, and its depth."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rilievo.calibration.camera_checks import camera_doubts
from rilievo.data.datasets.dataset import Absent, Dataset, DatasetCard, evenly_spread
from rilievo.data.datasets.joined_interpretation import join_interpretations
from rilievo.errors import RilievoError
from rilievo.errors.messages import note_of
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.interpretation import DepthInterpretation
from rilievo.io.depth.plausibility import unit_warning
from rilievo.io.files.limits import retry_miscounted, unreadable
from rilievo.records.sample import Sample

Progress = Callable[[int, int], None]
"""Function called with the number of images that are read, and of all."""
_MAX_CAMERA_WARNINGS = 3
_USUAL_SIZE_FRACTION = 0.9
"""Fraction of the images with the most frequent size, from which other sizes are odd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCount:
    """Number of images of a split.

    Attributes:
        split: Name of the split.
        official: Number in papers; None if it is not known.
        found: Number that this download has.
        absent: Number that it lists and lacks.
        problem: Why the split cannot be opened; None if it can.
    """

    split: str
    official: int | None = None
    found: int = 0
    absent: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What was read of one image.

    Attributes:
        id: Id of the image.
        size: (height, width) [px].
        camera: Its camera; None if unknown.
        depth_share: Fraction of the pixels with true depth; None without depth.
        near: Nearest depth [m]; None without depth.
        median: Median depth [m].
        far: Farthest depth [m].
        normals_share: Fraction of the pixels with true normals; None without normals.
    """

    id: str
    size: tuple[int, int]
    camera: Camera | None
    depth_share: float | None = None
    near: float | None = None
    median: float | None = None
    far: float | None = None
    normals_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Result of reading the images of a split.

    Attributes:
        card: Card of the dataset.
        root: Folder of the download.
        split: The split that was read.
        variant: The variant that was read.
        splits: Counts of all splits.
        listed: Number of images that the split lists.
        read: Number of images that were read.
        images: What was read of the whole images.
        absent: Listed images that are missing, with the reason.
        broken: Images that cannot be read, with the reason.
        warnings: What may be wrong.
        reading: How the numbers of depth files were interpreted.
    """

    card: DatasetCard
    root: Path
    split: str
    variant: str
    splits: tuple[SplitCount, ...]
    listed: int
    read: int
    images: tuple[ImageFacts, ...]
    absent: tuple[Absent, ...]
    broken: tuple[Absent, ...]
    warnings: tuple[str, ...]
    reading: DepthInterpretation = field(default_factory=DepthInterpretation)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is absent or broken."""
        return not (self.absent or self.broken) and self.listed > 0


def check_dataset(
    dataset: Dataset, *, limit: int | None = None, show: Progress | None = None
) -> Check:
    """Read the images of a dataset with their ground truth.

    Args:
        dataset: The dataset.
        limit: Number of images, evenly spread; by default all.
        show: Called after each image.
    """
    ids = evenly_spread(dataset.ids, limit)
    images: list[ImageFacts] = []
    broken: list[Absent] = []
    for count, facts_or_reason in enumerate(_read_image_facts_in_threads(dataset, ids), start=1):
        if isinstance(facts_or_reason, ImageFacts):
            images.append(facts_or_reason)
        else:
            broken.append(facts_or_reason)
        if show is not None:
            show(count, len(ids))
    reading = join_interpretations(dataset, ids)
    return Check(
        card=dataset.card,
        root=dataset.request.root,
        split=dataset.request.split,
        variant=dataset.request.variant,
        splits=_count_splits(dataset),
        listed=len(dataset.ids) + len(dataset.absent),
        read=len(ids),
        images=tuple(images),
        absent=dataset.absent,
        broken=tuple(broken),
        warnings=(*_warning_texts(dataset, images, reading), *reading.warnings),
        reading=reading,
    )


def _read_image_facts_in_threads(
    dataset: Dataset, ids: Sequence[str]
) -> Iterator[ImageFacts | Absent]:
    @retry_miscounted
    def facts_or_reason(id: str) -> ImageFacts | Absent:
        try:
            return _image_facts(dataset.sample(id))
        except RilievoError as error:
            return Absent(id=id, reason=note_of(error))
        except OSError as error:
            return Absent(id=id, reason=str(unreadable(error, id)))

    # Decoders release the interpreter's lock, so threads are enough and no data is pickled.
    with ThreadPoolExecutor() as pool:
        yield from pool.map(facts_or_reason, ids)


def _image_facts(sample: Sample) -> ImageFacts:
    near = median = far = depth_fraction = None
    if sample.depth is not None and sample.depth_valid is not None:
        valid_depth = sample.depth[sample.depth_valid]
        depth_fraction = valid_depth.size / sample.depth.size
        if valid_depth.size:
            near = float(valid_depth.min())
            median = float(np.median(valid_depth))
            far = float(valid_depth.max())
    normals_fraction = None
    if sample.normals_valid is not None:
        normals_fraction = float(sample.normals_valid.mean())
    height, width = sample.image.shape[:2]
    return ImageFacts(
        id=sample.id,
        size=(height, width),
        camera=sample.camera,
        depth_share=depth_fraction,
        near=near,
        median=median,
        far=far,
        normals_share=normals_fraction,
    )


def _count_splits(dataset: Dataset) -> tuple[SplitCount, ...]:
    return tuple(_count_split(dataset, split) for split in dataset.splits)


def _count_split(dataset: Dataset, split: str) -> SplitCount:
    official = dataset.card.counts.get(split)
    try:
        opened = _with_split(dataset, split)
    except RilievoError as error:
        return SplitCount(split=split, official=official, problem=note_of(error))
    return SplitCount(
        split=split, official=official, found=len(opened.ids), absent=len(opened.absent)
    )


def _with_split(dataset: Dataset, split: str) -> Dataset:
    """The dataset, opened for another split."""
    if split == dataset.request.split:
        return dataset
    return type(dataset)(replace(dataset.request, split=split, list_file=None))


def _warning_texts(
    dataset: Dataset, images: Sequence[ImageFacts], reading: DepthInterpretation
) -> Iterator[str]:
    request = dataset.request
    official = dataset.card.counts.get(request.split)
    listed = len(dataset.ids) + len(dataset.absent)
    if official is not None and request.list_file is None and listed != official:
        yield f"papers score {official} images of '{request.split}', this download lists {listed}"
    without_depth = [facts.id for facts in images if facts.depth_share == 0]
    if without_depth:
        yield (
            f"{len(without_depth)} images have no pixel with true depth, such as {without_depth[0]}"
        )
    medians = [facts.median for facts in images if facts.median is not None]
    if medians and not reading.is_unit_declared:
        warning = unit_warning(float(np.median(medians)))
        if warning is not None:
            yield f"half of the images: {warning}"
    without_camera = sum(facts.camera is None for facts in images)
    if without_camera:
        yield (
            f"{without_camera} of {len(images)} images come without intrinsics: no points, no "
            f"normals{dataset.camera_advice}"
        )
    for size, count in _odd_sizes(images):
        yield f"{count} images are {size}, unlike the others"
    yield from _camera_warnings(dataset, images)


def _camera_warnings(dataset: Dataset, images: Sequence[ImageFacts]) -> Iterator[str]:
    """What was chosen in a camera file, and the most frequent doubts about the cameras."""
    if images and dataset.camera_note is not None:
        yield dataset.camera_note
    counts: Counter[str] = Counter()
    for facts in images:
        if facts.camera is not None:
            counts.update(camera_doubts(facts.camera, facts.size))
    for doubt, count in counts.most_common(_MAX_CAMERA_WARNINGS):
        yield f"{count} of {len(images)} images: {doubt}"


def _odd_sizes(images: Sequence[ImageFacts]) -> Iterator[tuple[str, int]]:
    """Sizes unlike that of nearly all images, with their numbers of images."""
    if not images:
        return
    counts = Counter(facts.size for facts in images)
    [(_, most_frequent), *odd] = counts.most_common()
    if most_frequent < _USUAL_SIZE_FRACTION * len(images):
        return
    for (height, width), count in odd:
        yield f"{width}x{height}", count
