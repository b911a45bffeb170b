"""List of a run's jobs, found once and held in little memory."""

import json
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile

from rilievo.predicting.inputs import Job, Medium

_IN_MEMORY = 4_000_000
"""Bytes of a list that stay in memory, some 20,000 jobs; a longer one goes to a temporary file."""


class JobList:
    """Jobs in the order in which they were found, which may be read several times."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        """Find all jobs."""
        self.counts: Counter[Medium] = Counter()
        """Number of jobs of each medium."""
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  (closed below)
        weakref.finalize(self, self._file.close)
        for job in jobs:
            self.counts[job.medium] += 1
            # Names that are no text are written with escapes, and read as they were.
            line = json.dumps([str(job.source), job.medium.value, str(job.target)])
            self._file.write(line.encode() + b"\n")

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[Job]:
        place = 0
        while True:
            self._file.seek(place)
            line = self._file.readline()
            place = self._file.tell()
            if not line:
                return
            source, medium, target = json.loads(line)
            yield Job(source=Path(source), medium=Medium(medium), target=Path(target))

    def of(self, *, video: bool) -> Iterator[Job]:
        """Photographs, or videos and folders of frames."""
        return (job for job in self if (job.medium is not Medium.PHOTO) is video)

    @property
    def media(self) -> list[bool]:
        """Whether there are photographs (False) and videos (True)."""
        return sorted({medium is not Medium.PHOTO for medium in self.counts})
