"""The part of interruptions: Ctrl-C at random moments of every command.

One to three presses within a tenth of a second, to all processes of the command, as a terminal
sends them. A command ends with 130 and one line that says so, or with what it ends with undisturbed
if it was over before; nothing of Python's own is printed.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lab.torture.findings import Findings, table_of
from lab.torture.jobs import JOBS, RILIEVO
from lab.torture.plants import planted
from lab.torture.reader import write_text
from lab.torture.readers.pictures import colours, save
from lab.torture.rounds import run_rounds, shared_tries
from lab.torture.runs import ROOT
from lab.torture.settings import Settings

_OVER = re.compile(r"^over at (\S+)\n", re.MULTILINE)
_STOPPED = 130
_PATIENCE = 120.0
_LATE = 2.0
"""Seconds that may go by between the last press that can still stop a command and its end."""
_OF_PYTHON = ("Traceback", "Exception ignored", "Fatal Python error", "KeyboardInterrupt")
_MOST_FAULTS = 10


class End(StrEnum):
    """Ends of an interrupted run; all but the first two are faults."""

    STOPPED = "stopped"
    OVER = "over before"
    LOST = "lost"
    HUNG = "hung"
    WORDS = "other words"
    TRACEBACK = "tracebacks"
    CODE = "other exit codes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to be interrupted.

    Attributes:
        name: Name in the table.
        prepare: Function that writes its input into a folder.
        words: Function from input and output folder to its arguments.
        hello: First line that a server is sent, which never ends by itself; "" where it speaks
            first, None for all else.
        is_silent: Whether it says nothing when it is stopped at work, as its client listens.
    """

    name: str
    prepare: Callable[[Path], None]
    words: Callable[[Path, Path], Sequence[str]]
    hello: str | None = None
    is_silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that is over.

    Attributes:
        code: Exit code; None if it had to be killed.
        text: Standard error.
        seconds: Time from its start to its end.
    """

    code: int | None
    text: str
    seconds: float


@dataclass(slots=True, kw_only=True)
class Tally:
    """Results of one command."""

    ends: Counter[End] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def _photo(folder: Path) -> None:
    save(folder / "photo.jpg", colours(0, (120, 160)), quality=90)
    for seed in range(6):
        save(folder / "photos" / f"{seed}.jpg", colours(seed, (120, 160)), quality=90)


def _clip(folder: Path) -> None:
    for seed in range(6):
        save(folder / f"{seed}.png", colours(seed, (96, 128)))
    write_text(folder / "rilievo.yaml", "image: '{id}.png'\n")


_HELLO = (
    '{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": '
    '"2025-06-18", "capabilities": {}, "clientInfo": {"name": "torture", "version": "1"}}}\n'
)
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
    Command(
        name="serve",
        prepare=_photo,
        words=lambda i, o: ("serve", "--port", "0", *_SMALL),
        hello="",
    ),
    Command(
        name="app",
        prepare=_photo,
        words=lambda i, o: ("app", "--port", "0", *_SMALL),
        hello="",
    ),
    Command(
        name="mcp",
        prepare=_photo,
        words=lambda i, o: ("mcp", "--folder", str(i)),
        hello=_HELLO,
        is_silent=True,
    ),
)


def all_commands() -> list[Command]:
    """Jobs of the campaign that are commands of rilievo, and what is no long work."""
    jobs = [
        Command(name=job.name, prepare=job.prepare, words=_words_of(job.command))
        for job in JOBS
        if tuple(job.command(Path("in"), Path("out"))[: len(RILIEVO)]) == RILIEVO
    ]
    return [*jobs, *_COMMANDS]


def _words_of(command: Callable[[Path, Path], Sequence[str]]) -> Callable[..., Sequence[str]]:
    return lambda input, output: command(input, output)[len(RILIEVO) :]


def names() -> list[str]:
    """Names of all commands."""
    return [command.name for command in all_commands()]


def run(settings: Settings) -> Findings:
    """Interrupt every command, in rounds."""
    commands = [command for command in all_commands() if settings.asks_for(command.name)]
    tries = shared_tries(settings.interruptions, [1.0] * len(commands))
    interrupted = [
        _Interrupted(command, wanted, settings)
        for command, wanted in zip(commands, tries, strict=True)
    ]
    run_rounds(interrupted, settings)
    tallies = {each.command.name: each.tally for each in interrupted}
    faults = [f"{name}: {fault}" for name, tally in tallies.items() for fault in tally.faults]
    untried = [
        f"{name} (interruptions)"
        for name, tally in tallies.items()
        if not tally.ends and not tally.faults
    ]
    findings = Findings(table=_table_of_ends(tallies), bad=tuple(faults), untried=tuple(untried))
    findings.show()
    return findings


def _table_of_ends(tallies: Mapping[str, Tally]) -> str:
    """Table of how often each command ended in each way, with the sums below."""
    rows = [
        (name, tally.ends.total(), *(tally.ends[end] for end in End))
        for name, tally in tallies.items()
    ]
    counts_by_end = [*zip(*rows, strict=True)][1:]
    sums = ("**all**", *map(sum, counts_by_end))
    return table_of(("command", "interruptions", *End), [*rows, sums])


class _Interrupted:
    """A command that is interrupted again and again."""

    def __init__(self, command: Command, tries: int, settings: Settings) -> None:
        self.command, self.tally = command, Tally()
        self._tries, self._settings = tries, settings
        self._folder = settings.work / "interruptions" / command.name.replace(" ", "-")
        self._usual: Run | None = None

    @property
    def wants_more(self) -> bool:
        """Whether it is to be interrupted again."""
        is_broken = self._usual is not None and bool(self._usual.code)
        is_cancelled = is_broken or len(self.tally.faults) >= _MOST_FAULTS
        return self.tally.ends.total() < self._tries and not is_cancelled

    def attempt(self) -> None:
        """Interrupt it once, at a moment that only depends on the seed, the command and the try."""
        usual = self._undisturbed()
        if usual is None or self._settings.is_over:
            return
        number = self.tally.ends.total()
        chance = random.Random(f"{self._settings.seed}/{self.command.name}/{number}")
        faults = len(self.tally.faults)
        _interrupt(self.command, self._folder, f"out{number}", usual, chance, self.tally)
        if len(self.tally.faults) > faults:
            self._settings.fault.set()

    def _undisturbed(self) -> Run | None:
        """The run that nobody stops; None where there is no time or it fails, which is a fault."""
        if self._usual is None:
            self.command.prepare(self._folder / "in")
            self._usual = _undisturbed(self.command, self._folder, self._settings.left)
            if self._usual is not None and self._usual.code:
                text = self._usual.text[-600:]
                self.tally.faults.append(f"undisturbed: ended with {self._usual.code}: {text}")
                self._settings.fault.set()
        return None if self._usual is None or self._usual.code else self._usual


def _interrupt(
    command: Command,
    folder: Path,
    name: str,
    usual: Run,
    chance: random.Random,
    tally: Tally,
) -> None:
    """Interrupt a run, and count its end."""
    moment = chance.uniform(0, usual.seconds)
    process = _start(command, folder, name)
    begun = time.monotonic()
    time.sleep(moment)
    pressed = time.monotonic()
    for _ in range(chance.choice((1, 1, 2, 3))):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(chance.uniform(0, 0.05))
    done = _ended(process, begun, _PATIENCE)
    end = end_of(done, pressed - begun, usual.code, is_silent=command.is_silent)
    tally.ends[end] += 1
    if end not in (End.STOPPED, End.OVER):
        text = f"{end}, exit code {done.code} after {moment:.2f} s: {done.text.strip()[-3000:]}"
        tally.faults.append(text)


def end_of(run: Run, pressed: float, usual: int | None, *, is_silent: bool = False) -> End:
    """Kind of the end of an interrupted run.

    Args:
        run: The run.
        pressed: Seconds from its start to the first press.
        usual: Exit code of an undisturbed run; None where it does not end by itself.
        is_silent: Whether it may end without a word.
    """
    if run.code is None:
        return End.HUNG
    if any(word in run.text for word in _OF_PYTHON):
        return End.TRACEBACK
    if run.code == _STOPPED:
        lines = sum("stopped" in line for line in run.text.splitlines())
        return End.STOPPED if lines == 1 or (is_silent and not lines) else End.WORDS
    if run.code == usual:
        return End.LOST if run.seconds > pressed + _LATE else End.OVER
    return End.CODE


def _undisturbed(command: Command, folder: Path, longest: float) -> Run | None:
    """A run that nobody interrupts, of a server until it answers; None where the time is over."""
    process = _start(command, folder, "undisturbed")
    begun = time.monotonic()
    if command.hello is None:
        done = _ended(process, begun, longest)
        return None if done.code is None else done
    assert process.stdout is not None, "it is a pipe"
    line = process.stdout.readline()
    seconds = time.monotonic() - begun
    os.killpg(process.pid, signal.SIGKILL)
    text = _ended(process, begun, _PATIENCE).text
    # A moment more, in which it waits for requests.
    return Run(code=None if line else 1, text=text, seconds=1.5 * seconds)


def _start(command: Command, folder: Path, name: str) -> "subprocess.Popen[str]":
    """Start a command in a group of its own, and wait until it listens."""
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    words = command.words(folder / "in", folder / name)
    process = subprocess.Popen(
        planted((sys.executable, "-m", "lab.torture.listening", *words)),
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        env={
            **os.environ,
            "PYTHONPATH": paths,
            "RILIEVO_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
        },
    )
    assert process.stderr is not None, "it is a pipe"
    assert process.stdin is not None, "it is a pipe"
    process.stderr.readline()
    if command.hello:
        process.stdin.write(command.hello)
        process.stdin.flush()
    return process


def _ended(process: "subprocess.Popen[str]", begun: float, longest: float) -> Run:
    """Wait for the end of a run, whose input stays open until then."""
    input, process.stdin = process.stdin, None
    try:
        _, text = process.communicate(timeout=longest)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        _, text = process.communicate()
        return Run(code=None, text=text, seconds=time.monotonic() - begun)
    finally:
        if input is not None:
            input.close()
    match = _OVER.search(text)
    over = time.monotonic() if match is None else float(match[1])
    return Run(code=process.returncode, text=_OVER.sub("", text), seconds=over - begun)
