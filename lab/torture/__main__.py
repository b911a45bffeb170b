"""Run the campaign: ``python -m lab.torture [PART...]``; see ``--help``."""

import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated

from lab.torture.findings import Findings
from lab.torture.page import changed_since, head_commit, is_current, with_age, with_findings
from lab.torture.plants import MINUTES, PLANTS, VARIABLE
from lab.torture.settings import Settings
from rilievo.cli.parsing import parse
from rilievo.errors import OptionError
from rilievo.schema.fields import option

# A new part is one file with ``names()`` of what it tries, ``run(settings) -> Findings``, and one
# line here.
PARTS: Mapping[str, str] = {
    "inputs": "broken, odd and hostile files for every reader",
    "names": "code named in every field of every file: none may be run",
    "kills": "kill -9 at random moments of long work, then resume",
    "interruptions": "Ctrl-C at random moments of every command",
    "cuts": "power cuts at random moments of long work, then resume",
    "pressure": "full disks, no permission, no memory, clocks that jump, two runs at once",
    "fuzz": "coverage-guided fuzzing of readers with atheris; runs only when it is named",
}

_SHARES: Mapping[str, float] = {
    "inputs": 4,
    "names": 4,
    "kills": 2,
    "interruptions": 8,
    "cuts": 3,
    "pressure": 2,
    "fuzz": 4,
}
"""Shares of the minutes; what one part leaves goes to those after it."""
_MINUTES = 30.0
_SHOWN = 3
"""Files that a message names."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Parts to run, and options."""

    parts: Annotated[tuple[str, ...], option(positional=True)] = ()
    """Parts to run; all if none is named."""
    minutes: float | None = None
    """Longest duration of the campaign, shared among its parts; what was left out is reported. By
    default 30, with --plant 5."""
    seed: int = 1
    """Seed of inputs and moments."""
    inputs: int = 24_000
    """Number of broken files, shared among the readers."""
    kills: int = 100
    """Number of kills."""
    cuts: int = 200
    """Number of power cuts."""
    interruptions: int = 300
    """Number of interruptions, shared among the commands."""
    workers: int = 2
    """Number of processes that read."""
    only: tuple[str, ...] = ()
    """Words of which readers or jobs need at least one in their name."""
    output: Annotated[Path, option(aliases=("-o",), metavar="FOLDER")] = Path("torture-runs")
    """Folder for the journal and for failures; the same seed continues where it stopped."""
    plant: str = ""
    """Mended defect that is brought back, to see that it is found: scans of JPEG files that are not
    counted; channels of EXR files that are all unpacked; lengths in ONNX files that are believed; a
    lock, or an fsync, that is left out; errors made of Ctrl-C that are like others. The part that
    finds it runs, until it does."""
    page: Annotated[Path | None, option(metavar="FILE.md")] = None
    """Page whose tables are written anew, such as docs/reliability.md. Each names the commit, so
    the working tree is that of a commit, but for generated files and pages."""
    again: str | None = None
    """Single case to repeat, as READER#CASE, with its output."""


def main() -> int:
    """Run the parts; the exit code is 1 if anything was found, or had no try."""
    try:
        given = parse(
            Arguments,
            sys.argv[1:],
            prog="python -m lab.torture",
            description="Break files, kill runs and cut power; what is found is reported.",
            examples=[f"python -m lab.torture {name}  {about}" for name, about in PARTS.items()],
        )
        _check(given)
    except OptionError as error:
        print(error, file=sys.stderr)
        return 2
    os.environ[VARIABLE] = given.plant
    begun, defect = time.monotonic(), PLANTS.get(given.plant)
    minutes = given.minutes or (_MINUTES if defect is None else MINUTES)
    output = given.output.absolute()
    if defect is not None:
        output /= f"plant-{given.plant}"
        shutil.rmtree(output, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="torture-") as work:
        settings = Settings(
            end=begun + 60 * minutes,
            seed=given.seed,
            inputs=given.inputs,
            kills=given.kills,
            cuts=given.cuts,
            interruptions=given.interruptions,
            workers=given.workers,
            only=given.only or (() if defect is None else defect.only),
            output=output,
            work=Path(work),
            stops_at_first=defect is not None,
        )
        settings.output.mkdir(parents=True, exist_ok=True)
        if given.again is not None:
            return import_module("lab.torture.inputs").run_again(given.again, settings)
        bad, untried = _run_parts(given, _asked_parts(given), settings)
    if defect is not None:
        # Its end is the first fault, and what was not tried by then need not be.
        untried = []
        ending = f"found after {time.monotonic() - begun:.0f} s" if bad else "not found"
        print(f"planted {given.plant} ({defect.about}): {ending}")
    return 1 if bad or untried else 0


def _asked_parts(given: Arguments) -> Sequence[str]:
    """Parts that are named, or usual, or find the planted defect."""
    if given.parts:
        return given.parts
    if given.plant:
        return [PLANTS[given.plant].part]
    return [part for part in PARTS if part != "fuzz"]


def _check(given: Arguments) -> None:
    """Refuse names that are not known, and tables that would not be true.

    Raises:
        OptionError: If a part, a defect or a word of a name is not known, or tables of a planted
            defect or of no commit are to be written.
    """
    for part in given.parts:
        if part not in PARTS:
            raise OptionError(f"no part {part!r}\n{_help()}")
    if given.plant and given.plant not in PLANTS:
        raise OptionError(f"--plant {given.plant}: no such defect; known: {', '.join(PLANTS)}")
    if given.plant and given.page:
        raise OptionError("--page is not written with a planted defect")
    parts = _asked_parts(given)
    for word in given.only:
        if not any(word in name for part in parts for name in _names(part)):
            raise OptionError(f"--only {word}: no name in {', '.join(parts)} has this word")
    if given.page is not None:
        _check_tree()


def _names(part: str) -> Sequence[str]:
    """Names of all that a part tries."""
    return import_module(f"lab.torture.{part}").names()


def _check_tree() -> None:
    """Refuse a tree that no commit has.

    Raises:
        OptionError: If git does not know the tree, or files differ from the last commit.
    """
    changed = changed_since("HEAD")
    if changed is None:
        raise OptionError("--page names the commit that is measured: it needs a checkout and git")
    if changed:
        shown = ", ".join(changed[:_SHOWN])
        more = len(changed) - _SHOWN
        raise OptionError(
            f"--page names the commit that is measured, and {shown}"
            f"{f' and {more} more files' if more > 0 else ''} differ from it: commit them first"
        )


def _run_parts(
    given: Arguments, parts: Sequence[str], settings: Settings
) -> tuple[list[str], list[str]]:
    """Run the parts, and write the table of each as soon as it is there.

    Returns:
        Parts in which something was at fault, and parts in which something had no try.
    """
    bad, untried = [], []
    # Parts may change the working folder.
    page = None if given.page is None else given.page.absolute()
    commit = "" if page is None else head_commit()
    for index, part in enumerate(parts):
        if not any(map(settings.asks_for, _names(part))):
            print(f"{part}: no name has a word of --only, so the part is left out", flush=True)
            continue
        run: Callable[[Settings], Findings] = import_module(f"lab.torture.{part}").run
        findings = run(share_of(settings, parts[index:]))
        bad += [part] if findings.bad else []
        untried += [part] if findings.untried else []
        if page is not None:
            text = page.read_text(encoding="utf-8")
            text = with_findings(text, part, findings, command=_command(given), commit=commit)
            page.write_text(with_age(text, is_current), encoding="utf-8")
    return bad, untried


def _command(given: Arguments) -> str:
    """The command that measures a part alike."""
    words = [*given.parts, "--minutes", f"{given.minutes or _MINUTES:g}", "--seed", str(given.seed)]
    words += ["--workers", str(given.workers)]
    words += ["--only", *map(shlex.quote, given.only)] if given.only else []
    return f"python -m lab.torture {' '.join(words)}"


def share_of(settings: Settings, parts: Sequence[str]) -> Settings:
    """Settings of the first of the parts that are left, with its share of the time."""
    left = max(0.0, settings.end - time.monotonic())
    share = _SHARES[parts[0]] / sum(_SHARES[part] for part in parts)
    return replace(settings, end=time.monotonic() + left * share)


def _help() -> str:
    return "\n\n".join(f"{name}: {about}" for name, about in PARTS.items())


if __name__ == "__main__":
    sys.exit(main())
