"""Protocol of work in other processes.

``Work`` is sent and opened once; it returns a function from inputs to a ``Report``.
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
"""Function of inputs and ``again``, whether a killed process had them; raises ``RilievoError`` at
the end of all.
"""

MOST_AT_ONCE = 16
"""Most inputs in a task."""

TASKS_EACH = 4
"""Least tasks for a process."""


@frozen
class Failure:
    """Input that failed, and why in one line."""

    name: str
    reason: str


@frozen
class Report:
    """Result of one task.

    Attributes:
        finished_before: Inputs of an earlier run.
        notes: Warnings.
        refusal: Reason why nothing can be done.
    """

    done: int = 0
    finished_before: int = 0
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str = ""
    spent: Spent = field(default_factory=Spent)


@runtime_checkable
class Work(Protocol[Item_contra]):
    """Picklable work on every input."""

    def open(self) -> Do:
        """Load its state; ``RilievoError`` if it cannot run."""
        ...

    def name(self, item: Item_contra) -> str:
        """Name of an input in messages."""
        ...


def open_work(work: Work[Item], version: str) -> Do:
    """Open work of the same ``version``; refusals are reports."""
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
    """Failure of an input that killed two processes."""
    name = work.name(item)
    return Failure(
        name=name,
        reason=f"{name}: the process at work on it was killed twice, the second time with nothing "
        "else to do: too little memory? It is skipped",
    )


def joined(reports: Iterable[Report]) -> Report:
    """Merge reports; the first refusal stays."""
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
    """Group inputs in order."""
    task: list[Item] = []
    for item in items:
        task.append(item)
        if len(task) == size:
            yield tuple(task)
            task = []
    if task:
        yield tuple(task)
