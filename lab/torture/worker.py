"""One process of the campaign: reads case after case and says how each ended.

The parent writes lines ``READER FIRST LAST`` and reads one line of JSON before and after each case;
when the process dies or is silent for too long, the parent knows at which case. What libraries
print goes to a file. Memory is limited by ``RLIMIT_AS``, from where it stands after a first clean
reading.
"""

import json
import os
import resource
import sys
import traceback
import warnings
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import TextIO

from lab.torture.costs import cost_of, cpu_seconds, pixels_of
from lab.torture.forms import mutate
from lab.torture.places import PLACES
from lab.torture.plants import VARIABLE, plant
from lab.torture.reader import Reader
from lab.torture.readers import all_readers
from rilievo.errors import RilievoError

FINE, REFUSED, BAD = "fine", "refused", "BAD"
DEAR = "costs more than its pixels and bytes allow"
LONGEST = 1000
"""Characters of one refusal: some list the names that are known."""
_SECRET = b"the canary: nobody may read or change this"
_PLACED = 0.04


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of one case.

    Attributes:
        case: Number of the case.
        verdict: ``fine``, ``refused`` or ``BAD``.
        said: Text of the refusal, or of the fault.
        where: Last line of ours in an exception's traceback, which tells bugs apart.
        trace: Traceback of an exception.
        cpu: CPU seconds of the reading; of two, where the first was dear, those of the cheaper.
        pixels: Pixels that it might decode.
        bytes: Bytes of its files.
    """

    case: int
    verdict: str
    said: str = ""
    where: str = ""
    trace: str = ""
    cpu: float = 0.0
    pixels: int = 0
    bytes: int = 0


class Sandbox:
    """The folders of one process: the case's own, a working folder, and what lies outside."""

    def __init__(self, base: Path) -> None:
        self.base, self.case = base, base / "c" / "in"
        self.good: dict[str, bytes] = {}
        self.marker = Path(os.environ["TORTURE_MARKER"])
        (base / "c" / "outside").mkdir(parents=True, exist_ok=True)
        (base / "cwd").mkdir(exist_ok=True)
        os.chdir(base / "cwd")
        self.canary = base / "c" / "outside" / "canary"
        self.canary.write_bytes(_SECRET)

    def begin(self, reader: Reader) -> None:
        """Write the good files of a reader once, and keep them in memory."""
        self._empty()
        reader.write(self.case)
        found = sorted(path for path in self.case.rglob("*") if path.is_file())
        self.good = {str(path.relative_to(self.case)): path.read_bytes() for path in found}

    def put(self, changed: dict[str, bytes]) -> None:
        """The good files anew, with some of them changed."""
        self._empty()
        for name, content in {**self.good, **changed}.items():
            path = self.case / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def trespass(self) -> str | None:
        """Files that were run or written where nothing may be; None if there are none."""
        if self.marker.exists():
            self.marker.unlink()
            return "code inside of the file was run"
        if self.canary.read_bytes() != _SECRET:
            self.canary.write_bytes(_SECRET)
            return "a file outside was changed"
        strays = [*(self.base / "cwd").iterdir()]
        strays += [each for each in (self.base / "c").iterdir() if each.name not in _OURS]
        strays += [each for each in self.canary.parent.iterdir() if each != self.canary]
        for each in strays:
            _remove(each)
        return f"files were written outside: {strays[0].name}" if strays else None

    def _empty(self) -> None:
        _remove(self.case)
        self.case.mkdir(parents=True)


_OURS = ("in", "outside")


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file() or (path.exists() and not path.is_dir()):
        path.unlink()
    elif path.is_dir():
        for each in path.iterdir():
            _remove(each)
        path.rmdir()


def broken_files(reader: Reader, good: dict[str, bytes], seed: int, case: int) -> dict[str, bytes]:
    """The files of a case: the same for the same seed, reader and number, on every machine."""
    chance = Random(f"{seed}/{reader.name}/{case}")
    pattern = chance.choice(sorted(reader.victims))
    victim = chance.choice([name for name in sorted(good) if fnmatchcase(name, pattern)])
    return {victim: mutate(reader.victims[pattern], good[victim], chance)}


def run_case(reader: Reader, sandbox: Sandbox, seed: int, case: int) -> Outcome:
    """Prepare one case, read it, and judge."""
    chance = Random(f"{seed}/{reader.name}/{case}/place")
    if reader.places and chance.random() < _PLACED:
        sandbox.put({})
        [victim] = broken_files(reader, sandbox.good, seed, case)
        chance.choice(PLACES)(sandbox.case / victim, sandbox.canary)
        return judged(reader, sandbox, case)
    changed = broken_files(reader, sandbox.good, seed, case)
    return weighed(reader, sandbox, changed, case)


def weighed(reader: Reader, sandbox: Sandbox, changed: dict[str, bytes], case: int) -> Outcome:
    """Judge a case by its answer and by its CPU time.

    What costs too much is read again: the first reading of a kind may import modules.
    """
    pixels = pixels_of(changed)
    count = sum(map(len, {**sandbox.good, **changed}.values()))
    allowed = cost_of(reader.name).allowed(pixels, count)
    outcome, cpu = _timed(reader, sandbox, changed, case)
    if cpu > allowed and outcome.verdict != BAD:
        outcome, again = _timed(reader, sandbox, changed, case)
        cpu = min(cpu, again)
    outcome = replace(outcome, cpu=round(cpu, 4), pixels=pixels, bytes=count)
    if cpu <= allowed or outcome.verdict == BAD:
        return outcome
    said = f"costs {cpu:.2f} CPU-s, allowed {allowed:.2f}: {pixels} pixels, {count} bytes"
    return replace(outcome, verdict=BAD, said=said, where=DEAR)


def _timed(
    reader: Reader, sandbox: Sandbox, changed: dict[str, bytes], case: int
) -> tuple[Outcome, float]:
    sandbox.put(changed)
    before = cpu_seconds()
    outcome = judged(reader, sandbox, case)
    return outcome, cpu_seconds() - before


def judged(reader: Reader, sandbox: Sandbox, case: int) -> Outcome:
    """Read what lies in the sandbox; whatever happens becomes an outcome."""
    outcome = _read(reader, sandbox.case, case)
    trespass = sandbox.trespass()
    if trespass is not None:
        return Outcome(case=case, verdict=BAD, said=trespass, where=trespass)
    return outcome


def _read(reader: Reader, folder: Path, case: int) -> Outcome:
    try:
        with warnings.catch_warnings():
            # A number gone wrong is a line that nobody asked for; what is said on purpose is not.
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", category=RuntimeWarning, module=r"rilievo\.")
            reader.read(folder)
    except RilievoError as error:
        said = str(error)
        if not said.isprintable() or not 0 < len(said) <= LONGEST:
            fault = f"a refusal of {len(said)} characters, of which some may not be shown"
            return _bad(case, error, f"{fault}: {said[:200]!r}")
        return Outcome(case=case, verdict=REFUSED, said=said)
    except BaseException as error:
        return _bad(case, error, f"{type(error).__name__}: {error}"[:300])
    return Outcome(case=case, verdict=FINE)


def _bad(case: int, error: BaseException, said: str) -> Outcome:
    ours = [
        f"{Path(each.filename).name}:{each.name}"
        for each in traceback.extract_tb(error.__traceback__)
        if "rilievo" in each.filename and "torture" not in each.filename
    ]
    where = f"{type(error).__name__} in {ours[-1] if ours else 'the campaign'}"
    trace = "".join(traceback.format_exception(error))[-4000:]
    return Outcome(case=case, verdict=BAD, said=said, where=where, trace=trace)


def limit_memory(reader: Reader) -> None:
    """Let one input take so much address space beyond what the process has by now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + reader.mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def main() -> None:
    """Serve the parent until it closes the pipe: ``worker BASE SEED``."""
    talk = os.fdopen(os.dup(1), "w", buffering=1)
    sandbox = Sandbox(Path(sys.argv[1]))
    seed, readers = int(sys.argv[2]), all_readers()
    plant(os.environ.get(VARIABLE, ""))
    # Nothing that a library prints may get into the conversation.
    os.dup2(os.open(sandbox.base / "printed.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.dup2(2, 1)
    for line in sys.stdin:
        name, first, last = json.loads(line)
        _serve(readers[name], sandbox, seed, range(first, last), talk)


def _serve(reader: Reader, sandbox: Sandbox, seed: int, cases: range, talk: TextIO) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sandbox.begin(reader)
    outcome = judged(reader, sandbox, -1)
    if outcome.verdict != FINE:
        raise SystemExit(f"the good file of '{reader.name}' is not read: {outcome}")
    limit_memory(reader)
    for case in cases:
        talk.write(json.dumps({"begins": case}) + "\n")
        outcome = run_case(reader, sandbox, seed, case)
        talk.write(json.dumps(asdict(outcome)) + "\n")
    talk.write(json.dumps({"done": True}) + "\n")


if __name__ == "__main__":
    main()
