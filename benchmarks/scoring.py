"""Scoring predictions that lie on disk, against the loop of FiftyOne's tutorial."""

from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import Cost, answer_of, cost_of, peak_of, rilievo_command
from benchmarks.report import Bar, Report, Table
from benchmarks.scored_depth import SHAPE, make_scored_depth
from benchmarks.settings import Settings

MOST_SECONDS = 15.0
LEAST_RATIO = 5.0
SAME = 1.1
"""Peaks of memory that differ by less are the same."""


def run(settings: Settings) -> Report:
    count, few = settings.count(654, quick=24), settings.count(160, quick=12)
    many = _folder(settings, count)
    fewer = _folder(settings, few)
    _evaluate(settings, fewer, "warm-up")
    ours = _evaluate(settings, many, "many")
    compared = find_spec("fiftyone") is not None
    theirs = answer_of("tutorial_loop", many)["seconds"] if compared else None
    again = _evaluate(settings, many, "many-again")
    small = _evaluate(settings, fewer, "few")
    wall = min(ours.wall, again.wall)
    height, width = SHAPE
    return Report(
        name="scoring",
        about=(
            f"{count} predictions of {width}x{height} (inverse depth, float32) against 16-bit true "
            "depth. `rilievo evaluate --benchmark depth --predictions FOLDER`: the whole process, "
            "fit in inverse depth, 14 metrics, intervals, tables and the report. The tutorial: its "
            "loop alone, three metrics of 8-bit maps that lie in the database already; neither its "
            "start nor filling the database is counted"
            + ("." if compared else "; left out, as FiftyOne is not installed (extra `view`).")
        ),
        tables=(
            Table(
                columns=("what", "seconds", "ms an image", "CPU seconds", "peak MB"),
                rows=[
                    _row("rilievo, whole process", count, ours),
                    _row("again", count, again),
                    _row(f"rilievo, {few} predictions", few, small),
                    *_tutorial(count, theirs),
                ],
            ),
        ),
        bars=(
            Bar(
                promise=f"under {MOST_SECONDS:g} s for {count}",
                measured=f"{wall:.1f} s",
                kept=wall < MOST_SECONDS,
            ),
            *_ratio(wall, theirs),
            Bar(
                promise="memory flat in the number of images",
                measured=f"{peak_of(small):.0f} MB for {few}, {peak_of(again):.0f} for {count}",
                kept=peak_of(again) < SAME * peak_of(small),
            ),
        ),
    )


def _tutorial(count: int, seconds: float | None) -> list[tuple[str, ...]]:
    if seconds is None:
        return []
    return [("tutorial, its loop", f"{seconds:.1f}", f"{1e3 * seconds / count:.0f}", "", "")]


def _ratio(ours: float, theirs: float | None) -> list[Bar]:
    if theirs is None:
        return []
    return [
        Bar(
            promise=f"at least {LEAST_RATIO:g} times as fast as the tutorial's loop",
            measured=f"{theirs / ours:.1f} times",
            kept=theirs / ours >= LEAST_RATIO,
        )
    ]


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
