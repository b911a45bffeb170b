"""Distribution of work over processes of this machine, or over a Ray cluster."""

from collections.abc import Iterable, Iterator

from rilievo.cores import cores
from rilievo.errors import RilievoError
from rilievo.messages import template
from rilievo.plugins import load_service
from rilievo.predicting.options import LOCAL, BatchOptions
from rilievo.predicting.workers.processes import work_in_processes
from rilievo.predicting.workers.work_protocol import Item, Report, Work, open_work, task_size
from rilievo.version import VERSION


def spread_out(
    work: Work[Item],
    items: Iterable[Item],
    *,
    count: int,
    batch: BatchOptions,
    threads: int,
    device: str = "auto",
) -> Iterator[Report]:
    """Process every input, and yield reports as tasks finish, in any order.

    With a ``device`` of cuda, every process on Ray has a GPU of its own.

    Raises ``RilievoError`` if the work cannot run at all.
    """
    if not count:
        return iter(())
    if batch.ray is None:
        if count == 1 and batch.workers is None:
            return _here(work, items)
        workers = min(batch.workers or 1, count)
        size = task_size(count, workers)
        return work_in_processes(work, items, workers=workers, size=size)
    make_pool = load_service("ray-pool")
    work_on_ray = load_service("work-on-ray")
    gpus = 1 if device.startswith("cuda") else 0
    pool = make_pool(address=batch.ray, workers=batch.workers, threads=threads, gpus=gpus)
    return work_on_ray(work, items, count=count, pool=pool)


def _here(work: Work[Item], items: Iterable[Item]) -> Iterator[Report]:
    """Process the only input in this process: another would take a second to start.

    An input that kills its process ends the caller too.
    """
    do = open_work(work, VERSION)
    for item in items:
        report = do((item,), again=False)
        if report.refusal:
            raise RilievoError(problem=template(report.refusal))
        yield report


def threads_each(batch: BatchOptions, threads: int | None) -> int:
    """Threads of every process: the user's number, or its share of the cores of this machine.

    Machines of a cluster may have other numbers of cores; one thread per process wastes none.
    """
    if threads is not None:
        return threads
    if batch.ray is None:
        return max(1, cores() // (batch.workers or 1))
    here = batch.ray == LOCAL and batch.workers is not None
    return max(1, cores() // batch.workers) if here and batch.workers else 1
