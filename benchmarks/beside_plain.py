"""``rilievo predict`` against a plain script on the same graph, and its import and all outputs."""

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import make_clip
from benchmarks.measure import Cost, cost_of, in_turns, rilievo_command, spread
from benchmarks.photographs import SIDE, make_photographs
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import FAST, Settings

OURS, PLAIN = "rilievo", "plain script"
IMPORT_RATIO = 1.4
"""CPU time of importing ``rilievo.predict`` over that of NumPy and Pillow."""
ALL_SECONDS = 4.0
"""CPU time of every output of a photograph [s]."""
FOLDER = 60

Command = Sequence[str | Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """CPU times of both sides in turns [s], each side a difference of two runs where named so."""

    what: str
    promise: str
    most: float
    ours: Sequence[float]
    plain: Sequence[float]

    @property
    def ratio(self) -> float:
        """Median of the ratios of neighbours."""
        return statistics.median(a / b for a, b in zip(self.ours, self.plain, strict=True))


def run(settings: Settings) -> Report:
    [photo] = make_photographs(settings.folder("one"), 1)
    folder = settings.folder("many")
    photos = make_photographs(folder, settings.count(FOLDER, quick=4))
    long, short = settings.count(150, quick=12), settings.count(30, quick=6)
    clips = [make_clip(photo, settings.work / f"{count}.mp4", count) for count in (long, short)]
    imports = [_python("import numpy, PIL.Image"), _python("import rilievo; rilievo.predict")]
    pairs = (
        _pair(
            settings,
            "one photograph, the whole process",
            {OURS: [_ours(settings, photo)], PLAIN: [_plain(settings, photo)]},
            rounds=settings.count(9, quick=2),
        ),
        _pair(
            settings,
            f"a folder of {len(photos)}",
            {OURS: [_ours(settings, folder)], PLAIN: [_plain(settings, *photos)]},
            rounds=settings.count(3, quick=1),
        ),
        _pair(
            settings,
            f"a frame of a 640x480 video ({long} frames minus {short})",
            {
                OURS: [_ours(settings, clip, model=False) for clip in clips],
                PLAIN: [_plain_video(settings, clip) for clip in clips],
            },
            rounds=settings.count(3, quick=1),
            count=long - short,
        ),
        _pair(
            settings,
            "import of `rilievo.predict`, against NumPy and Pillow",
            {OURS: [imports[1]], PLAIN: [imports[0]]},
            rounds=settings.count(15, quick=2),
            most=IMPORT_RATIO,
        ),
    )
    every = [
        cost_of(_ours(settings, photo, "--save", "all")).cpu
        for _ in range(settings.count(3, quick=1))
    ]
    return _report(pairs, every)


def _report(pairs: Sequence[_Pair], every: Sequence[float]) -> Report:
    return Report(
        name="beside_plain",
        about=(
            "How much computing time does rilievo add to that of its network? To find out, we "
            "compare rilievo with a script that only does what is necessary, "
            "`benchmarks/plain.py`. The script reads and resizes a photograph, runs the same "
            "network, enlarges the depth and writes an image. Unlike rilievo, it computes no "
            "error ranges and no camera, and it writes no JSON. For videos, we use a similar "
            "script, `benchmarks/plain_video.py`.\n\n"
            "The first table shows how much CPU time rilievo and the plain script need to turn "
            f"JPEG photographs of {SIDE}x{SIDE} into depth images. We run both programs "
            "alternately and compute the ratio of each pair of runs. The last column is the "
            "median of these ratios. For example, a ratio of 1.12 means that rilievo needs 12% "
            "more CPU time than the script.\n\n"
            "For videos, we measure a long and a short clip, and subtract the time of the short "
            "one. In this way, the start of the program does not count."
        ),
        tables=(
            Table(
                columns=("CPU s", OURS, PLAIN, "ratio"),
                rows=[
                    (
                        pair.what,
                        str(spread(pair.ours)),
                        str(spread(pair.plain)),
                        f"{pair.ratio:.2f}",
                    )
                    for pair in pairs
                ],
            ),
            Table(columns=("CPU s", OURS), rows=[("`--save all`", str(spread(every)))]),
        ),
        bars=(
            *(
                Bar(
                    promise=f"{pair.what}: {pair.promise}",
                    measured=f"{pair.ratio:.2f} times",
                    kept=pair.ratio <= pair.most,
                )
                for pair in pairs
            ),
            Bar(
                promise=f"all outputs of a photograph in {ALL_SECONDS:g} CPU seconds",
                measured=f"{statistics.median(every):.2f} s",
                kept=statistics.median(every) <= ALL_SECONDS,
            ),
        ),
    )


def _pair(
    settings: Settings,
    what: str,
    commands: Mapping[str, Sequence[Command]],
    *,
    rounds: int,
    count: int = 1,
    most: float = 1.0,
) -> _Pair:
    """Measure commands of both sides in turns; the second of a side is subtracted from the first.

    Args:
        settings: Settings of the run.
        what: Subject of the comparison.
        commands: One or two commands of each side.
        rounds: Number of measurements.
        count: Number by which CPU times are divided.
        most: Promised ratio.
    """
    sides: dict[str, Callable[[], list[Cost]]] = {
        name: lambda both=both: [cost_of(command) for command in both]
        for name, both in commands.items()
    }
    seconds = {
        name: [(first.cpu - sum(other.cpu for other in others)) / count for first, *others in costs]
        for name, costs in in_turns(sides, rounds=rounds, warm_up=not settings.quick).items()
    }
    return _Pair(
        what=what,
        promise=f"at most {most:g} times as much",
        most=most,
        ours=seconds[OURS],
        plain=seconds[PLAIN],
    )


def _ours(settings: Settings, source: Path, *options: str, model: bool = True) -> Command:
    own = settings.model_options if model else []
    output = settings.work / "ours"
    return rilievo_command("predict", source, "-o", output, "--overwrite", *own, *options)


def _plain(settings: Settings, *photos: Path) -> Command:
    return [sys.executable, "-m", "benchmarks.plain", settings.weights, settings.work, *photos]


def _plain_video(settings: Settings, clip: Path) -> Command:
    return [sys.executable, "-m", "benchmarks.plain_video", FAST, settings.work, clip]


def _python(code: str) -> Command:
    return [sys.executable, "-c", code]
