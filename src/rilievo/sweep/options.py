"""Options for running a sweep; its contents are described by its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.batch.options import BatchOptions
from rilievo.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Options for running a sweep.

    Raises:
        OptionError: If an option is out of range.
    """

    output: Annotated[Path | None, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")] = None
    """Folder of the sweep; by default runs/NAME of the file. Finished cells in it are kept, and
    an unfinished one is resumed."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N, coreml or directml."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of torch's threads; by default torch chooses."""
    part: Annotated[str | None, tyro.conf.arg(metavar="I/N")] = None
    """Do only every Nth cell, from the Ith: one process per GPU, all with the same folder. Call
    once more without it for the whole table."""

    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of processes that fill the feature cache before a cell is trained; by default
    training fills it."""
    ray: Annotated[str | None, tyro.conf.arg(metavar="local|ADDRESS")] = None
    """Fill the feature cache on a Ray cluster (extra 'cluster') that shares the folder."""

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise OptionError(f"--threads is 1 or more, got {self.threads}")
        _ = self.share, self.filling

    @property
    def share(self) -> slice:
        """Slice of the cells to do."""
        if self.part is None:
            return slice(None)
        first, _, count = self.part.partition("/")
        if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
            raise OptionError(f"--part is I/N, such as 1/4 to 4/4, got '{self.part}'")
        return slice(int(first) - 1, None, int(count))

    @property
    def filling(self) -> BatchOptions | None:
        """Processes that fill the feature cache; None where training fills it.

        Raises:
            OptionError: If the number of processes is less than 1.
        """
        if self.workers is None and self.ray is None:
            return None
        return BatchOptions(workers=self.workers, ray=self.ray)
