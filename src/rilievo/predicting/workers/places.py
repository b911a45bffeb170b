"""Places of a run's files: disk, or object stores."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.io.files.limits import address_of, local_path
from rilievo.models.base import Model
from rilievo.plugins import load_service
from rilievo.predicting.inputs import Job, LeftOut, find_jobs
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.results import Results


class TaskFiles:
    """Files of one task, perhaps staged."""

    def enter(self, job: Job) -> Job:
        """Map a job to the paths where it is done."""
        return job

    def results(
        self, *, model: Model, options: PredictOptions, note: Callable[[str], None]
    ) -> Results:
        """Results of such jobs."""
        return Results(model=model, options=options, note=note)

    def translated(self, message: str) -> str:
        """Message with the user's names of files."""
        return message

    def clear(self) -> None:
        """Remove files of the task."""


@dataclass(frozen=True, slots=True)
class Places:
    """Picklable places of a run."""

    def check_output(self, output: Path) -> None:
        """Refuse an output that cannot be written to."""

    def list_jobs(
        self, inputs: Sequence[str | Path], output: Path, *, sequence: bool, left_out: LeftOut
    ) -> Iterator[Job]:
        """List all jobs in a fixed order."""
        paths = list(map(local_path, inputs))
        return find_jobs(paths, output, sequence=sequence, left_out=left_out)

    def open_task(self) -> TaskFiles:
        """Files of a new task."""
        return TaskFiles()


def places_of(inputs: Iterable[str | Path], output: Path) -> Places:
    """Places of inputs and output."""
    if all(address_of(name) is None for name in (*inputs, output)):
        return Places()
    return load_service("addresses")()
