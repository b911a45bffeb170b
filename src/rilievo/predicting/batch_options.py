"""Options of dividing work: the part to do, the machines, and the number of processes."""

import zlib
from dataclasses import dataclass
from typing import Annotated, ClassVar

import tyro

from rilievo.errors import OptionError

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
