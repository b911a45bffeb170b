"""Distributes work over processes of this machine or over a Ray cluster."""

from collections.abc import Iterable, Iterator

from rilievo.batch.options import LOCAL, BatchOptions
from rilievo.batch.processes import cores, work_in_processes
from rilievo.batch.work import Item, Report, Work, task_size


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

    Args:
        work: Work to run on every input.
        items: The inputs.
        count: Number of inputs.
        batch: Number of processes and machines to use.
        threads: Threads for every process, from ``threads_each``.
        device: Device of the model; with cuda, every process on Ray has a GPU of its own.

    Raises:
        RilievoError: If the work cannot run at all.
        MissingExtraError: If a cluster is requested and Ray is not installed.
    """
    if not count:
        return iter(())
    if batch.ray is None:
        workers = min(batch.workers or 1, count)
        size = task_size(count, workers)
        return work_in_processes(work, items, workers=workers, size=size)
    from rilievo.batch.cluster import Pool, work_on_ray

    gpus = 1 if device.startswith("cuda") else 0
    pool = Pool(address=batch.ray, workers=batch.workers, threads=threads, gpus=gpus)
    return work_on_ray(work, items, count=count, pool=pool)


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
