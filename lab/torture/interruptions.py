"""Ctrl-C at random moments of every command: ``python -m lab.torture.interruptions [--tries 300]``.

One to three presses within a tenth of a second, to all processes of the command, as a terminal
sends them. A command ends with 130 and one line that says so, or with what it ends with
undisturbed if it was over before; nothing of Python's own is printed.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lab.torture.jobs import JOBS
from lab.torture.reader import write_text
from lab.torture.readers.pictures import colours, save
from rilievo.cli.parsing import parse
from rilievo.options.schema import option

_STARTED = (
    "import sys; from rilievo.cli import run; print('begun', flush=True, file=sys.stderr); "
    "sys.exit(run())"
)
"""The script ``rilievo``; it says when it is ours, as Python's own start cannot be interrupted."""
_STOPPED = 130
_PATIENCE = 120.0
_LONGEST = 20.0
"""Seconds after which the undisturbed run of a command is not waited for any more."""
_OF_PYTHON = ("Traceback", "Exception ignored", "Fatal Python error", "KeyboardInterrupt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to be interrupted.

    Attributes:
        name: Name in the table.
        prepare: Function that writes its input into a folder.
        words: Function from input and output folder to its arguments.
        is_silent: Whether it says nothing when it is stopped at work, as its client listens.
    """

    name: str
    prepare: Callable[[Path], None]
    words: Callable[[Path, Path], Sequence[str]]
    is_silent: bool = False


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the campaign."""

    tries: int = 300
    """Number of interruptions, shared among the commands."""
    minutes: float = 60.0
    """Longest duration."""
    seed: int = 1
    """Seed of moments."""
    only: Annotated[tuple[str, ...], option(metavar="WORD")] = ()
    """Words of which commands need at least one in their name."""


def _photo(folder: Path) -> None:
    save(folder / "photo.jpg", colours(0, (120, 160)), quality=90)
    for seed in range(6):
        save(folder / "photos" / f"{seed}.jpg", colours(seed, (120, 160)), quality=90)


def _clip(folder: Path) -> None:
    for seed in range(6):
        save(folder / f"{seed}.png", colours(seed, (96, 128)))
    write_text(folder / "rilievo.yaml", "image: '{id}.png'\n")


_SMALL = ("-m", "rilievo/small")
_COMMANDS = (
    Command(
        name="predict --workers 2",
        prepare=_photo,
        words=lambda i, o: ("predict", str(i / "photos"), "-o", str(o), *_SMALL, "--workers", "2"),
    ),
    Command(
        name="measure",
        prepare=_photo,
        words=lambda i, o: (
            *("measure", str(i / "photo.jpg"), "10,20", "100,90", *_SMALL),
            *("--known-length", "10,20,100,20,1.5"),
        ),
    ),
    Command(name="models", prepare=_photo, words=lambda i, o: ("models",)),
    Command(name="datasets", prepare=_photo, words=lambda i, o: ("datasets",)),
    Command(name="benchmarks", prepare=_photo, words=lambda i, o: ("benchmarks",)),
    Command(name="page", prepare=_photo, words=lambda i, o: ("page", "-o", str(o / "site"))),
    Command(name="trajectory", prepare=_clip, words=lambda i, o: ("trajectory", str(i))),
    Command(name="serve", prepare=_photo, words=lambda i, o: ("serve", "--port", "0", *_SMALL)),
    Command(name="app", prepare=_photo, words=lambda i, o: ("app", "--port", "0", *_SMALL)),
    Command(
        name="mcp",
        prepare=_photo,
        words=lambda i, o: ("mcp", "--folder", str(i)),
        is_silent=True,
    ),
)


def all_commands() -> list[Command]:
    """Jobs of the campaign that are commands of rilievo, and what is no long work."""
    jobs = [
        Command(name=job.name, prepare=job.prepare, words=_words_of(job.command))
        for job in JOBS
        if "rilievo" in job.command(Path("in"), Path("out"))[:3]
    ]
    return [*jobs, *_COMMANDS]


def _words_of(command: Callable[[Path, Path], Sequence[str]]) -> Callable[..., Sequence[str]]:
    return lambda input, output: command(input, output)[3:]


def start(words: Sequence[str], folder: Path) -> "subprocess.Popen[str]":
    """Start a command in a group of its own, and wait until it is rilievo's."""
    process = subprocess.Popen(
        [sys.executable, "-c", _STARTED, *words],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None, "it is a pipe"
    process.stderr.readline()
    return process


def undisturbed(command: Command, input: Path, folder: Path) -> tuple[float, int | None]:
    """Seconds of an undisturbed run, and its exit code; None where it does not end by itself."""
    process = start(command.words(input, folder / "undisturbed"), folder)
    begun = time.monotonic()
    try:
        process.communicate(timeout=_LONGEST)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return _LONGEST, None
    return time.monotonic() - begun, process.returncode


def fault(
    command: Command,
    input: Path,
    output: Path,
    usual: tuple[float, int | None],
    chance: random.Random,
) -> str | None:
    """Interrupt a run; what is wrong with its end.

    Args:
        command: The command.
        input: Folder of its input.
        output: Folder of its output.
        usual: Seconds and exit code of an undisturbed run.
        chance: Generator of the moment.
    """
    seconds = chance.uniform(0, usual[0])
    process = start(command.words(input, output), output.parent)
    time.sleep(seconds)
    for _ in range(chance.choice((1, 1, 2, 3))):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(chance.uniform(0, 0.05))
    try:
        _, said = process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return f"hangs: {process.communicate()[1][-600:]}"
    told = [line for line in said.splitlines() if "stopped" in line]
    if any(word in said for word in _OF_PYTHON):
        return f"after {seconds:.2f} s exit {process.returncode}: {said[-600:]}"
    if process.returncode not in (_STOPPED, 0, usual[1]):
        return f"after {seconds:.2f} s exit {process.returncode}: {said[-300:]}"
    expected = (0, 1) if command.is_silent else (1,)
    if process.returncode == _STOPPED and len(told) not in expected:
        return f"after {seconds:.2f} s {len(told)} lines: {said[-300:]}"
    return None


def main() -> int:
    """Interrupt each command in turn; the exit code is 1 if an end was bad."""
    given = parse(
        Arguments,
        sys.argv[1:],
        prog="python -m lab.torture.interruptions",
        description="Press Ctrl-C at random moments of every command.",
        examples=("python -m lab.torture.interruptions --tries 60 --only predict",),
    )
    chance, end = random.Random(given.seed), time.monotonic() + 60 * given.minutes
    commands = [
        command
        for command in all_commands()
        if not given.only or any(word in command.name for word in given.only)
    ]
    tries: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="torture-") as work:
        usual: dict[str, tuple[float, int | None]] = {}
        for index in range(given.tries):
            command = commands[index % len(commands)]
            folder = Path(work) / command.name.replace(" ", "-")
            if time.monotonic() > end:
                break
            if command.name not in usual:
                folder.mkdir()
                command.prepare(folder / "in")
                usual[command.name] = undisturbed(command, folder / "in", folder)
            output = folder / f"out{index}"
            tries[command.name] += 1
            if found := fault(command, folder / "in", output, usual[command.name], chance):
                bad[command.name] += 1
                print(f"BAD {command.name}: {found}", flush=True)
    print("| command | interruptions | bad ends |\n|---|---:|---:|")
    for name, count in tries.items():
        print(f"| {name} | {count} | {bad[name]} |")
    print(f"| all | {tries.total()} | {bad.total()} |")
    return 1 if bad or not tries else 0


if __name__ == "__main__":
    sys.exit(main())
