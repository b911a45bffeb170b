"""``rilievo check``."""

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

_LISTED = 10
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
    whole, part = len(check.images), f"{check.read} of {check.listed}"
    yield f"read '{check.split}', {check.variant}: {part} images, {whole} are whole"
    yield from _problem_lines("missing", check.absent)
    yield from _problem_lines("broken", check.broken)
    if check.images:
        yield from _depth_lines(check.images)
        yield from _reading_lines(check.reading)
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
        f"  {printable(entry.id)}: {for_terminal(entry.reason)}" for entry in entries[:_LISTED]
    )
    if len(entries) > _LISTED:
        yield f"  ... and {len(entries) - _LISTED} more"


def _depth_lines(images: Sequence[ImageFacts]) -> Iterator[str]:
    shares = [facts.depth_share for facts in images if facts.depth_share is not None]
    if not shares:
        yield "depth     none"
        return
    holes = 1 - np.array(shares)
    yield (
        f"holes     {holes.mean():.1%} of the pixels on average, "
        f"{holes.min():.1%} to {holes.max():.1%}"
    )
    ends = [(facts.near, facts.median, facts.far) for facts in images if facts.median is not None]
    if ends:
        near, median, far = np.array(ends).T
        yield (
            f"depth     {near.min():.3g} to {far.max():.3g} m; medians of the images "
            f"{median.min():.3g} to {median.max():.3g} m"
        )


def _reading_lines(reading: DepthInterpretation) -> Iterator[str]:
    if reading.summary_line is not None:
        yield f"          {reading.summary_line}"
    others = [f"{fact.name} {fact}" for fact in reading.properties if fact.name != "scale"]
    if others:
        yield "          " + "; ".join(others[:_LISTED])


def _normals_lines(images: Sequence[ImageFacts]) -> Iterator[str]:
    shares = [facts.normals_share for facts in images if facts.normals_share is not None]
    if shares:
        yield f"normals   {len(shares)} images, {np.mean(shares):.1%} of their pixels"


def _size_lines(images: Sequence[ImageFacts]) -> Iterator[str]:
    sizes = Counter(facts.size for facts in images).most_common(5)
    yield "size      " + ", ".join(f"{width}x{height}: {n}" for (height, width), n in sizes)
    cameras = Counter(_camera_text(facts.camera) for facts in images if facts.camera is not None)
    for text, count in cameras.most_common(3):
        yield f"{text}: {count}"
    if len(cameras) > 3:
        yield f"K         ... and {len(cameras) - 3} more"


def _camera_text(camera: Camera) -> str:
    """Intrinsics of a pinhole [px], or the lens."""
    if not isinstance(camera.lens, Pinhole):
        return f"lens      {camera.lens}"
    fx, fy, cx, cy = (round(number, 2) for number in camera.lens.numbers)
    return f"K         fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}"
