"""Protocol of work in other processes or on other machines.

``Work`` is a record that is sent to another process. It is opened there once, which loads the
model and returns a function that runs tasks of a few inputs, with a ``Report`` for each. The code
for an input is the same as in a single process, and so are the files.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from typing import Protocol, TypeVar, runtime_checkable

from rilievo.errors import RilievoError
from rilievo.frozen import frozen
from rilievo.messages import Note
from rilievo.predicting.stages import Spent, Stages
from rilievo.version import VERSION

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)

Do = Callable[..., "Report"]
"""Function of some inputs and ``again``, which tells whether a killed process had them before, and
may have done some. It raises ``RilievoError`` if no further input can be done at all."""

MOST_AT_ONCE = 16
"""Largest number of inputs in a task; if its process dies, all of them are done again."""

TASKS_EACH = 4
"""Least number of tasks for every process, if there are enough inputs, so that all processes end
at nearly the same time."""


@frozen
class Failure:
    """One input that failed: its name, and why in one line."""

    name: str
    reason: str


@frozen
class Report:
    """Result of one task.

    Attributes:
        finished_before: Number of inputs that an earlier run had done.
        notes: Warnings about inputs that were done, one line each.
        refusal: Reason why no input can be done at all, one line; else empty.
        spent: Model, sizes of the network's answers, and time by stage.
    """

    done: int = 0
    finished_before: int = 0
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str = ""
    spent: Spent = field(default_factory=Spent)


@runtime_checkable
class Work(Protocol[Item_contra]):
    """Picklable description of the work on every input."""

    def open(self) -> Do:
        """Load the model or other state of the work; ``RilievoError`` if it cannot run at all."""
        ...

    def name(self, item: Item_contra) -> str:
        """Name of an input in messages."""
        ...


def open_work(work: Work[Item], version: str) -> Do:
    """Open work in the process that received it; refusals come as the report of its tasks.

    Work of another ``version`` of rilievo is refused, since it might write other files.
    """
    do: Do | None = None
    refusal = (
        f"rilievo {VERSION} is installed where the work is done, and {version} here: install the "
        "same version everywhere"
    )
    if version == VERSION:
        try:
            do = work.open()
        except RilievoError as error:
            refusal = Note(error.template)

    def reported(items: Sequence[Item], *, again: bool) -> Report:
        if do is None:
            return Report(refusal=refusal)
        try:
            return do(items, again=again)
        except RilievoError as error:  # such as a disk that is full by now
            return Report(refusal=Note(error.template))

    return reported


def killed_twice(work: Work[Item], item: Item) -> Failure:
    """Failure of an input whose process died twice: once among others, once alone."""
    name = work.name(item)
    return Failure(
        name=name,
        reason=f"{name}: the process at work on it was killed twice, the second time with nothing "
        "else to do: too little memory? It is skipped",
    )


def joined(reports: Iterable[Report]) -> Report:
    """Merge several reports into one; the first refusal is kept."""
    every, stages = tuple(reports), Stages()
    for report in every:
        stages.add(report.spent)
    return Report(
        done=sum(report.done for report in every),
        finished_before=sum(report.finished_before for report in every),
        failures=tuple(failure for report in every for failure in report.failures),
        notes=tuple(note for report in every for note in report.notes),
        refusal=next((report.refusal for report in every if report.refusal), ""),
        spent=stages.spent,
    )


def task_size(count: int, workers: int) -> int:
    """Number of inputs in a task."""
    return max(1, min(MOST_AT_ONCE, count // (TASKS_EACH * workers)))


def in_tasks(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Group the inputs into tasks of ``size``, in order."""
    task: list[Item] = []
    for item in items:
        task.append(item)
        if len(task) == size:
            yield tuple(task)
            task = []
    if task:
        yield tuple(task)
