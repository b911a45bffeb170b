"""Processes that die: nothing is lost, nothing goes on for ever, and one line says why."""

import multiprocessing
import time
from pathlib import Path

import pytest

from rilievo.errors import RilievoError
from rilievo.predicting import work_processes
from rilievo.predicting.options import BatchOptions
from rilievo.predicting.work_processes import (
    Report,
    _WorkerPool,
    distribute_work,
    merge_reports,
    open_work,
    work_in_processes,
)
from rilievo.system import signals
from rilievo.version import VERSION
from support.killed_work import Deadly, Loading


def run(work: Deadly, items: list[str], *, workers: int = 1, size: int = 4) -> Report:
    return merge_reports(work_in_processes(work, items, workers=workers, size=size))


def names(folder: Path, ending: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*.{ending}")}


def test_all_inputs_are_done_though_a_process_is_killed_on_the_way(tmp_path: Path) -> None:
    items = [f"{number}" for number in range(10)]
    report = run(Deadly(folder=tmp_path, once=("5",)), items, workers=2)
    assert (report.done, report.failures) == (10, ())
    assert names(tmp_path, "done") | names(tmp_path, "again") == set(items)
    # Those of its task alone are tried again: 4 to 7.
    assert names(tmp_path, "again") == {"4", "5", "6", "7"}


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("workers", [None, 2])
def test_every_input_is_done_whatever_the_number_of_processes(
    tmp_path: Path, count: int, workers: int | None
) -> None:
    """Without a number, one process works on several inputs, and this one on a single one."""
    items, batch = [f"{number}" for number in range(count)], BatchOptions(workers=workers)
    work = Deadly(folder=tmp_path)
    report = merge_reports(distribute_work(work, items, count=count, batch=batch, threads=1))
    assert (report.done, report.failures) == (count, ())
    assert names(tmp_path, "done") == set(items)


def test_an_input_that_kills_two_processes_is_passed_over_and_its_neighbours_are_not(
    tmp_path: Path,
) -> None:
    items = [f"{number}" for number in range(6)]
    report = run(Deadly(folder=tmp_path, always=("1",)), items)
    assert report.done == 5
    [failure] = report.failures
    assert failure.reason.startswith("item 1: skipped, because its process was killed twice")
    assert "\n" not in failure.reason
    assert names(tmp_path, "done") | names(tmp_path, "again") == set(items) - {"1"}


def test_what_cannot_be_done_at_all_is_refused_with_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(RilievoError, match=r"^no model 'x'$"):
        run(Deadly(folder=tmp_path, refusal="no model 'x'"), ["1", "2"])


def test_a_refusal_on_the_way_ends_the_run_with_its_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RilievoError, match=r"^the disk is full$"):
        run(Deadly(folder=tmp_path, refusal_at="3"), [f"{number}" for number in range(9)])
    assert capfd.readouterr().err == ""


def test_processes_that_die_before_they_begin_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(RilievoError, match="end before they have loaded the model"):
        run(Deadly(folder=tmp_path, dies_at_start=True), ["1"])


def test_another_version_where_the_work_is_done_is_refused(tmp_path: Path) -> None:
    refusal = open_work(Deadly(folder=tmp_path), "0.0.0")(["1"], is_retry=False).refusal
    assert refusal.endswith("0.0.0: install the same version everywhere")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [ImportError("initialization failed"), None])
def test_a_process_that_is_ended_while_it_loads_prints_nothing(
    error: Exception | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Code makes another error of what ends it, or loses it, as onnxruntime's import does."""
    crew = _WorkerPool(Loading(folder=tmp_path, error=error), iter([("1",)]), 1)
    crew._assign_tasks()
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    crew.close()
    assert capfd.readouterr().err == ""
    assert (tmp_path / "ended").exists(), "it was killed"


def test_a_process_that_is_ended_as_it_begins_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM may come as soon as it is listened to."""

    def begin() -> None:
        raise signals.Interruption

    monkeypatch.setattr(signals, "install_handlers", begin)
    monkeypatch.setattr(signals, "ignore_ctrl_c", lambda: None)
    monkeypatch.setattr(work_processes, "_end_with_parent", lambda: None)
    monkeypatch.setattr(work_processes.signal, "signal", lambda *_: None)
    ours, theirs = multiprocessing.Pipe()
    work_processes._serve_tasks(theirs, Loading(folder=tmp_path), VERSION)
    assert not ours.poll()
