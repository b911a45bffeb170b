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
from rilievo.errors.messages import count_text, note_of
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.interpretation import DepthInterpretation
from rilievo.io.depth.plausibility import unit_warning
from rilievo.io.files.limits import retry_miscounted, unreadable
from rilievo.records.sample import Sample

Progress = Callable[[int, int], None]
"""Function called with the number of images read so far, and the number of all."""
_MAX_CAMERA_WARNINGS = 3
_MIN_COMMON_SIZE_FRACTION = 0.9
"""Fraction of the images with the most frequent size, from which other sizes are odd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCount:
    """Number of images of a split.

    Attributes:
        official: Number in papers; None if it is not known.
        found: Number of images that this download has.
        absent: Number of images that this download lists and lacks.
        problem: Why the split cannot be opened; None if it can.
    """

    split: str
    official: int | None = None
    found: int = 0
    absent: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSummary:
    """Size, camera and ground truth of one image in short.

    Attributes:
        size: (height, width) [px].
        camera: Its camera; None if unknown.
        depth_fraction: Fraction of the pixels with true depth; None without depth.
        near: Nearest depth [m]; None if no pixel has depth, as are ``median`` and ``far``.
        normals_fraction: Fraction of the pixels with true normals; None without normals.
    """

    id: str
    size: tuple[int, int]
    camera: Camera | None
    depth_fraction: float | None = None
    near: float | None = None
    median: float | None = None
    far: float | None = None
    normals_fraction: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Result of reading the images of a split of a dataset.

    Attributes:
        splits: Counts of all splits.
        num_listed: Number of images that the split lists.
        num_read: Number of images that were read.
        images: Summaries of the images that are intact.
        absent: Listed images that are missing, with the reason.
        broken: Images that cannot be read, with the reason.
        warnings: Sentences on what may be wrong.
        interpretation: How the numbers of depth files were interpreted.
    """

    card: DatasetCard
    root: Path
    split: str
    variant: str
    splits: tuple[SplitCount, ...]
    num_listed: int
    num_read: int
    images: tuple[ImageSummary, ...]
    absent: tuple[Absent, ...]
    broken: tuple[Absent, ...]
    warnings: tuple[str, ...]
    interpretation: DepthInterpretation = field(default_factory=DepthInterpretation)

    @property
    def is_complete(self) -> bool:
        """Whether the split lists images, none is absent or broken, and some have ground truth."""
        return not (self.absent or self.broken or self.has_empty_truth) and self.num_listed > 0

    @property
    def has_empty_truth(self) -> bool:
        """Whether the images have maps of depth or normals, but no pixel of any map is valid."""
        fractions = [
            fraction
            for image in self.images
            for fraction in (image.depth_fraction, image.normals_fraction)
            if fraction is not None
        ]
        return bool(fractions) and not any(fractions)


def check_dataset(
    dataset: Dataset, *, limit: int | None = None, show: Progress | None = None
) -> Check:
    """Read all images of a dataset, or ``limit`` evenly spread ones; ``show`` reports progress."""
    ids = evenly_spread(dataset.ids, limit)
    images: list[ImageSummary] = []
    broken: list[Absent] = []
    for count, summary_or_reason in enumerate(_summarise_images(dataset, ids), start=1):
        if isinstance(summary_or_reason, ImageSummary):
            images.append(summary_or_reason)
        else:
            broken.append(summary_or_reason)
        if show is not None:
            show(count, len(ids))
    interpretation = join_interpretations(dataset, ids)
    return Check(
        card=dataset.card,
        root=dataset.request.root,
        split=dataset.request.split,
        variant=dataset.request.variant,
        splits=_count_splits(dataset),
        num_listed=len(dataset.ids) + len(dataset.absent),
        num_read=len(ids),
        images=tuple(images),
        absent=dataset.absent,
        broken=tuple(broken),
        warnings=(*_warning_texts(dataset, images, interpretation), *interpretation.warnings),
        interpretation=interpretation,
    )


def _summarise_images(dataset: Dataset, ids: Sequence[str]) -> Iterator[ImageSummary | Absent]:
    """Read the images in threads; yield a summary of each, or why it cannot be read."""

    @retry_miscounted
    def summarise_or_explain(image_id: str) -> ImageSummary | Absent:
        try:
            return _summarise_sample(dataset.sample(image_id))
        except RilievoError as error:
            return Absent(id=image_id, reason=note_of(error))
        except OSError as error:
            return Absent(id=image_id, reason=str(unreadable(error, image_id)))

    # Decoders release the interpreter's lock, so threads are enough and no data is pickled.
    with ThreadPoolExecutor() as pool:
        yield from pool.map(summarise_or_explain, ids)


def _summarise_sample(sample: Sample) -> ImageSummary:
    """Measure the range of depth, and the fractions of pixels with depth and normals."""
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
    return ImageSummary(
        id=sample.id,
        size=(height, width),
        camera=sample.camera,
        depth_fraction=depth_fraction,
        near=near,
        median=median,
        far=far,
        normals_fraction=normals_fraction,
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
    """Open the same dataset for another split."""
    if split == dataset.request.split:
        return dataset
    return type(dataset)(replace(dataset.request, split=split, list_file=None))


def _warning_texts(
    dataset: Dataset, images: Sequence[ImageSummary], interpretation: DepthInterpretation
) -> Iterator[str]:
    """Yield warnings about counts, images without depth or camera, and odd units and sizes."""
    request, warnings = dataset.request, interpretation.warnings
    official = dataset.card.counts.get(request.split)
    listed_count = len(dataset.ids) + len(dataset.absent)
    if official is not None and request.list_file is None and listed_count != official:
        yield (
            f"papers score {official} images of the split '{request.split}', but this download "
            f"lists {listed_count}"
        )
    without_depth = [image.id for image in images if image.depth_fraction == 0]
    if without_depth:
        yield _without_depth_text(without_depth, _unsaid_notes(dataset, without_depth[0], warnings))
    medians = [image.median for image in images if image.median is not None]
    if medians and not interpretation.is_unit_given:
        warning = unit_warning(float(np.median(medians)))
        if warning is not None:
            yield f"in at least half of the images, {warning}"
    without_camera = sum(image.camera is None for image in images)
    if without_camera:
        yield (
            f"intrinsics are missing in {without_camera} of {count_text(len(images), 'image')}, so "
            f"points and normals cannot be computed{dataset.camera_advice}"
        )
    for size, count in _odd_sizes(images):
        verb = "has" if count == 1 else "have"
        yield f"{count_text(count, 'image')} {verb} the size {size}, unlike the others"
    yield from _camera_warnings(dataset, images)


def _without_depth_text(ids: Sequence[str], notes: Sequence[str]) -> str:
    """Sentence on images without depth; ``notes`` say what left out the depth of the first."""
    text = f"{len(ids)} images have no pixel with ground-truth depth, such as {ids[0]}"
    if len(ids) == 1:
        text = f"the image {ids[0]} has no pixel with ground-truth depth"
    return "; ".join([text, *notes])


def _unsaid_notes(dataset: Dataset, image_id: str, warnings: Sequence[str]) -> list[str]:
    """What left out the truth of an image, if that is not among the warnings already."""
    return [
        note
        for note in dataset.left_out_notes(image_id)
        if not any(note in warning for warning in warnings)
    ]


def _camera_warnings(dataset: Dataset, images: Sequence[ImageSummary]) -> Iterator[str]:
    """Yield the note on the camera file, and the most frequent doubts about the cameras."""
    if images and dataset.camera_note is not None:
        yield dataset.camera_note
    doubt_counts: Counter[str] = Counter()
    for image in images:
        if image.camera is not None:
            doubt_counts.update(camera_doubts(image.camera, image.size))
    for doubt, count in doubt_counts.most_common(_MAX_CAMERA_WARNINGS):
        yield f"{count} of {count_text(len(images), 'image')}: {doubt}"


def _odd_sizes(images: Sequence[ImageSummary]) -> Iterator[tuple[str, int]]:
    """Yield sizes unlike that of nearly all images, with the number of images of each."""
    if not images:
        return
    size_counts = Counter(image.size for image in images)
    [(_, common_count), *odd_sizes] = size_counts.most_common()
    if common_count < _MIN_COMMON_SIZE_FRACTION * len(images):
        return
    for (height, width), count in odd_sizes:
        yield f"{width}x{height}", count
