"""Places of the files of a run: this machine's disk, or addresses of object stores."""

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
    """Files of one task: the user's own; those at addresses are staged."""

    def enter(self, job: Job) -> Job:
        """Map a job to the paths where it is done."""
        return job

    def results(
        self, *, model: Model, options: PredictOptions, note: Callable[[str], None]
    ) -> Results:
        """Results of jobs that ``enter`` returned."""
        return Results(model=model, options=options, note=note)

    def translated(self, message: str) -> str:
        """The message, with the user's names of files."""
        return message

    def clear(self) -> None:
        """Remove what only the task needed."""


@dataclass(frozen=True, slots=True)
class Places:
    """Picklable description of the places of a run: inputs and results on disk."""

    def check_output(self, output: Path) -> None:
        """Refuse an output that cannot be written to; folders on disk are made later."""

    def list_jobs(
        self, inputs: Sequence[str | Path], output: Path, *, sequence: bool, left_out: LeftOut
    ) -> Iterator[Job]:
        """List the jobs of all inputs in a fixed order.

        ``output`` is a folder or its address as a path; ``sequence`` tells whether a folder is one
        clip.
        """
        paths = list(map(local_path, inputs))
        return find_jobs(paths, output, sequence=sequence, left_out=left_out)

    def open_task(self) -> TaskFiles:
        """Files of a new task."""
        return TaskFiles()


def places_of(inputs: Iterable[str | Path], output: Path) -> Places:
    """Places of these inputs and this output; those at addresses need the extra 'cluster'."""
    if all(address_of(name) is None for name in (*inputs, output)):
        return Places()
    return load_service("addresses")()
