"""Work spread over what the user has: processes of this machine, or a Ray cluster."""

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
    """Do every input, and report as tasks end, in any order.

    Args:
        work: What is to be done.
        items: The inputs.
        count: How many there are.
        batch: Where.
        threads: That every process is given, as ``threads_each`` says.
        device: That the model runs on; with cuda, every process on Ray has a GPU of its own.

    Raises:
        RilievoError: If nothing can be done at all.
        MissingExtraError: If a cluster is asked for and Ray is not installed.
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
    """Threads of every process: what the user says, or its part of the cores of this machine.

    Machines of a cluster may have other cores, and there one thread each wastes none.
    """
    if threads is not None:
        return threads
    if batch.ray is None:
        return max(1, cores() // (batch.workers or 1))
    here = batch.ray == LOCAL and batch.workers is not None
    return max(1, cores() // batch.workers) if here and batch.workers else 1
