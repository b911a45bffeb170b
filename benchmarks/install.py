"""The core in a fresh environment: how long it takes to install, and how large it is."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import ROOT, BenchmarkError, Cost, NotHereError, cost_of
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings
from rilievo.models.finding import MODELS

MOST_SECONDS, MOST_MEGABYTES, MOST_WITH_MOGE = 60, 225, 380
SHOWN = 12
"""Packages shown by name."""


def run(settings: Settings) -> Report:
    environment = settings.work / "environment"
    start = time.perf_counter()
    created = cost_of([sys.executable, "-m", "venv", environment])
    [packages] = environment.glob("lib/python*/site-packages")
    seeds = {path.name for path in packages.iterdir()}
    python = environment / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", ROOT]
    installed = _installed(pip)
    wall = time.perf_counter() - start
    ours = {path.name: _megabytes(path) for path in packages.iterdir() if path.name not in seeds}
    total = sum(ours.values())
    with_moge = total + (MODELS["moge-2/small"].megabytes or 0)
    return Report(
        name="install",
        about=(
            "How long does it take to install rilievo, and how much disk space does it need? To "
            "find out, we install it without its optional parts, using `python -m venv` and `pip "
            "install --no-cache-dir .`. Without pip's cache, everything is downloaded, built and "
            "compiled anew. The size is what the installation adds to the folder site-packages."
        ),
        tables=(_steps({"venv": created, "pip install": installed}), _packages(ours)),
        bars=(
            Bar(
                promise=f"installed in at most {MOST_SECONDS} s",
                measured=f"{wall:.0f} s",
                kept=wall <= MOST_SECONDS,
            ),
            Bar(
                promise=f"at most {MOST_MEGABYTES} MB",
                measured=f"{total:.0f} MB",
                kept=total <= MOST_MEGABYTES,
            ),
            Bar(
                promise=f"at most {MOST_WITH_MOGE} MB with the file of moge-2/small",
                measured=f"{with_moge:.0f} MB",
                kept=with_moge <= MOST_WITH_MOGE,
            ),
        ),
    )


def _installed(pip: Sequence[str | Path]) -> Cost:
    try:
        return cost_of(pip)
    except BenchmarkError as error:
        if "No matching distribution" in str(error):
            raise NotHereError("no package index can be reached, or it lacks a package") from error
        raise


def _steps(costs: Mapping[str, Cost]) -> Table:
    rows = [(name, f"{cost.wall:.1f}", f"{cost.cpu:.1f}") for name, cost in costs.items()]
    return Table(columns=("step", "wall s", "CPU s"), rows=rows)


def _packages(sizes: Mapping[str, float]) -> Table:
    """The largest by name, and the sum of the others [MB]."""
    names = sorted(sizes, key=lambda name: -sizes[name])
    shown = {name: sizes[name] for name in names[:SHOWN]}
    shown["the others"] = sum(sizes[name] for name in names[SHOWN:])
    shown["together"] = sum(sizes.values())
    rows = [(name, f"{size:.1f}") for name, size in shown.items()]
    return Table(columns=("package", "MB"), rows=rows)


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files) / 1e6
