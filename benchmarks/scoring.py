"""Scoring predictions that lie on disk: the whole evaluation."""

from pathlib import Path

from benchmarks.measure import Cost, cost_of, peak_of, rilievo_command
from benchmarks.report import Bar, Report, Table
from benchmarks.scored_depth import SHAPE, make_scored_depth
from benchmarks.settings import Settings

MOST_SECONDS = 15.0
SAME = 1.1
"""Peaks of memory that differ by less are the same."""


def run(settings: Settings) -> Report:
    count, few = settings.count(654, quick=24), settings.count(160, quick=12)
    many = _folder(settings, count)
    fewer = _folder(settings, few)
    _evaluate(settings, fewer, "warm-up")
    ours = _evaluate(settings, many, "many")
    again = _evaluate(settings, many, "many-again")
    small = _evaluate(settings, fewer, "few")
    wall = min(ours.wall, again.wall)
    height, width = SHAPE
    return Report(
        name="scoring",
        about=(
            "If you have a folder of saved predictions, how long does rilievo need to score them? "
            "In this benchmark, `rilievo evaluate --benchmark depth --predictions FOLDER` "
            f"compares {count} predictions of {width}x{height} with ground truth. The time "
            "includes three steps: fitting the predictions to the ground truth, computing 14 "
            "metrics with their intervals, and writing tables and a report.\n\n"
            "The predictions are inverse depth in float32, and the ground truth has 16 bits."
        ),
        tables=(
            Table(
                columns=("what", "seconds", "ms an image", "CPU seconds", "peak MB"),
                rows=[
                    _row("rilievo, whole process", count, ours),
                    _row("again", count, again),
                    _row(f"rilievo, {few} predictions", few, small),
                ],
            ),
        ),
        bars=(
            Bar(
                promise=f"under {MOST_SECONDS:g} s for {count}",
                measured=f"{wall:.1f} s",
                kept=wall < MOST_SECONDS,
            ),
            Bar(
                promise="memory flat in the number of images",
                measured=f"{peak_of(small):.0f} MB for {few}, {peak_of(again):.0f} for {count}",
                kept=peak_of(again) < SAME * peak_of(small),
            ),
        ),
    )


def _folder(settings: Settings, count: int) -> Path:
    folder = settings.work / f"depth-{count}"
    make_scored_depth(folder, count)
    return folder


def _evaluate(settings: Settings, folder: Path, name: str) -> Cost:
    options = ("--benchmark", "depth", "--dataset", "folder", "--root", folder)
    given = ("--predictions", folder / "predictions", "--kind", "affine_inverse")
    return cost_of(
        rilievo_command("evaluate", *options, *given, "-o", settings.work / f"run-{name}")
    )


def _row(name: str, count: int, cost: Cost) -> tuple[str, ...]:
    return (
        name,
        f"{cost.wall:.1f}",
        f"{1e3 * cost.wall / count:.1f}",
        f"{cost.cpu:.1f}",
        f"{peak_of(cost):.0f}",
    )
