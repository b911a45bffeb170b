"""What every part of the campaign is told."""

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What every part of the campaign is told.

    Attributes:
        end: When it has to be over, by ``time.monotonic``.
        seed: Of all chance.
        inputs: Broken files, of all readers together.
        kills: Of all jobs together.
        cuts: Of the power, of all jobs together.
        workers: Processes at once.
        only: Parts of names; none for all readers and jobs.
        output: Folder of what is kept.
        work: Folder for whatever is made on the way; gone at the end.
    """

    end: float
    seed: int
    inputs: int
    kills: int
    cuts: int
    workers: int
    only: tuple[str, ...]
    output: Path
    work: Path

    @property
    def is_over(self) -> bool:
        """Whether time is up."""
        return time.monotonic() > self.end

    def asks_for(self, name: str) -> bool:
        """Whether a reader or job of this name is to be tried."""
        return not self.only or any(word in name for word in self.only)
