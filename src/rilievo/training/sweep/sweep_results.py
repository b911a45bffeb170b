"""Record of a cell of a sweep, which marks it as finished, and the table of all cells."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.io.checks import is_torn
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.pages.tables import Head, Table, heads

FORMAT = "rilievo-sweep-cell/1"
CELLS, CELL = "cells", "cell.json"


@frozen
class CellMetric:
    """One metric of a cell under one benchmark.

    Attributes:
        unit: Unit of the value; "" for a share.
        better: Direction in which it improves: lower, higher or zero.
        value: Score over all images, averaged as the benchmark does.
        by_image: Scores of the images of ``Measured.ids``.
    """

    label: str
    unit: str
    better: str
    value: float
    by_image: tuple[float, ...] = ()

    @property
    def heading(self) -> str:
        """Heading of its column; shares are in %."""
        return f"{self.label} {self.unit or '%'} {'↑' if self.better == 'higher' else '↓'}"


@frozen
class Measured:
    """Scores of a cell under one benchmark.

    Attributes:
        unscored: Number of images without a score.
        reason: Reason why the first unscored image has no score.
    """

    benchmark: str
    unscored: int
    reason: str | None = None
    metrics: tuple[CellMetric, ...]
    ids: tuple[str, ...] = ()


@frozen
class SweepCell:
    """One trained probe and its scores.

    Attributes:
        title: Name of the backbone in the table.
        run: Folder of the run, relative to that of the sweep.
        training_cpu_seconds: CPU time of training, including features that were not cached yet.
        predicting_cpu_seconds: CPU time of one image, from photograph to prediction.
        doubts: Reasons to think that the probe learned nothing; empty without any.
    """

    format: str = FORMAT
    title: str
    layers: tuple[int, ...]
    probe: str
    task: str
    seed: int
    run: str
    backbone_parameters: int
    probe_parameters: int
    training_cpu_seconds: float
    predicting_cpu_seconds: float
    measured: tuple[Measured, ...]
    doubts: tuple[str, ...] = ()


def read_cell(folder: Path) -> SweepCell | None:
    """Read the record of a finished cell; None where there is none or it is torn."""
    path = folder / CELL
    if not path.exists() or is_torn(path):
        return None
    try:
        cell = from_json(SweepCell, read_text(path))
    except NotThisRecord as error:
        raise InputError(
            f"{path}: is no record of a cell ({error}): take it away to score it anew"
        ) from error
    if cell.format != FORMAT:
        raise InputError(f"{path}: is of format '{cell.format}', expected '{FORMAT}'")
    return cell


def write_cell(cell: SweepCell, folder: Path) -> None:
    """Write the record of a cell, which marks it as finished."""
    with replacing(folder / CELL) as part:
        part.write_text(to_json(cell, indent=2), encoding="utf-8")


def make_table(title: str, cells: Sequence[SweepCell]) -> Table:
    """Make the table of a sweep: a row per backbone and probe, with mean and spread over seeds.

    Where some cell has no score for some images, every number is a mean over the images that all
    cells have: a row that misses its own hard images would otherwise look better than one that
    does not.
    """
    common = _common_images(cells)
    rows: dict[tuple[str, str], list[SweepCell]] = {}
    columns: dict[tuple[str, str], str] = {}
    for cell in cells:
        rows.setdefault((cell.title, cell.probe), []).append(cell)
        for measured in cell.measured:
            for metric in measured.metrics:
                columns[measured.benchmark, metric.heading] = metric.unit
    shared = {name: f", {len(images)} common images" for name, images in common.items()}
    return Table(
        title=title,
        heads=(
            *heads("backbone", "probe", words=["probe"]),
            *(Head(text=text + shared.get(name, ""), group=name) for name, text in columns),
            *heads("parameters", "CPU s / image"),
        ),
        rows=tuple(tuple(_row(alike, columns, common)) for alike in rows.values()),
        notes=tuple(_notes(cells, common)),
        is_sortable=True,
    )


def _common_images(cells: Sequence[SweepCell]) -> Mapping[str, frozenset[str]]:
    """Images that all cells could score, by benchmark; benchmarks without a gap are left out."""
    parts: dict[str, list[Measured]] = {}
    for cell in cells:
        for measured in cell.measured:
            parts.setdefault(measured.benchmark, []).append(measured)
    return {
        benchmark: frozenset.intersection(*(frozenset(part.ids) for part in alike))
        for benchmark, alike in parts.items()
        if any(part.unscored for part in alike)
    }


def _row(
    cells: Sequence[SweepCell],
    columns: Mapping[tuple[str, str], str],
    common: Mapping[str, frozenset[str]],
) -> Iterator[str | None]:
    scores: dict[tuple[str, str], list[float]] = {column: [] for column in columns}
    for measured in (part for cell in cells for part in cell.measured):
        images = common.get(measured.benchmark)
        for metric in measured.metrics:
            values = [metric.value]
            if images is not None:
                by_id = zip(measured.ids, metric.by_image, strict=True)
                values = [value for id, value in by_id if id in images]
            if values:
                scores[measured.benchmark, metric.heading].append(statistics.fmean(values))
    first, seeds = cells[0], min((len(values) for values in scores.values() if values), default=0)
    yield first.title if seeds > 1 else f"{first.title} (one seed)"
    yield first.probe
    yield from (
        mean_and_spread(scores[column], unit) if scores[column] else None
        for column, unit in columns.items()
    )
    # Small networks show three digits, so that none shows zero.
    millions = first.backbone_parameters / 1e6
    yield f"{millions:.{1 if millions >= 1 else 3}f} M"
    yield f"{statistics.fmean(cell.predicting_cpu_seconds for cell in cells):.3f}"


def mean_and_spread(values: Sequence[float], unit: str) -> str:
    """Mean, and sample standard deviation (n - 1) if there are several values; shares in %."""
    factor = 1 if unit else 100
    mean = factor * statistics.fmean(values)
    digits = 3 if unit not in ("", "°") and abs(mean) < 10 else 1
    spread = f" ± {factor * statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean:.{digits}f}{spread}"


def _notes(cells: Sequence[SweepCell], common: Mapping[str, frozenset[str]]) -> Iterator[str]:
    yield (
        "± is the standard deviation over seeds. CPU s / image is from photograph to answer, "
        "backbone and probe together."
    )
    for benchmark, images in common.items():
        yield (
            f"{benchmark}: some rows have no score for some images, so every number is a mean "
            f"over the {len(images)} images that all rows have, not the benchmark's own."
        )
    for cell in cells:
        for measured in cell.measured:
            if measured.unscored:
                yield (
                    f"{cell.title}, {cell.probe}, seed {cell.seed}: {measured.unscored} images "
                    f"have no score under {measured.benchmark}; the first, {measured.reason}"
                )
        for doubt in cell.doubts:
            yield f"Nothing learned: {Path(cell.run).name}: {doubt}"
