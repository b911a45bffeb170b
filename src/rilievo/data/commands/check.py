"""The command ``rilievo check``, which reads a downloaded dataset and reports what is in it."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from rilievo.cli.parsing import parse
from rilievo.cli.streams import format_table, printing, say
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.check_download import Check, ImageSummary, SplitCount, check_dataset
from rilievo.data.datasets.contact_sheet import write_contact_sheet
from rilievo.data.datasets.dataset import Absent, evenly_spread
from rilievo.errors import OptionError
from rilievo.errors.messages import count_text, for_terminal
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.io.depth.interpretation import DepthInterpretation
from rilievo.io.files.names import printable
from rilievo.schema.fields import option

_MAX_LINES = 10  # of missing or broken images, which are listed one by one
_MAX_PROPERTIES = 10  # of depth files, one on each line
_PROPERTY_LABELS = {"invalid": "values without depth", "size": "size of the map"}
_SHEET_IMAGES = 24


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    dataset: Annotated[str, option(positional=True)]
    """Name of the dataset; 'rilievo datasets' lists them."""
    root: Annotated[Path | None, option(positional=True)] = None
    """Folder of the downloaded dataset."""
    split: str | None = None
    """Split to read; by default the one that papers use."""
    variant: str | None = None
    """Variant of the ground truth; 'rilievo datasets NAME' lists them."""
    list: Annotated[Path | None, option(metavar="FILE")] = None
    """File with your own list of image ids, one per line, instead of the split's list."""
    limit: Annotated[int | None, option(metavar="N")] = None
    """Number of images to read, evenly spread over the split; by default all."""
    sheet: Annotated[Path | None, option(metavar="FILE.jpg")] = None
    """Write a contact sheet of 24 photographs with their ground-truth depth and normals."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise OptionError(option="limit", expected="1 or more", value=self.limit)


def main(arguments: Sequence[str]) -> int:
    """Report what a download contains.

    Returns:
        1 if something is missing or damaged, or if nothing can be scored; else 0.
    """
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo check",
        description=(
            "Check a downloaded dataset: image counts, missing and broken files, depth, normals "
            "and cameras."
        ),
        examples=("rilievo check nyuv2 nyu/ --sheet sheet.jpg", "rilievo check folder mine/"),
    )
    dataset = open_dataset(
        request.dataset,
        request.root,
        split=request.split,
        variant=request.variant,
        list_file=request.list,
    )
    report = check_dataset(
        dataset, limit=request.limit, show=_print_progress if sys.stderr.isatty() else None
    )
    if request.sheet is not None:
        write_contact_sheet(dataset, evenly_spread(dataset.ids, _SHEET_IMAGES), request.sheet)
    with printing():
        say("\n".join(_report_lines(report, request.sheet)))
    return 0 if report.is_complete else 1


def _print_progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\rread {done} of {count_text(total, 'image')}", end=end, file=sys.stderr, flush=True)


def _report_lines(check: Check, sheet: Path | None) -> Iterator[str]:
    """Yield the counts of the splits, then the problems and the contents of the split read."""
    yield f"{check.card.title} in {printable(check.root)}"
    yield ""
    header = ("split", "in papers", "found", "missing")
    yield format_table(header, [_split_row(count) for count in check.splits])
    for count in check.splits:
        if count.problem is not None:
            yield f"{count.split}: {for_terminal(count.problem)}"
    yield ""
    yield (
        f"split '{check.split}', variant '{check.variant}': read {check.num_read} of "
        f"{count_text(check.num_listed, 'image')}, {len(check.images)} of them complete"
    )
    yield from _problem_lines("missing", check.absent)
    yield from _problem_lines("broken", check.broken)
    if check.images:
        yield from _depth_lines(check.images)
        yield from _interpretation_lines(check.interpretation)
        yield from _normals_lines(check.images)
        yield from _size_lines(check.images)
    yield from (f"warning: {for_terminal(warning)}" for warning in check.warnings)
    if check.has_empty_truth:
        yield "nothing can be scored, because no pixel of any image has ground truth"
    if sheet is not None:
        yield f"contact sheet: {printable(sheet)}"


def _split_row(count: SplitCount) -> tuple[str, ...]:
    official = "-" if count.official is None else str(count.official)
    if count.problem is not None:
        return count.split, official, "-", "-"
    return count.split, official, str(count.found), str(count.absent)


def _problem_lines(problem: str, entries: Sequence[Absent]) -> Iterator[str]:
    """Yield the images with a problem ("missing" or "broken"), the first ten by name."""
    if not entries:
        return
    yield f"{count_text(len(entries), 'image')} {'is' if len(entries) == 1 else 'are'} {problem}:"
    yield from (
        f"  {printable(entry.id)}: {for_terminal(entry.reason)}" for entry in entries[:_MAX_LINES]
    )
    if len(entries) > _MAX_LINES:
        yield f"  ... and {len(entries) - _MAX_LINES} more"


def _depth_lines(images: Sequence[ImageSummary]) -> Iterator[str]:
    """Yield the holes of true depth, and its range over all images."""
    fractions = [image.depth_fraction for image in images if image.depth_fraction is not None]
    if not fractions:
        yield "depth     none"
        return
    hole_fractions = 1 - np.array(fractions)
    yield (
        f"holes     {hole_fractions.mean():.1%} of the pixels on average, from "
        f"{hole_fractions.min():.1%} to {hole_fractions.max():.1%} in an image"
    )
    ranges = [(image.near, image.median, image.far) for image in images if image.median is not None]
    if ranges:
        near, median, far = np.array(ranges).T
        yield (
            f"depth     {near.min():.3g} to {far.max():.3g} m, with medians of "
            f"{median.min():.3g} to {median.max():.3g} m per image"
        )


def _interpretation_lines(interpretation: DepthInterpretation) -> Iterator[str]:
    if interpretation.summary_line is not None:
        yield f"          {interpretation.summary_line}"
    # The summary contains the unit already.
    texts = [
        f"{_PROPERTY_LABELS.get(prop.name, prop.name)}: {prop}"
        for prop in interpretation.properties
        if prop.name != "scale"
    ]
    yield from (f"          {text}" for text in texts[:_MAX_PROPERTIES])


def _normals_lines(images: Sequence[ImageSummary]) -> Iterator[str]:
    fractions = [image.normals_fraction for image in images if image.normals_fraction is not None]
    if fractions:
        images_text = count_text(len(fractions), "image")
        yield f"normals   in {images_text}, at {np.mean(fractions):.1%} of the pixels on average"


def _size_lines(images: Sequence[ImageSummary]) -> Iterator[str]:
    """Yield the most frequent sizes and cameras."""
    sizes = Counter(image.size for image in images).most_common(5)
    size_texts = [
        f"{width}x{height} in {count_text(count, 'image')}" for (height, width), count in sizes
    ]
    yield "size      " + ", ".join(size_texts)
    cameras = Counter(_camera_text(image.camera) for image in images if image.camera is not None)
    for text, count in cameras.most_common(3):
        yield f"{text} in {count_text(count, 'image')}"
    if len(cameras) > 3:
        yield f"          ... and {count_text(len(cameras) - 3, 'more camera')}"


def _camera_text(camera: Camera) -> str:
    """Text of a pinhole's intrinsics [px], or of another lens."""
    if not isinstance(camera.lens, Pinhole):
        return f"lens      {camera.lens}"
    fx, fy, cx, cy = (round(number, 2) for number in camera.lens.numbers)
    return f"K         fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}"
