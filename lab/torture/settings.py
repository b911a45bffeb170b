"""Settings of all parts of the campaign."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of all parts of the campaign.

    Attributes:
        end: Time at which it has to end, by ``time.monotonic``.
        seed: Seed of all random numbers.
        inputs: Number of broken files for all readers together.
        kills: Number of kills for all jobs together.
        cuts: Number of power cuts for all jobs together.
        interruptions: Number of interruptions for all commands together.
        workers: Number of parallel processes.
        only: Words of which names need at least one; none for all readers and jobs.
        output: Folder of the results.
        work: Folder for temporary files; removed at the end.
        stops_at_first: Whether everything ends at the first fault.
        fault: Event that is set at the first fault.
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
    interruptions: int = 0
    stops_at_first: bool = False
    fault: threading.Event = field(default_factory=threading.Event)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.end - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether time is up, or there was a fault and nothing more is wanted."""
        return time.monotonic() > self.end or self.is_stopped

    @property
    def is_stopped(self) -> bool:
        """Whether there was a fault and nothing more is wanted."""
        return self.stops_at_first and self.fault.is_set()

    def asks_for(self, name: str) -> bool:
        """Whether a reader or job of this name is to be tried."""
        return not self.only or any(word in name for word in self.only)
