"""Run the campaign: ``python -m lab.torture [PART...]``; see ``--help``."""

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated

from lab.torture.settings import Settings
from rilievo.cli.parsing import parse
from rilievo.errors import OptionError
from rilievo.options.schema import option

# A new part is one file with ``run(settings) -> bool`` and one line here.
PARTS: Mapping[str, str] = {
    "inputs": "broken, odd and hostile files for every reader",
    "names": "code named in every field of every file: none may be run",
    "kills": "kill -9 at random moments of long work, then resume",
    "cuts": "power cuts at random moments of long work, then resume",
    "pressure": "full disks, no permission, no memory, clocks that jump, two runs at once",
    "fuzz": "coverage-guided fuzzing of readers with atheris; runs only when it is named",
}

_SHARES: Mapping[str, float] = {
    "inputs": 4,
    "names": 2,
    "kills": 2,
    "cuts": 3,
    "pressure": 2,
    "fuzz": 4,
}
"""Shares of the minutes; what one part leaves goes to those after it."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Parts to run, and options."""

    parts: Annotated[tuple[str, ...], option(positional=True)] = ()
    """Parts to run; all if none is named."""
    minutes: float = 14.0
    """Longest duration of the campaign, shared among its parts; what was left out is reported."""
    seed: int = 1
    """Seed of inputs and moments."""
    inputs: int = 24_000
    """Number of broken files, shared among the readers."""
    kills: int = 100
    """Number of kills."""
    cuts: int = 200
    """Number of power cuts."""
    workers: int = 2
    """Number of processes that read."""
    only: tuple[str, ...] = ()
    """Words of which readers or jobs need at least one in their name."""
    output: Annotated[Path, option(aliases=("-o",), metavar="FOLDER")] = Path("torture-runs")
    """Folder for the journal and for failures; the same seed continues where it stopped."""
    plant: str = ""
    """Mended defect that is brought back, to see that it is found: scans (of JPEG files)."""
    again: str | None = None
    """Single case to repeat, as READER#CASE, with its output."""


def main() -> int:
    """Run the parts; the exit code is 1 if anything was found."""
    try:
        given = parse(
            Arguments,
            sys.argv[1:],
            prog="python -m lab.torture",
            description="Break files, kill runs and cut power; what is found is reported.",
            examples=[f"python -m lab.torture {name}  {about}" for name, about in PARTS.items()],
        )
    except OptionError as error:
        print(error, file=sys.stderr)
        return 2
    unknown = [part for part in given.parts if part not in PARTS]
    if unknown:
        print(f"no part {unknown[0]!r}\n{_help()}", file=sys.stderr)
        return 2
    os.environ["TORTURE_PLANT"] = given.plant
    with tempfile.TemporaryDirectory(prefix="torture-") as work:
        settings = Settings(
            end=time.monotonic() + 60 * given.minutes,
            seed=given.seed,
            inputs=given.inputs,
            kills=given.kills,
            cuts=given.cuts,
            workers=given.workers,
            only=given.only,
            output=given.output.absolute(),
            work=Path(work),
        )
        settings.output.mkdir(parents=True, exist_ok=True)
        if given.again is not None:
            return import_module("lab.torture.inputs").run_again(given.again, settings)
        parts = given.parts or tuple(part for part in PARTS if part != "fuzz")
        good = [
            import_module(f"lab.torture.{part}").run(share_of(settings, parts[index:]))
            for index, part in enumerate(parts)
        ]
    return 0 if all(good) else 1


def share_of(settings: Settings, parts: Sequence[str]) -> Settings:
    """Settings of the first of the parts that are left, with its share of the time."""
    left = max(0.0, settings.end - time.monotonic())
    share = _SHARES[parts[0]] / sum(_SHARES[part] for part in parts)
    return replace(settings, end=time.monotonic() + left * share)


def _help() -> str:
    return "\n\n".join(f"{name}: {about}" for name, about in PARTS.items())


if __name__ == "__main__":
    sys.exit(main())
