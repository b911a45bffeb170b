"""Rounds of a part: each job has one try before any has two."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from lab.torture.settings import Settings


class Tried(Protocol):
    """A job that is tried once a round."""

    @property
    def wants_more(self) -> bool:
        """Whether it has had fewer tries than were asked for, and can have another."""
        ...

    def attempt(self) -> None:
        """Try it once."""
        ...


def run_rounds(jobs: Sequence[Tried], settings: Settings) -> None:
    """Try every job once, then every job a second time, and so on.

    As many jobs are tried at a time as there are workers. A round begins when all tries of the one
    before have ended. The rounds end when no job wants more, or when the time is over.
    """

    def attempt(job: Tried) -> None:
        if not settings.is_over:
            job.attempt()

    with ThreadPoolExecutor(settings.workers) as pool:
        while not settings.is_over:
            waiting = [job for job in jobs if job.wants_more]
            if not waiting:
                return
            for _ in pool.map(attempt, waiting):
                pass


def shared_tries(total: int, shares: Sequence[float]) -> list[int]:
    """Share a number of tries among jobs: one for each in turn, and what is left by their shares.

    >>> shared_tries(10, [5, 2, 1])
    [5, 3, 2]
    >>> shared_tries(2, [5, 2, 1])
    [1, 1, 0]
    """
    tries = [int(index < total) for index in range(len(shares))]
    left = total - sum(tries)
    if not left:
        return tries
    quotas = [left * share / sum(shares) for share in shares]
    tries = [first + int(quota) for first, quota in zip(tries, quotas, strict=True)]
    by_remainder = sorted(range(len(quotas)), key=lambda index: int(quotas[index]) - quotas[index])
    for index in by_remainder[: total - sum(tries)]:
        tries[index] += 1
    return tries


def portions(first: int, later: int, total: int) -> Iterator[tuple[int, int]]:
    """Yield the first and last case of each round of many quick tries.

    The first round has one case, so that every reader has a try; the second one has ``first``,
    those after it ``later``.

    >>> [*portions(9, 60, 100)]
    [(0, 1), (1, 10), (10, 70), (70, 100)]
    """
    begin, size = 0, 1
    while begin < total:
        end = min(begin + size, total)
        yield begin, end
        begin, size = end, later if begin else first
