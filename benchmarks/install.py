"""The core in a fresh environment: how long it takes to install, and how large it is."""

import sys
import time
from pathlib import Path

from benchmarks.measure import ROOT, cost_of
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings

MOST_SECONDS, MOST_MEGABYTES = 60, 300


def run(settings: Settings) -> Report:
    environment = settings.work / "environment"
    start = time.perf_counter()
    created = cost_of([sys.executable, "-m", "venv", environment])
    [packages] = environment.glob("lib/python*/site-packages")
    seeds = {path.name for path in packages.iterdir()}
    python = environment / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", ROOT]
    installed = cost_of(pip)
    wall = time.perf_counter() - start
    ours = {path.name: _megabytes(path) for path in packages.iterdir() if path.name not in seeds}
    largest = sorted(ours, key=lambda name: -ours[name])[:12]
    total = sum(ours.values())
    return Report(
        name="install",
        about=(
            "`python -m venv`, then `pip install --no-cache-dir .` of the core from the package "
            "index that this machine uses: everything is downloaded, built and compiled to "
            "bytecode. Measured once. The size is what this adds to site-packages."
        ),
        tables=(
            Table(
                columns=("step", "wall s", "CPU s"),
                rows=[
                    ("venv", f"{created.wall:.1f}", f"{created.cpu:.1f}"),
                    ("pip install", f"{installed.wall:.1f}", f"{installed.cpu:.1f}"),
                ],
            ),
            Table(
                columns=("package", "MB"),
                rows=[
                    *((name, f"{ours[name]:.1f}") for name in largest),
                    ("the others", f"{total - sum(ours[name] for name in largest):.1f}"),
                    ("together", f"{total:.1f}"),
                ],
            ),
        ),
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
        ),
    )


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files) / 1e6
