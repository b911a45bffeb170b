"""Time from the command to the written picture: the whole process, for one photograph."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.depth_anything import save_for_transformers
from benchmarks.measure import ROOT, Cost, cost_of, in_turns, rilievo_command, spread
from benchmarks.photographs import SIDE, make_photographs
from benchmarks.report import Bar, Report, cost_table
from benchmarks.settings import Settings

MOST_SECONDS, AIM_SECONDS, LEAST_RATIO = 0.6, 0.35, 10.0
OURS, THEIRS = "rilievo predict", "transformers pipeline"
OURS_FAST = "rilievo predict --quality fast"


def run(settings: Settings) -> Report:
    [photo] = make_photographs(settings.folder("photo"), 1)
    model = save_for_transformers(settings.folder("transformers"))
    sides = {
        OURS: _ours(photo, settings),
        OURS_FAST: _ours(photo, settings, "--quality", "fast"),
        THEIRS: _theirs(photo, model, settings.work / "theirs.png"),
    }
    costs = in_turns(sides, rounds=settings.count(7, quick=2))
    ours, theirs = (spread([cost.wall for cost in costs[name]]) for name in (OURS, THEIRS))
    ratio = theirs.median / ours.median
    return Report(
        name="cold_start",
        about=(
            "How long do you wait for the first depth image after you start rilievo? This "
            f"benchmark runs the command `rilievo predict` on one JPEG file of {SIDE}x{SIDE}, and "
            "measures the time until the depth image is written. All files have been read before, "
            "so the speed of the disk does not count.\n\n"
            "For comparison, the script `benchmarks/transformers_depth.py` does the same with the "
            "transformers library. Its network has the size of Depth Anything V2 small, with "
            "random weights, and is much larger than ours. So the table compares how long you "
            "wait for a first result, and not how fast the networks are."
        ),
        tables=(cost_table("command", costs),),
        bars=(
            Bar(
                promise=f"at most {MOST_SECONDS} s on 2 cores (aim: {AIM_SECONDS} s)",
                measured=f"{ours.median:.2f} s",
                kept=ours.median <= MOST_SECONDS,
            ),
            Bar(
                promise=f"at least {LEAST_RATIO:.0f} times faster than the transformers pipeline",
                measured=f"{ratio:.1f} times",
                kept=ratio >= LEAST_RATIO,
            ),
        ),
    )


def _ours(photo: Path, settings: Settings, *options: str) -> Callable[[], Cost]:
    output = settings.work / "ours"
    options = options or tuple(map(str, settings.model_options))
    command = rilievo_command("predict", photo, "--output", output, *options)

    def measure() -> Cost:
        shutil.rmtree(output, ignore_errors=True)
        return cost_of(command)

    return measure


def _theirs(photo: Path, model: Path, picture: Path) -> Callable[[], Cost]:
    script = ROOT / "benchmarks" / "transformers_depth.py"
    return lambda: cost_of([sys.executable, script, model, photo, picture])
