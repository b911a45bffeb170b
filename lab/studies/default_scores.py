"""Scores of the embedded models, set by set: table rows, stored as JSON."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from examination import Column, Judged, Part
from sureness import Calibration, CameraCalibration, Interval

from rilievo.errors import InputError
from rilievo.evaluation.summaries import ScoreAccumulator


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model on one set by one benchmark.

    Attributes:
        set: Title of the set.
        benchmark: Benchmark of depth.
        model: Name of the model.
        frames: Number of images.
        abs_rel: AbsRel as the benchmark aligns: by one factor an image, for depth up to scale.
        delta1: δ1 with the same alignment.
        abs_rel_aligned: AbsRel after a fit of scale and shift by least squares; None if unknown.
        delta1_aligned: δ1 after that fit; None if unknown.
        frames_flat: Number of images whose best line would fall, scored at one depth.
        normals_mean: Mean angle by the benchmark ``normals`` [degrees]; None if the set has none,
            and in all but the last row of a set.
        normals_within_30: Share of pixels within 30 degrees, by the same benchmark.
    """

    set: str
    benchmark: str
    model: str
    frames: int
    abs_rel: float
    delta1: float
    abs_rel_aligned: float | None = None
    delta1_aligned: float | None = None
    frames_flat: int = 0
    normals_mean: float | None = None
    normals_within_30: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Accuracy and calibration of the models.

    Attributes:
        rows: Rows of accuracy.
        calibrations: Calibration of the models that predict a confidence.
    """

    rows: tuple[Row, ...]
    calibrations: tuple[Calibration, ...] = ()

    def write(self, path: Path) -> None:
        """Write the scores as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def read_scores(path: Path) -> Scores:
    """Read scores that ``Scores.write`` wrote.

    Raises:
        InputError: If an older version of the tool wrote them.
    """
    entries = json.loads(path.read_text(encoding="utf-8"))
    known = {each.name for each in fields(Row)}
    if strange := {name for row in entries["rows"] for name in row} - known:
        raise InputError(
            f"{path}: an older version of the tool wrote it (rows have "
            f"{', '.join(sorted(strange))}); run lab/studies/evaluate_default_model.py again"
        )
    return Scores(
        rows=tuple(Row(**row) for row in entries["rows"]),
        calibrations=tuple(_calibration(each) for each in entries["calibrations"]),
    )


def _calibration(entries: dict[str, Any]) -> Calibration:
    parts: dict[str, Any] = {
        "intervals": tuple(Interval(**part) for part in entries["intervals"]),
        "cameras": tuple(CameraCalibration(**part) for part in entries["cameras"]),
    }
    return Calibration(**(entries | parts))


def rows_of(
    names: Sequence[str],
    title: str,
    parts: Sequence[Part],
    judged: Iterable[Judged],
) -> list[Row]:
    """Make a row for each of a set's benchmarks and each model, in that order.

    Raises:
        InputError: If a model has no score on any of the frames.
    """
    tallied = {
        (model, part): ScoreAccumulator(benchmark=each.selection.benchmark)
        for model in range(len(names))
        for part, each in enumerate(parts)
    }
    reasons: dict[tuple[int, int], str] = {}
    flat = Counter[tuple[int, int]]()
    for each in judged:
        if each.scored is not None:
            tallied[each.model, each.part].add(each.scored)
            flat[each.model, each.part] += each.flat
        else:
            reasons.setdefault((each.model, each.part), each.reason)
    for (model, part), reason in reasons.items():
        column = parts[part].column.name.lower()
        sys.stderr.write(f"{title}, {names[model]}, {column}: {reason}\n")
        if not tallied[model, part].scores:
            raise InputError(f"{title}, {names[model]}: no frame has a score: {reason}")
    firsts = [number for number, part in enumerate(parts) if part.column is Column.PLAIN]
    return [
        replace(
            _row(
                names[model], title, parts, first, {n: tallied[model, n] for n in range(len(parts))}
            ),
            frames_flat=flat[model, first + 1],
        )
        for first in firsts
        for model in range(len(names))
    ]


def _row(
    model: str,
    title: str,
    parts: Sequence[Part],
    first: int,
    tallied: Mapping[int, ScoreAccumulator],
) -> Row:
    plain, fitted = _values(tallied[first]), _values(tallied[first + 1])
    rest = parts[first + 2 :]
    normals = {}
    if rest and rest[0].column is Column.NORMALS:
        normals = _values(tallied[first + 2])
    return Row(
        set=title,
        benchmark=parts[first].benchmark,
        model=model,
        frames=len(tallied[first].scores),
        abs_rel=plain["abs_rel"],
        delta1=plain["delta1"],
        abs_rel_aligned=fitted.get("abs_rel"),
        delta1_aligned=fitted.get("delta1"),
        normals_mean=normals.get("mean"),
        normals_within_30=normals.get("within_30"),
    )


def _values(tallied: ScoreAccumulator) -> Mapping[str, float]:
    """Values of each metric; empty if nothing was scored."""
    if not tallied.scores:
        return {}
    return {each.metric: each.value for each in tallied.summaries({})}


def table(rows: Sequence[Row]) -> str:
    """Format the rows as Markdown."""
    lines = [
        "| set | benchmark | model | frames | AbsRel / δ1 | the same, aligned | normals, < 30° |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        normals = fitted = "–"
        if row.normals_mean is not None and row.normals_within_30 is not None:
            normals = f"{row.normals_mean:.1f}°, {row.normals_within_30:.0%}"
        if row.abs_rel_aligned is not None and row.delta1_aligned is not None:
            fitted = f"{row.abs_rel_aligned:.3f} / {row.delta1_aligned:.3f}"
            fitted += f" ({row.frames_flat})" if row.frames_flat else ""
        lines.append(
            f"| {row.set} | `{row.benchmark}` | {row.model} | {row.frames} "
            f"| {row.abs_rel:.3f} / {row.delta1:.3f} | {fitted} | {normals} |"
        )
    return "\n".join(lines) + "\n"
