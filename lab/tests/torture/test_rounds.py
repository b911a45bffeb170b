"""Every job has one try before any has two, at moments that only depend on the seed."""

import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.torture import cuts, interruptions, kills, pressure
from lab.torture.interruptions import Command
from lab.torture.jobs import Job
from lab.torture.rounds import portions, run_rounds, shared_tries
from lab.torture.runs import undisturbed
from lab.torture.settings import Settings


@dataclass
class Counted:
    """A job that writes down its tries."""

    name: str
    wanted: int
    tries: list[str]
    seconds: float = 0.0
    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def wants_more(self) -> bool:
        return self.count < self.wanted

    def attempt(self) -> None:
        time.sleep(self.seconds)
        self.count += 1
        self.tries.append(self.name)


def settings(folder: Path, seconds: float = 60.0, workers: int = 1, **numbers: int) -> Settings:
    return Settings(
        end=time.monotonic() + seconds,
        seed=1,
        inputs=0,
        kills=numbers.get("kills", 0),
        cuts=numbers.get("cuts", 0),
        interruptions=numbers.get("interruptions", 0),
        workers=workers,
        only=(),
        output=folder / "runs",
        work=folder,
    )


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_no_job_has_two_tries_before_all_have_one(workers: int, tmp_path: Path) -> None:
    tries: list[str] = []
    slow = Counted("slow", 2, tries, seconds=0.05)
    jobs = [slow, Counted("a", 3, tries), Counted("b", 1, tries)]
    run_rounds(jobs, settings(tmp_path, workers=workers))
    assert sorted(tries[:3]) == ["a", "b", "slow"]
    assert sorted(tries[3:5]) == ["a", "slow"]
    assert tries[5:] == ["a"]


def test_rounds_end_with_the_time(tmp_path: Path) -> None:
    tries: list[str] = []
    jobs = [Counted(name, 10_000, tries, seconds=0.05) for name in "abc"]
    run_rounds(jobs, settings(tmp_path, seconds=0.12))
    assert [*"abc"][: len(tries)] == tries
    run_rounds(jobs, settings(tmp_path, seconds=0.0))
    assert len(tries) <= 3


@pytest.mark.parametrize(
    ("total", "shares", "tries"),
    [
        (10, [5, 2, 1], [5, 3, 2]),
        (9, [5, 2, 2, 1, 1, 1, 1, 1, 0.5], [1] * 9),
        (3, [1, 1, 1, 1], [1, 1, 1, 0]),
        (0, [1, 1], [0, 0]),
        (7, [1, 1, 1], [3, 2, 2]),
        (5, [], []),
    ],
)
def test_tries_are_shared_one_each_first(total: int, shares: list[float], tries: list[int]) -> None:
    assert shared_tries(total, shares) == tries


def test_every_case_is_in_one_round() -> None:
    cases = [case for first, last in portions(9, 60, 200) for case in range(first, last)]
    assert cases == [*range(200)]
    assert [*portions(9, 60, 0)] == []


_WRITES = "import pathlib, sys, time; time.sleep(0.4); pathlib.Path(sys.argv[1], 'x').touch()"


def _quick(name: str) -> Job:
    """Work that writes a file after a moment."""

    def command(_: Path, output: Path) -> tuple[str, ...]:
        output.mkdir(parents=True, exist_ok=True)
        return sys.executable, "-c", _WRITES, str(output)

    return Job(name=name, prepare=lambda folder: folder.mkdir(parents=True), command=command)


def test_kills_are_at_the_same_moments_whatever_else_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moments(*names: str) -> list[float]:
        drawn: list[float] = []
        kill = kills._killed

        def noted(job: Job, input: Path, output: Path, moment: float | None) -> str | None:
            if moment is None:
                return kill(job, input, output, moment)
            whole = undisturbed(job, given)
            if job.name == "last" and whole is not None:
                drawn.append(moment / whole.seconds)
            return None

        with monkeypatch.context() as patch:
            patch.setattr(kills, "JOBS", [_quick(name) for name in names])
            patch.setattr(kills, "_killed", noted)
            given = settings(tmp_path / "-".join(names), kills=3 * len(names))
            assert kills.run(given).is_good
        return drawn

    alone, beside = moments("last"), moments("first", "last")
    assert len(alone) == 3
    assert alone == pytest.approx(beside, abs=1e-9)


def test_a_job_that_fails_undisturbed_is_a_fault_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = Job(
        name="fails",
        prepare=lambda folder: folder.mkdir(parents=True),
        command=lambda _, output: (sys.executable, "-c", "raise SystemExit('no')"),
    )
    given = settings(tmp_path, kills=5, interruptions=5)
    monkeypatch.setattr(kills, "JOBS", [fails])
    monkeypatch.setattr(pressure, "JOBS", [fails])
    found = kills.run(given)
    assert found.bad == ("fails: undisturbed: ended with 1: no",)
    found = pressure.run(given)
    assert found.bad == ("fails: undisturbed: ended with 1: no",)


def test_a_trouble_that_this_machine_cannot_make_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure, "JOBS", [_quick("quick")])
    read_only = pressure.Trouble(faults=pressure.read_only)
    others = pressure.Trouble(faults=pressure.no_memory, jobs=("predict a folder",))
    monkeypatch.setattr(pressure, "TROUBLES", (read_only, others))
    monkeypatch.setattr("os.getuid", lambda: 1000)
    found = pressure.run(settings(tmp_path))
    assert found.table.splitlines()[-1] == "| quick | not tried | – |"
    assert found.untried == (
        "quick (pressure: read only, which needs root, who may mount a tmpfs)",
    )


def test_interruptions_come_in_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def interrupt(command: Command, folder: Path, name: str, *rest: object) -> None:
        order.append(command.name)
        tally = rest[-1]
        assert isinstance(tally, interruptions.Tally)
        tally.ends[interruptions.End.STOPPED] += 1

    commands = [
        Command(name=name, prepare=lambda _: None, words=lambda _, __: ()) for name in "abc"
    ]
    usual = interruptions.Run(code=0, text="", seconds=1.0)
    monkeypatch.setattr(interruptions, "all_commands", lambda: commands)
    monkeypatch.setattr(interruptions, "_undisturbed", lambda *_: usual)
    monkeypatch.setattr(interruptions, "_interrupt", interrupt)
    assert interruptions.run(settings(tmp_path, interruptions=7)).is_good
    assert "".join(order) == "abcabca"


def test_a_part_without_numbers_has_tried_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuts, "JOBS", [_quick("quick")])
    found = cuts.run(settings(tmp_path))
    assert found.untried == ("quick (honest cuts)", "quick (crude cuts)")
    assert not found.is_good
