"""What is done in other processes, whatever starts them: work, and the hands that do it.

``Work`` is a record that travels. Where it arrives it is opened once, which loads the model, and
gives a ``Hand``, to which tasks of a few inputs come one after the other. What became of each task
travels back as a ``Report``. Inputs are done by the code that does them on one machine, so the
files are the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from rilievo.errors import RilievoError
from rilievo.version import VERSION

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)

MOST_AT_ONCE = 16
"""Inputs of a task: so many are lost, and done again, where a process dies."""

TASKS_EACH = 4
"""Tasks that every process gets at least, where there are enough inputs, so that all end at
nearly the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One input that could not be done.

    Attributes:
        name: Of the input.
        reason: One line.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of the inputs of one task.

    Attributes:
        done: Inputs that were done now.
        finished_before: Inputs that an earlier run had done.
        failures: Inputs that could not be done.
        notes: What was done but deserves a look, one line each.
        refusal: Why nothing can be done at all, one line; empty if something can.
    """

    done: int = 0
    finished_before: int = 0
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str = ""


@runtime_checkable
class Hand(Protocol[Item_contra]):
    """Does the inputs that it is given, with what was loaded once."""

    def do(self, items: Sequence[Item_contra], *, again: bool) -> Report:
        """Do some inputs.

        Args:
            items: The inputs.
            again: Whether a process that was killed has had them, and may have done some.

        Raises:
            RilievoError: If nothing more can be done at all.
        """
        ...


@runtime_checkable
class Work(Protocol[Item_contra]):
    """What is to be done with every input; it can be pickled."""

    def open(self) -> Hand[Item_contra]:
        """Load what the work takes.

        Raises:
            RilievoError: If nothing can be done at all.
        """
        ...

    def name(self, item: Item_contra) -> str:
        """What messages call an input."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(Generic[Item]):
    """Work that arrived in another process, opened as far as that could be done.

    Attributes:
        hand: That does it; None where nothing can be done at all.
        refusal: Why not.
    """

    hand: Hand[Item] | None = None
    refusal: str = ""

    def do(self, items: Sequence[Item], *, again: bool) -> Report:
        """Do some inputs, or say why none can be done: by now, as where a disk is full."""
        if self.hand is None:
            return Report(refusal=self.refusal)
        try:
            return self.hand.do(items, again=again)
        except RilievoError as error:
            return Report(refusal=str(error))


def open_work(work: Work[Item], version: str) -> Opened[Item]:
    """Open work in the process where it arrived.

    Args:
        work: What is to be done.
        version: Of the rilievo that sent it: another one might write other files.
    """
    if version != VERSION:
        return Opened(
            refusal=f"rilievo {VERSION} is installed where the work is done, and {version} here: "
            "install the same version everywhere"
        )
    try:
        return Opened(hand=work.open())
    except RilievoError as error:
        return Opened(refusal=str(error))


def killed_twice(work: Work[Item], item: Item) -> Failure:
    """The input with which a process died: once among others, and once more alone."""
    name = work.name(item)
    return Failure(
        name=name,
        reason=f"{name}: the process at work on it was killed twice, the second time with nothing "
        "else to do: too little memory? It is passed over",
    )


def joined(reports: Iterable[Report]) -> Report:
    """Several reports as one; the first refusal counts."""
    every = tuple(reports)
    return Report(
        done=sum(each.done for each in every),
        finished_before=sum(each.finished_before for each in every),
        failures=tuple(failure for each in every for failure in each.failures),
        notes=tuple(note for each in every for note in each.notes),
        refusal=next((each.refusal for each in every if each.refusal), ""),
    )


def task_size(count: int, workers: int) -> int:
    """How many inputs a task has."""
    return max(1, min(MOST_AT_ONCE, count // (TASKS_EACH * workers)))


def in_tasks(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """The inputs in their order, so many at a time."""
    task: list[Item] = []
    for item in items:
        task.append(item)
        if len(task) == size:
            yield tuple(task)
            task = []
    if task:
        yield tuple(task)
