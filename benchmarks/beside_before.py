"""``rilievo predict`` against the last release and the commit before, in turns."""

import io
import statistics
import subprocess
import sys
import tarfile
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import make_clip
from benchmarks.measure import ROOT, BenchmarkError, Cost, cost_of, in_turns, spread
from benchmarks.photographs import SIDE, make_photographs
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings

NOW = "now"
FOLDER = 30
MOST = 1.0
"""Promised CPU time, over that of the last release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """A state of the package.

    Attributes:
        name: Name in the table.
        interpreter: Python that has what the package needs.
        source: Folder that holds the package; None where it is installed.
    """

    name: str
    interpreter: Path
    source: Path | None

    def python(self, *arguments: str | Path) -> list[str | Path]:
        """Command of Python that imports this state."""
        return ["env", f"PYTHONPATH={self.source or ''}", self.interpreter, *arguments]

    def predict(self, settings: Settings, source: Path) -> list[str | Path]:
        """Command that predicts a file or a folder."""
        output = settings.work / self.name.replace(" ", "-")
        return self.python("-m", "rilievo", "predict", source, "-o", output, "--overwrite")


def run(settings: Settings) -> Report:
    release = _git("log", "-1", "--format=%H", "--extended-regexp", r"--grep=^version [0-9.]+$")
    if not release:
        raise BenchmarkError("no commit 'version X.Y.Z' is in the history: fetch all of it")
    before = _git("rev-parse", "HEAD~1")
    versions = (
        _Version(name=NOW, interpreter=Path(sys.executable), source=ROOT / "src"),
        _installed(f"last release {release[:8]}", release, settings.folder("release")),
        _Version(
            name=f"commit before {before[:8]}",
            interpreter=Path(sys.executable),
            source=_extracted(before, settings.folder("before")) / "src",
        ),
    )
    [photo] = make_photographs(settings.folder("one"), 1)
    folder = settings.folder("many")
    photographs = settings.count(FOLDER, quick=3)
    make_photographs(folder, photographs)
    long, short = settings.count(120, quick=12), settings.count(30, quick=6)
    clips = [make_clip(photo, settings.work / f"{count}.mp4", count) for count in (long, short)]
    rows: list[tuple[str, ...]] = []
    ratios: dict[str, float] = {}
    for what, commands, rounds, count in (
        ("one photograph, the whole process", [photo], settings.count(9, quick=1), 1),
        (f"a folder of {photographs}", [folder], settings.count(3, quick=1), 1),
        (
            f"a frame of a video, of {long} less {short}",
            clips,
            settings.count(3, quick=1),
            long - short,
        ),
        ("import of `rilievo.predict`", [], settings.count(15, quick=1), 1),
    ):
        seconds = _seconds(settings, versions, commands, rounds=rounds, count=count)
        now, *others = (seconds[version.name] for version in versions)
        of_release, of_before = (
            statistics.median(a / b for a, b in zip(now, other, strict=True)) for other in others
        )
        ratios[what] = of_release
        spreads = [str(spread(each)) for each in (now, *others)]
        rows.append((what, *spreads, f"{of_release:.2f}", f"{of_before:.2f}"))
    return Report(
        name="beside_before",
        about=(
            f"The table gives the CPU time of this state, of the last release ({release[:12]}, "
            "in an environment of its own with the newest packages that it accepts) and of the "
            f"commit before ({before[:12]}). They run in turns on JPEG photographs of "
            f"{SIDE}x{SIDE} and on a video of 640x480, and write pictures of depth. The ratios "
            "are medians over neighbouring runs, and each state runs the networks that it "
            "ships."
        ),
        tables=(
            Table(
                columns=(
                    "CPU s",
                    *(version.name for version in versions),
                    "over the release",
                    "over the commit before",
                ),
                rows=rows,
            ),
        ),
        bars=tuple(
            Bar(
                promise=f"{what}: at most {MOST:g} times the last release",
                measured=f"{ratio:.2f} times",
                kept=ratio <= MOST,
            )
            for what, ratio in ratios.items()
        ),
    )


def _seconds(
    settings: Settings,
    versions: Sequence[_Version],
    sources: Sequence[Path],
    *,
    rounds: int,
    count: int,
) -> dict[str, list[float]]:
    """CPU seconds of each version in turns; the second source is subtracted from the first.

    Args:
        settings: Settings of the run.
        versions: States that are compared.
        sources: Files or folders that are predicted; none for the import alone.
        rounds: Number of measurements.
        count: Number by which CPU times are divided.
    """

    def measure(version: _Version) -> list[Cost]:
        if not sources:
            return [cost_of(version.python("-c", "import rilievo; rilievo.predict"))]
        return [cost_of(version.predict(settings, source)) for source in sources]

    sides: dict[str, Callable[[], list[Cost]]] = {
        version.name: lambda version=version: measure(version) for version in versions
    }
    costs = in_turns(sides, rounds=rounds, warm_up=not settings.quick)
    return {
        name: [(first.cpu - sum(other.cpu for other in others)) / count for first, *others in each]
        for name, each in costs.items()
    }


def _installed(name: str, commit: str, folder: Path) -> _Version:
    """Install the package of a commit into an environment of its own."""
    checkout, environment = _extracted(commit, folder), folder / "environment"
    venv.create(environment, with_pip=True)
    interpreter = environment / "bin" / "python"
    command = [interpreter, "-m", "pip", "install", "--quiet", f"{checkout}[video]"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise BenchmarkError(f"{name} cannot be installed: {done.stderr[-500:]}")
    return _Version(name=name, interpreter=interpreter, source=None)


def _extracted(commit: str, folder: Path) -> Path:
    """Write the files of a commit into a folder."""
    done = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"git archive {commit}: {done.stderr.decode('utf-8', 'replace')}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder / "checkout", filter="data")
    return folder / "checkout"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise BenchmarkError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()
