"""Options of work in other processes or on other machines, and its protocol.

``Work`` is a record that is sent to another process. It is opened there once, which loads the
model and returns a function that runs tasks of a few inputs, with a ``Report`` for each. The code
for an input is the same as in a single process, and so are the files.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Protocol, TypeVar, runtime_checkable

import tyro

from rilievo.errors import OptionError, RilievoError
from rilievo.predicting.stages import Spent, Stages
from rilievo.version import VERSION

LOCAL = "local"
"""Address that starts a cluster on this machine for one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One of several parts of the inputs; every input is in exactly one part.

    The part of an input depends on its name alone, so parts may start at different times, in any
    order and on any machine, and an added input moves no other. Part sizes are therefore only
    approximately equal.
    """

    number: int
    count: int

    def takes(self, name: str) -> bool:
        """Whether the input of this name belongs to the part."""
        return zlib.crc32(name.encode(errors="surrogatepass")) % self.count == self.number - 1


def parse_share(text: str, *, option: str = "--shard") -> Share:
    """Parse "i/n" as the ith of n parts."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise OptionError(f"{option} is I/N, such as 1/4 to 4/4, got '{text}'")
    return Share(number=int(number), count=int(count))


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Options for the part of the work to do, and the machines to use.

    Raises:
        OptionError: If ``shard`` is not I/N with I from 1 to N.
    """

    GROUP: ClassVar[str] = "Many processes and machines"

    shard: Annotated[str | None, tyro.conf.arg(metavar="I/N")] = None
    """Do only the Ith of N parts: one call per machine or job, with the same inputs, options and
    output. Parts may run at once, in any order, and repeatedly."""
    ray: Annotated[str | None, tyro.conf.arg(metavar="local|ADDRESS")] = None
    """Distribute the work over a Ray cluster (extra 'cluster'): one started on this machine for
    this run (local), or the one at an address, such as auto or 10.0.0.1:6379."""

    def __post_init__(self) -> None:
        _ = self.share

    @property
    def share(self) -> Share:
        """The part to do; by default all of the work."""
        return Share(number=1, count=1) if self.shard is None else parse_share(self.shard)


@dataclass(frozen=True, kw_only=True)
class BatchOptions(ClusterOptions):
    """Options for the part of the work to do, the machines, and the number of processes.

    Raises:
        OptionError: If an option is out of range.
    """

    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of processes; each loads the model, and they share the cores. By default 1, or with
    --ray one per core of the cluster."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"--workers is 1 or more, got {self.workers}")

    @property
    def is_plain(self) -> bool:
        """Whether no option is set, so that this process does all of the work itself."""
        return self.workers is None and self.shard is None and self.ray is None


Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)

MOST_AT_ONCE = 16
"""Largest number of inputs in a task; if its process dies, all of them are done again."""

TASKS_EACH = 4
"""Least number of tasks for every process, if there are enough inputs, so that all processes end
at nearly the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One input that failed: its name, and why in one line."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
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


Do = Callable[..., Report]
"""Function of some inputs and ``again``, which tells whether a killed process had them before, and
may have done some. It raises ``RilievoError`` if no further input can be done at all."""


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
            refusal = str(error)

    def reported(items: Sequence[Item], *, again: bool) -> Report:
        if do is None:
            return Report(refusal=refusal)
        try:
            return do(items, again=again)
        except RilievoError as error:  # such as a disk that is full by now
            return Report(refusal=str(error))

    return reported


def killed_twice(work: Work[Item], item: Item) -> Failure:
    """Failure of an input whose process died twice: once among others, once alone."""
    name = work.name(item)
    return Failure(
        name=name,
        reason=f"{name}: the process at work on it was killed twice, the second time with nothing "
        "else to do: too little memory? It is passed over",
    )


def joined(reports: Iterable[Report]) -> Report:
    """Merge several reports into one; the first refusal is kept."""
    every, stages = tuple(reports), Stages()
    for each in every:
        stages.add(each.spent)
    return Report(
        done=sum(each.done for each in every),
        finished_before=sum(each.finished_before for each in every),
        failures=tuple(failure for each in every for failure in each.failures),
        notes=tuple(note for each in every for note in each.notes),
        refusal=next((each.refusal for each in every if each.refusal), ""),
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
