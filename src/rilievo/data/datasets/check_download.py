"""Check of a download."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from rilievo.arrays.shapes import Pixels
from rilievo.calibration.camera_checks import camera_doubts
from rilievo.data.datasets.dataset import Absent, Dataset, DatasetCard, evenly_spread
from rilievo.errors import OutputError, RilievoError
from rilievo.errors.messages import note_of
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.interpretation import DepthInterpretation, DepthProperty
from rilievo.io.depth.plausibility import TOO_FAR, TOO_NEAR, odd_unit_warnings, unit_warning
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import retry_miscounted, unreadable
from rilievo.io.map_pictures import colourise, normals_picture
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Sample

Progress = Callable[[int, int], None]
_MOST_READ = 24
_MOST_DOUBTS = 3
_WIDTH = 240
_LINE = 14
_GAP = 6
_PAPER = (24, 24, 24)
_INK = (230, 230, 230)
_COLUMNS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCount:
    """Counts of a split's official and absent images."""

    split: str
    official: int | None = None
    found: int = 0
    absent: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """Depth [m] of one image, and shares of pixels with depth and normals."""

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
    """Results of reading images of a split."""

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
    """Read images of a dataset with their truth, at most ``limit``, evenly spread."""
    ids = evenly_spread(dataset.ids, limit)
    images: list[ImageFacts] = []
    broken: list[Absent] = []
    for count, outcome in enumerate(_read_image_facts_in_threads(dataset, ids), start=1):
        if isinstance(outcome, ImageFacts):
            images.append(outcome)
        else:
            broken.append(outcome)
        if show is not None:
            show(count, len(ids))
    reading = join_number_readings(dataset, ids)
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


def join_number_readings(dataset: Dataset, ids: Sequence[str]) -> DepthInterpretation:
    """Facts, doubts and range of at most 24 images."""
    facts: dict[DepthProperty, None] = {}
    count: Counter[str] = Counter()
    first: dict[str, str] = {}
    ends: list[float] = []
    declared: list[bool] = []
    middles: dict[str, float] = {}
    chosen = evenly_spread(ids, _MOST_READ)
    for id in chosen:
        try:
            reading = dataset.reading(id)
        except (RilievoError, OSError):
            continue  # said where the image is read
        if reading is None:
            break
        declared.append(reading.is_unit_declared)
        if reading.median is not None:
            middles[id] = reading.median
        facts |= dict.fromkeys(reading.properties)
        ends += [end for end in (reading.nearest, reading.farthest) if end is not None]
        for doubt in reading.warnings:
            # Those about the middle are for all images together.
            kind = _kind_of_doubt(doubt)
            if doubt not in (TOO_FAR, TOO_NEAR):
                count[kind] += 1
                first.setdefault(kind, f"{id}: {doubt}")
    doubts = [
        first[kind] if images == 1 else f"{first[kind]}; so {images} of {len(chosen)} images"
        for kind, images in count.items()
    ]
    doubts += odd_unit_warnings(middles)
    near, far = (min(ends), max(ends)) if ends else (None, None)
    return DepthInterpretation(
        properties=tuple(facts),
        warnings=tuple(doubts),
        nearest=near,
        farthest=far,
        is_unit_declared=any(declared),
    )


def _kind_of_doubt(doubt: str) -> str:
    """Text that is alike for images with one doubt, whose sizes and numbers of pixels differ."""
    held = doubt.partition(" hold ")[2]
    return held or re.sub(r"\d[\d.,]*", "#", doubt)


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
    height, width = sample.image.shape[:2]
    near = median = far = share = None
    if sample.depth is not None and sample.depth_valid is not None:
        depth = sample.depth[sample.depth_valid]
        share = depth.size / sample.depth.size
        if depth.size:
            near, median, far = (float(q) for q in (depth.min(), np.median(depth), depth.max()))
    normals_valid = sample.normals_valid
    return ImageFacts(
        id=sample.id,
        size=(height, width),
        camera=sample.camera,
        depth_share=share,
        near=near,
        median=median,
        far=far,
        normals_share=None if normals_valid is None else float(normals_valid.mean()),
    )


def _count_splits(dataset: Dataset) -> tuple[SplitCount, ...]:
    counts = []
    for split in dataset.splits:
        official = dataset.card.counts.get(split)
        try:
            opened = (
                dataset if split == dataset.request.split else _dataset_of_split(dataset, split)
            )
        except RilievoError as error:
            counts.append(SplitCount(split=split, official=official, problem=note_of(error)))
            continue
        counts.append(
            SplitCount(
                split=split, official=official, found=len(opened.ids), absent=len(opened.absent)
            )
        )
    return tuple(counts)


def _dataset_of_split(dataset: Dataset, split: str) -> Dataset:
    return type(dataset)(replace(dataset.request, split=split, list_file=None))


def _warning_texts(
    dataset: Dataset, images: Sequence[ImageFacts], reading: DepthInterpretation
) -> Iterator[str]:
    request, official = dataset.request, dataset.card.counts.get(dataset.request.split)
    listed = len(dataset.ids) + len(dataset.absent)
    if official is not None and request.list_file is None and listed != official:
        yield f"papers score {official} images of '{request.split}', this download lists {listed}"
    empty = [facts.id for facts in images if facts.depth_share == 0]
    if empty:
        yield f"{len(empty)} images have no pixel with true depth, such as {empty[0]}"
    medians = [facts.median for facts in images if facts.median is not None]
    doubt = unit_warning(float(np.median(medians))) if medians else None
    if doubt is not None and not reading.is_unit_declared:
        yield f"half of the images: {doubt}"
    without = sum(facts.camera is None for facts in images)
    if without:
        yield (
            f"{without} of {len(images)} images come without intrinsics: no points, no normals"
            + dataset.camera_advice
        )
    for sizes, count in _odd_sizes(images):
        yield f"{count} images are {sizes}, unlike the others"
    yield from _camera_warnings(dataset, images)


def _camera_warnings(dataset: Dataset, images: Sequence[ImageFacts]) -> Iterator[str]:
    """What was chosen in a camera file, and doubts about the cameras, the most frequent first."""
    if images and dataset.camera_note is not None:
        yield dataset.camera_note
    doubts = Counter(
        doubt
        for facts in images
        if facts.camera is not None
        for doubt in camera_doubts(facts.camera, facts.size)
    )
    for doubt, count in doubts.most_common(_MOST_DOUBTS):
        yield f"{count} of {len(images)} images: {doubt}"


def _odd_sizes(images: Sequence[ImageFacts]) -> Iterator[tuple[str, int]]:
    """Unusual sizes, with their numbers of images."""
    counts = Counter(facts.size for facts in images)
    if counts and counts.most_common(1)[0][1] >= 0.9 * len(images):
        for (height, width), count in counts.most_common()[1:]:
            yield f"{width}x{height}", count


def write_contact_sheet(dataset: Dataset, ids: Sequence[str], path: Path) -> None:
    """Write a sheet of photographs, depth (near is red) and normals."""
    tiles = [_labelled_tile(dataset, id) for id in ids]
    width = max((tile.width for tile in tiles), default=_WIDTH) + _GAP
    height = max((tile.height for tile in tiles), default=_LINE) + _GAP
    rows = -(-len(tiles) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * width, max(1, rows) * height), _PAPER)
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % _COLUMNS * width, place // _COLUMNS * height))
    with replacing(path) as part:
        try:
            sheet.save(part, format=Image.registered_extensions()[path.suffix.lower()])
        except KeyError as error:
            raise OutputError(f"{path}: a contact sheet is a .jpg or .png") from error


def _labelled_tile(dataset: Dataset, id: str) -> Image.Image:
    try:
        label, pictures = id, _pictures_of_sample(dataset.sample(id))
    except RilievoError as error:
        label, pictures = str(error), [np.zeros((_LINE, _WIDTH, 3), np.uint8)]
    # Nearest neighbour, since averages over sparse depth or holes would invent depths.
    shown = [
        ImageOps.contain(Image.fromarray(panel), (_WIDTH, 4 * _WIDTH), Image.Resampling.NEAREST)
        for panel in pictures
    ]
    size = len(shown) * (_WIDTH + _GAP), _LINE + max(panel.height for panel in shown)
    tile = Image.new("RGB", size, _PAPER)
    text = label[: size[0] // 6].encode("ascii", "replace").decode()
    ImageDraw.Draw(tile).text((0, 1), text, fill=_INK)
    for place, panel in enumerate(shown):
        tile.paste(panel, (place * (_WIDTH + _GAP), _LINE))
    return tile


def _pictures_of_sample(sample: Sample) -> list[Pixels]:
    pictures = [sample.image]
    if sample.depth is not None and sample.depth_valid is not None:
        depth = np.where(sample.depth_valid, sample.depth, 0).astype(np.float32)
        shown = DepthMap(values=depth, kind=DepthKind.METRIC, valid=sample.depth_valid)
        pictures.append(colourise(shown, sky=sample.sky))
    if sample.normals is not None and sample.normals_valid is not None:
        picture = normals_picture(np.where(sample.normals_valid, sample.normals, 0))
        picture[~sample.normals_valid] = 0
        pictures.append(picture)
    return pictures
