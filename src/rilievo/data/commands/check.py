"""The command ``rilievo check``, which reads a downloaded dataset and reports what is in it."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, say, table
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.check_download import (
    Check,
    ImageFacts,
    SplitCount,
    check_dataset,
)
from rilievo.data.datasets.contact_sheet import write_contact_sheet
from rilievo.data.datasets.dataset import Absent, evenly_spread
from rilievo.errors import OptionError
from rilievo.errors.messages import for_terminal
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.io.depth.interpretation import DepthInterpretation
from rilievo.io.files.names import printable
from rilievo.schema.fields import option

_MAX_LINES = 10  # of missing or broken images, which are listed one by one
_MAX_PROPERTIES = 10  # of depth files, in one line
_SHEET_IMAGES = 24


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    dataset: Annotated[str, option(positional=True)]
    """Name of the dataset; 'rilievo datasets' lists them."""
    root: Annotated[Path | None, option(positional=True)] = None
    """Folder of the download."""
    split: str | None = None
    """Split to read; by default the one of papers."""
    variant: str | None = None
    """Variant of the ground truth; 'rilievo datasets NAME' lists them."""
    list: Annotated[Path | None, option(metavar="FILE")] = None
    """List of ids, one a line, in place of the split's."""
    limit: Annotated[int | None, option(metavar="N")] = None
    """Number of images, evenly spread; by default all."""
    sheet: Annotated[Path | None, option(metavar="FILE.jpg")] = None
    """Contact sheet of 24 photographs with true depth and normals."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise OptionError(option="limit", expected="1 or more", value=self.limit)


def main(arguments: Sequence[str]) -> int:
    """Report what a download contains; return 1 if something is missing or damaged."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo check",
        description="Read a downloaded dataset: counts, missing and broken files, depth, K.",
        examples=(
            "rilievo check nyuv2 nyu/ --sheet sheet.jpg",
            "rilievo check folder mine/",
        ),
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
    return 0 if report.is_whole else 1


def _print_progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\rread {done} of {total}", end=end, file=sys.stderr, flush=True)


def _report_lines(check: Check, sheet: Path | None) -> Iterator[str]:
    yield f"{check.card.title} in {printable(check.root)}"
    yield ""
    header = ("split", "in papers", "found", "missing")
    yield table(header, [_split_row(count) for count in check.splits])
    for count in check.splits:
        if count.problem is not None:
            yield f"{count.split}: {for_terminal(count.problem)}"
    yield ""
    yield (
        f"read '{check.split}', {check.variant}: {check.read} of {check.listed} images, "
        f"{len(check.images)} are whole"
    )
    yield from _problem_lines("missing", check.absent)
    yield from _problem_lines("broken", check.broken)
    if check.images:
        yield from _depth_lines(check.images)
        yield from _interpretation_lines(check.reading)
        yield from _normals_lines(check.images)
        yield from _size_lines(check.images)
    yield from (f"warning: {for_terminal(warning)}" for warning in check.warnings)
    if sheet is not None:
        yield f"contact sheet: {printable(sheet)}"


def _split_row(count: SplitCount) -> tuple[str, ...]:
    official = "-" if count.official is None else str(count.official)
    if count.problem is not None:
        return count.split, official, "-", "-"
    return count.split, official, str(count.found), str(count.absent)


def _problem_lines(what: str, entries: Sequence[Absent]) -> Iterator[str]:
    if not entries:
        return
    yield f"{len(entries)} {what}:"
    yield from (
        f"  {printable(entry.id)}: {for_terminal(entry.reason)}" for entry in entries[:_MAX_LINES]
    )
    if len(entries) > _MAX_LINES:
        yield f"  ... and {len(entries) - _MAX_LINES} more"


def _depth_lines(images: Sequence[ImageFacts]) -> Iterator[str]:
    """Yield the holes of true depth, and its range over all images."""
    fractions = [facts.depth_share for facts in images if facts.depth_share is not None]
    if not fractions:
        yield "depth     none"
        return
    holes = 1 - np.array(fractions)
    yield (
        f"holes     {holes.mean():.1%} of the pixels on average, "
        f"{holes.min():.1%} to {holes.max():.1%}"
    )
    ranges = [(facts.near, facts.median, facts.far) for facts in images if facts.median is not None]
    if ranges:
        near, median, far = np.array(ranges).T
        yield (
            f"depth     {near.min():.3g} to {far.max():.3g} m; medians of the images "
            f"{median.min():.3g} to {median.max():.3g} m"
        )


def _interpretation_lines(interpretation: DepthInterpretation) -> Iterator[str]:
    if interpretation.summary_line is not None:
        yield f"          {interpretation.summary_line}"
    # The summary has the unit already.
    properties = [each for each in interpretation.properties if each.name != "scale"]
    texts = [f"{each.name} {each}" for each in properties]
    if texts:
        yield "          " + "; ".join(texts[:_MAX_PROPERTIES])


def _normals_lines(images: Sequence[ImageFacts]) -> Iterator[str]:
    fractions = [facts.normals_share for facts in images if facts.normals_share is not None]
    if fractions:
        yield f"normals   {len(fractions)} images, {np.mean(fractions):.1%} of their pixels"


def _size_lines(images: Sequence[ImageFacts]) -> Iterator[str]:
    """Yield the most frequent sizes and cameras."""
    sizes = Counter(facts.size for facts in images).most_common(5)
    yield "size      " + ", ".join(f"{width}x{height}: {n}" for (height, width), n in sizes)
    cameras = Counter(_camera_text(facts.camera) for facts in images if facts.camera is not None)
    for text, count in cameras.most_common(3):
        yield f"{text}: {count}"
    if len(cameras) > 3:
        yield f"K         ... and {len(cameras) - 3} more"


def _camera_text(camera: Camera) -> str:
    """Intrinsics of a pinhole camera [px], or the lens of another one."""
    if not isinstance(camera.lens, Pinhole):
        return f"lens      {camera.lens}"
    fx, fy, cx, cy = (round(number, 2) for number in camera.lens.numbers)
    return f"K         fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}"
