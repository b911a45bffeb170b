"""How a sweep is done; what it does is in its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.batch.options import BatchOptions
from rilievo.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Everything that can be asked of a sweep besides its file.

    Raises:
        OptionError: If an option is out of range.
    """

    output: Annotated[Path | None, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")] = None
    """Folder of the sweep; by default runs/NAME of the file. Cells that are done in it are not
    done anew, one that was under way goes on."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Threads of torch; by default as it chooses."""
    part: Annotated[str | None, tyro.conf.arg(metavar="I/N")] = None
    """Do every Nth cell alone, from the Ith: one process a GPU, with the same folder. Call once
    more without it for the whole table."""

    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Processes that fill the feature cache before a cell is trained; by default training fills
    it as it goes."""
    ray: Annotated[str | None, tyro.conf.arg(metavar="local|ADDRESS")] = None
    """Fill the feature cache on a Ray cluster (extra 'ray') that shares the folder."""

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise OptionError(f"--threads is 1 or more, got {self.threads}")
        _ = self.share, self.filling

    @property
    def share(self) -> slice:
        """Which of all cells are done."""
        if self.part is None:
            return slice(None)
        first, _, count = self.part.partition("/")
        if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
            raise OptionError(f"--part is I/N, such as 1/4 to 4/4, got '{self.part}'")
        return slice(int(first) - 1, None, int(count))

    @property
    def filling(self) -> BatchOptions | None:
        """Who fills the feature cache; None where training does.

        Raises:
            OptionError: If it is less than one process.
        """
        if self.workers is None and self.ray is None:
            return None
        return BatchOptions(workers=self.workers, ray=self.ray)
