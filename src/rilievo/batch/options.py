"""How work is spread over processes and machines; what the work is stands elsewhere."""

import zlib
from dataclasses import dataclass
from typing import Annotated

import tyro

from rilievo.errors import OptionError

LOCAL = "local"
"""The address of a cluster that is started here for one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One of several parts that together are everything, each input in exactly one.

    An input belongs to a part by its name alone, so parts may begin at different times, in any
    order and anywhere, and an input that comes later moves no other. Parts are therefore only
    nearly of one size.

    Attributes:
        number: Of the part, from 1.
        count: Of all parts.
    """

    number: int
    count: int

    def takes(self, name: str) -> bool:
        """Whether the input of this name belongs to the part."""
        return zlib.crc32(name.encode(errors="surrogatepass")) % self.count == self.number - 1


def parse_share(text: str) -> Share:
    """The part that "i/n" means.

    Raises:
        OptionError: If the text is something else.
    """
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise OptionError(f"--shard is I/N, such as 1/4 to 4/4, got '{text}'")
    return Share(number=int(number), count=int(count))


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Which part of the work is done, and on which machines.

    Raises:
        OptionError: If the part is none.
    """

    shard: Annotated[str | None, tyro.conf.arg(metavar="I/N")] = None
    """Do the Ith of N parts alone: one call a machine or job, with the same inputs, options and
    output. Parts may run at once, in any order, and again."""
    ray: Annotated[str | None, tyro.conf.arg(metavar="local|ADDRESS")] = None
    """Spread the work over a Ray cluster (extra 'ray'): one that is started on this machine for
    this run (local), or the one at an address, such as auto or 10.0.0.1:6379."""

    def __post_init__(self) -> None:
        _ = self.share

    @property
    def share(self) -> Share:
        """Which part is done; by default all of it."""
        return Share(number=1, count=1) if self.shard is None else parse_share(self.shard)


@dataclass(frozen=True, kw_only=True)
class BatchOptions(ClusterOptions):
    """Which part of the work is done, on which machines, by how many processes.

    Raises:
        OptionError: If an option is out of range.
    """

    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Processes that each load the model and predict; they share the cores. By default one, and
    with --ray one a core of the cluster."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"--workers is 1 or more, got {self.workers}")

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for, so that this process does all of the work itself."""
        return self.workers is None and self.shard is None and self.ray is None
