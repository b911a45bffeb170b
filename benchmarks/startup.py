"""Start-up time before any work, and a check that no framework is loaded."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import answer_of, cost_of, in_turns, rilievo_command, spread
from benchmarks.photographs import make_photographs
from benchmarks.report import Bar, Report, cost_table
from benchmarks.settings import Settings

MOST_SECONDS = 0.3
HELP = "rilievo --help"


def run(settings: Settings) -> Report:
    [photo] = make_photographs(settings.folder("photo"), 1)
    commands: Mapping[str, Sequence[str | Path]] = {
        HELP: rilievo_command("--help"),
        "rilievo models": rilievo_command("models"),
        "rilievo predict --help": rilievo_command("predict", "--help"),
        "import rilievo": [sys.executable, "-c", "import rilievo"],
        "import rilievo; rilievo.predict": [sys.executable, "-c", "from rilievo import predict"],
        "python alone": [sys.executable, "-c", "pass"],
    }
    costs = in_turns(
        {name: lambda command=command: cost_of(command) for name, command in commands.items()},
        rounds=settings.count(15, quick=2),
    )
    loaded = _frameworks_loaded(photo, settings)
    code = {f"`{name}`": runs for name, runs in costs.items()}
    walls = {name: spread([cost.wall for cost in each]) for name, each in costs.items()}
    return Report(
        name="startup",
        about=(
            "Commands such as `rilievo --help` do not predict anything, so they should answer at "
            "once. This benchmark measures how long several such commands take, from the command "
            "to the end of the process. For comparison, the last row of the table starts Python "
            "without rilievo."
        ),
        tables=(cost_table("command", code, peak=False),),
        bars=(
            Bar(
                promise=f"`{HELP}` takes at most {MOST_SECONDS} s",
                measured=f"{walls[HELP].median:.2f} s",
                kept=walls[HELP].median <= MOST_SECONDS,
            ),
            Bar(
                promise="help, models, import and predict do not load torch or a similar library",
                measured=", ".join(loaded) or "none",
                kept=not loaded,
            ),
        ),
    )


def _frameworks_loaded(photo: Path, settings: Settings) -> list[str]:
    output = settings.work / "output"
    predict = ["predict", str(photo), "-o", str(output), *map(str, settings.model_options)]
    found: set[str] = set()
    for arguments in (["--help"], ["models"], predict):
        found |= set(answer_of("imports", *arguments))
    return sorted(found)
