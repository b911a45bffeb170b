"""The part of pressure: machines that starve the work, and people who start it twice.

The disk is a tmpfs of a few kilobytes where one may be mounted, else a limit on the size of files;
a folder without permission is one that root too may not write, once it has laid down its powers;
the clock is one that goes backwards within the process.
"""

import os
import resource
import shutil
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lab.torture.findings import Findings, table_of
from lab.torture.jobs import JOBS, Job
from lab.torture.leavings import faults, files_of, fits, parts_of
from lab.torture.runs import start, undisturbed
from lab.torture.settings import Settings

_NOT_TRIED = "not tried"
_DOES_NOT_APPLY = "–"
_LONGEST = 300.0
"""Seconds within which work begins."""


class CannotTryError(RuntimeError):
    """This machine does not let the campaign make the trouble; the message says what it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One job with its input, what it leaves undisturbed, and a folder for this trouble."""

    job: Job
    input: Path
    wanted: Mapping[str, bytes]
    folder: Path

    @property
    def output(self) -> Path:
        """Folder of the disturbed run."""
        return self.folder / "out"

    def start(
        self,
        *,
        prefix: tuple[str, ...] = (),
        limits: Callable[[], None] | None = None,
        **environment: str,
    ) -> "subprocess.Popen[bytes]":
        """Start or resume the job."""
        return start(
            self.job,
            self.input,
            self.output,
            prefix=prefix,
            limits=limits,
            environment=environment,
        )

    def ended(self, process: "subprocess.Popen[bytes]", *, codes: tuple[int, ...]) -> list[str]:
        """Faults in how it ended and in its output."""
        said = process.communicate()[1].decode(errors="replace")
        wrong = [] if process.returncode in codes else [f"exit code {process.returncode}"]
        if "Traceback" in said:
            wrong.append("a traceback")
        return [f"{each}: {said.strip()[-700:]}" for each in wrong]

    def differs(self, *, is_whole: bool) -> list[str]:
        """Differences of its files."""
        found = files_of(self.output) if self.output.exists() else {}
        if not is_whole:
            # On the way these are others.
            replaced = self.job.replaced
            found = {name: each for name, each in found.items() if not fits(name, replaced)}
        wrong = faults(found, dict(self.wanted), self.job.volatile, is_whole=is_whole)
        left = parts_of(self.output) if is_whole else []
        return wrong + [f"{name} was left behind" for name in left]


def full_disk(case: Case) -> list[str]:
    """A disk that fills up on the way; afterwards there is room, and the work goes on."""
    room = sum(map(len, case.wanted.values())) * 6 // 10
    with _disk(case.output, room) as make_room:
        if make_room is None:
            most = max(map(len, case.wanted.values())) // 2
            wrong = case.ended(case.start(limits=_no_larger(most)), codes=(1, 2))
        else:
            wrong = case.ended(case.start(), codes=(1, 2))
        wrong += case.differs(is_whole=False)
        if make_room is not None:
            make_room()
        return wrong + case.ended(case.start(), codes=(0,)) + case.differs(is_whole=True)


def read_only(case: Case) -> list[str]:
    """A folder of results on a disk that cannot be written."""
    with _disk(case.output, 2**20) as make_room:
        if make_room is None:
            raise CannotTryError("needs root, who may mount a tmpfs")
        subprocess.run(["mount", "-o", "remount,ro", str(case.output)], check=True)
        return case.ended(case.start(), codes=(1, 2)) + case.differs(is_whole=False)


def no_permission(case: Case) -> list[str]:
    """A folder that may be read and not be written."""
    case.output.mkdir(mode=0o555)
    # Root may write anywhere, until it lays down its powers.
    prefix = () if os.getuid() else ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    wrong = case.ended(case.start(prefix=prefix), codes=(1, 2))
    return wrong + ([] if not files_of(case.output) else ["it wrote where it may not"])


def clock(case: Case) -> list[str]:
    """A clock that goes backwards by an hour at every look, then files of the year 2100."""
    (case.folder / "clock").mkdir()
    (case.folder / "clock" / "sitecustomize.py").write_text(
        textwrap.dedent(
            """\
            import itertools, time
            _real, _looks = time.time, itertools.count()
            time.time = lambda: _real() - 3600 * next(_looks)
            """
        )
    )
    back = os.pathsep.join([str(case.folder / "clock"), os.environ.get("PYTHONPATH", "")])
    wrong = case.ended(case.start(PYTHONPATH=back), codes=(0,)) + case.differs(is_whole=True)
    for path in case.output.rglob("*"):
        os.utime(path, (4_102_444_800, 4_102_444_800) if path.is_file() else (0, 0))
    return wrong + case.ended(case.start(), codes=(0,)) + case.differs(is_whole=True)


def twice(case: Case) -> list[str]:
    """The same work begun twice at the same moment, in the same folder."""
    wrong = _second_is_refused(case) if case.job.alone else []
    both = [case.start(), case.start()]
    with ThreadPoolExecutor(2) as pool:
        wrong += [
            fault
            for faults in pool.map(lambda process: case.ended(process, codes=(0, 1, 2)), both)
            for fault in faults
        ]
    wrong += case.differs(is_whole=False)
    return wrong + case.ended(case.start(), codes=(0,)) + case.differs(is_whole=True)


def _second_is_refused(case: Case) -> list[str]:
    """A second run while the first stands still in the middle: refused in a line."""
    first = case.start()
    end = time.monotonic() + _LONGEST
    while first.poll() is None and not (case.output / "log.csv").exists():
        if time.monotonic() > end:
            os.killpg(first.pid, signal.SIGKILL)
            return ["it does not begin", *case.ended(first, codes=(0,))]
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.killpg(first.pid, signal.SIGSTOP)
    try:
        wrong = case.ended(case.start(), codes=(2,))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGCONT)
    wrong += case.ended(first, codes=(0,)) + case.differs(is_whole=True)
    shutil.rmtree(case.output, ignore_errors=True)
    return wrong


def no_memory(case: Case) -> list[str]:
    """One photograph larger than the memory that is left: refused, and all others are done."""
    huge = case.input / "part0" / "huge.png"
    least = _least_memory(case)
    if least is None:
        return ["no limit of memory was found under which the small photographs are done"]
    shutil.rmtree(case.output, ignore_errors=True)
    Image.fromarray(np.zeros((9500, 9500, 3), np.uint8)).save(huge, compress_level=1)
    try:
        wrong = case.ended(case.start(limits=_memory(least)), codes=(1,))
    finally:
        huge.unlink()
    found = files_of(case.output)
    wrong += [f"{name} is missing" for name in case.wanted if name not in found]
    return wrong + case.differs(is_whole=False)


def _least_memory(case: Case) -> int | None:
    """Address space [MiB], in steps, with which the small photographs are done."""
    for most in range(600, 4000, 200):
        shutil.rmtree(case.output, ignore_errors=True)
        process = case.start(limits=_memory(most))
        process.communicate()
        if process.returncode == 0:
            return most
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A way in which a machine starves work.

    Attributes:
        faults: Function that makes the trouble for a case, and returns the faults.
        jobs: Names of the jobs to which it applies; None for all.
    """

    faults: Callable[[Case], list[str]]
    jobs: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Name in the table."""
        return self.faults.__name__.replace("_", " ")

    def applies_to(self, job: Job) -> bool:
        """Whether a job meets this trouble."""
        return self.jobs is None or job.name in self.jobs


TROUBLES = (
    Trouble(faults=twice),
    Trouble(faults=full_disk),
    Trouble(faults=read_only),
    Trouble(faults=no_permission),
    Trouble(faults=clock),
    Trouble(faults=no_memory, jobs=("predict a folder",)),
)


def names() -> list[str]:
    """Names of all jobs."""
    return [job.name for job in JOBS]


def run(settings: Settings) -> Findings:
    """Every trouble for every job: the first trouble for all jobs, then the second one."""
    asked = [job for job in JOBS if settings.asks_for(job.name)]
    cells: dict[tuple[str, str], object] = {}
    bad: list[str] = []
    untried: list[str] = []
    for trouble in TROUBLES:
        for job in asked:
            place = job.name, trouble.name
            if not trouble.applies_to(job):
                cells[place] = _DOES_NOT_APPLY
                continue
            try:
                found = _faults(job, trouble, settings)
            except CannotTryError as error:
                found = None
                untried.append(f"{job.name} (pressure: {trouble.name}, which {error})")
            else:
                if found is None:
                    untried.append(f"{job.name} (pressure: {trouble.name})")
            bad += found or []
            cells[place] = _NOT_TRIED if found is None else len(found)
    columns = [trouble.name for trouble in TROUBLES]
    rows = [(job.name, *(cells[job.name, column] for column in columns)) for job in asked]
    findings = Findings(
        table=table_of(("work", *columns), rows), bad=tuple(bad), untried=tuple(untried)
    )
    findings.show()
    return findings


def _faults(job: Job, trouble: Trouble, settings: Settings) -> list[str] | None:
    """Faults of a job in a trouble; None where there is no time for it."""
    whole = None if settings.is_over else undisturbed(job, settings)
    if whole is None or settings.is_over:
        return None
    if whole.fault:
        # Once for each job, not for each trouble.
        is_first = trouble is TROUBLES[0]
        return [f"{job.name}: undisturbed: {whole.fault}"] if is_first else None
    folder = settings.work / f"pressure-{job.name.replace(' ', '-')}" / trouble.faults.__name__
    folder.mkdir(parents=True)
    case = Case(job=job, input=whole.input, wanted=whole.files, folder=folder)
    found = [f"{job.name}, {trouble.name}: {fault}" for fault in trouble.faults(case)]
    print(f"{job.name}, {trouble.name}: {len(found)} wrong", flush=True)
    if found:
        settings.fault.set()
    return found


@contextmanager
def _disk(folder: Path, room: int) -> Iterator[Callable[[], None] | None]:
    """A disk of so many bytes at a folder, and what makes room on it; None where none may be."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={max(room, 4096)}", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        yield None
        return

    def make_room() -> None:
        subprocess.run(["mount", "-o", "remount,size=1g", str(folder)], check=True)

    try:
        yield make_room
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _no_larger(most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def _memory(mebibytes: int) -> Callable[[], None]:
    most = mebibytes * 2**20
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
