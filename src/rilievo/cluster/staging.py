"""Staging of remote photographs: downloaded with name, size and time, processed, uploaded.

Uploads are atomic, the list of files first and the JSON last, as in
``rilievo.io.outputs.overwrite_policy``. Remote files are those of fsspec.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rilievo.cluster.remote_files import Remote, open_remote
from rilievo.cluster.remote_jobs import list_jobs
from rilievo.errors import InputError, OutputError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.checksums import CheckLevel, is_torn
from rilievo.io.files.atomic import make_folder
from rilievo.io.files.commit import FileSet, commit_files
from rilievo.io.files.names import address_or_none, printable
from rilievo.io.outputs.overwrite_policy import Claim, pending_path
from rilievo.io.outputs.sidecar import parse_sidecar, read_sidecar, sidecar_path
from rilievo.models.base import Inference, Model
from rilievo.predicting.inputs import Job, LeftOut, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.results import ResultWriter
from rilievo.predicting.predict_across import Storage, TaskFiles
from rilievo.prediction.output import OUTPUTS
from rilievo.records.sample import Photo


class Stage(TaskFiles):
    """Scratch folder, and addresses of its paths."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._number = 0
        self._sources: dict[Path, str] = {}
        self._targets: dict[Path, str] = {}

    def enter(self, job: Job) -> Job:
        """Job with scratch paths for addresses."""
        source, target = address_or_none(job.source), address_or_none(job.target)
        if source is None and target is None:
            return job
        here = self._unused_path()
        if source is not None:
            path = here / "in" / Path(source.split("?")[0]).name
            self._sources[path] = source
            job = Job(source=path, medium=job.medium, target=job.target)
        if target is not None:
            path = here / "out" / job.target.name
            self._targets[path] = target
            job = Job(source=job.source, medium=job.medium, target=path)
        return job

    def source(self, job: Job) -> Remote | None:
        """Remote source; None on disk."""
        address = self._sources.get(job.source)
        return None if address is None else open_remote(address)

    def target(self, job: Job) -> Remote | None:
        """Remote target without suffix; None on disk."""
        address = self._targets.get(job.target)
        return None if address is None else open_remote(address, for_writing=True)

    def results(
        self, *, model: Model, options: PredictOptions, note: Callable[[str], None]
    ) -> "StagedResults":
        """Writer of results that uploads them."""
        return StagedResults(model=model, options=options, note=note, stage=self)

    def translated(self, message: str) -> str:
        """Replace scratch paths in a message by addresses."""
        text = Text(message)
        for path, address in (*self._sources.items(), *self._targets.items()):
            scratch, place = (printable(name) for name in (path, address.split("?")[0]))
            # A download that failed names its address itself.
            text = text.replace(f"{scratch}: {place}: ", f"{place}: ").replace(scratch, place)
        return Note(text)

    def clear(self) -> None:
        """Remove the scratch folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._sources.clear()
        self._targets.clear()

    def _unused_path(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rilievo-"))
        self._number += 1
        return self._folder / str(self._number)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedResults(ResultWriter):
    """Results of jobs that went through ``enter``."""

    stage: Stage = field(default_factory=Stage)

    @property
    def thoroughness(self) -> CheckLevel:
        """Depth of comparisons: unfetched files show only sizes."""
        if self.options.saving.resume == "hash":
            return CheckLevel.HASHES
        return (
            CheckLevel.ENDS
            if address_or_none(self.options.saving.output) is None
            else CheckLevel.SIZES
        )

    def is_finished(self, job: Job) -> bool:
        """Whether the job is finished; downloads its photograph if not."""
        source, target = self.stage.source(job), self.stage.target(job)
        modified = 0
        if target is not None:
            if job.medium is not Medium.PHOTO:
                raise OutputError(
                    path=job.source,
                    problem=Text(
                        "results of videos go to a folder on disk: choose another ",
                        OptionName("output"),
                        ", and copy them",
                    ),
                )
            make_folder(job.target.parent)
            _mirror_results(
                target, job.target, self.formats, fetches=self.thoroughness is CheckLevel.HASHES
            )
        if source is not None:
            # An empty file of the right size and time is enough to see whether work is needed.
            size, modified = source.size_and_time()
            make_folder(job.source.parent)
            job.source.touch()
            os.truncate(job.source, size)
            os.utime(job.source, ns=(modified, modified))
        # super() fails here: a dataclass with slots replaces the class after defining its methods.
        if ResultWriter.is_finished(self, job):
            return True
        if source is not None:
            source.download(job.source)
            os.utime(job.source, ns=(modified, modified))
        return False

    def write(self, job: Job, photo: Photo, inference: Inference) -> FileSet | None:
        """Write and upload; on disk, return the placement."""
        formats = [*self.options_by_output(job)]
        placement = ResultWriter.write(self, job, photo, inference)
        target = self.stage.target(job)
        if target is None or placement is None:
            return placement
        commit_files(placement)
        _upload_results(job.target, target, formats)
        return None


def _mirror_results(target: Remote, stem: Path, formats: Sequence[str], *, fetches: bool) -> None:
    """Mirror files here: lists by content, others by size."""
    for path in (sidecar_path(stem), pending_path(stem)):
        there = _remote_beside(target, path)
        if there.exists():
            there.download(path)
    names = {stem.name + OUTPUTS[name].suffix for name in formats}
    if sidecar_path(stem).exists():
        try:
            sidecar = read_sidecar(sidecar_path(stem))
        except InputError:
            sidecar = None
        if sidecar is not None:
            names |= {*(facts.file for facts in sidecar.files), *sidecar.earlier}
    is_cut = is_torn(sidecar_path(stem)) or is_torn(pending_path(stem))
    for name in names:
        path = stem.with_name(name)
        there = _remote_beside(target, path)
        if path.exists() or not there.exists():
            continue
        if is_cut or fetches:
            there.download(path)
        else:
            path.touch()
            os.truncate(path, there.size_and_time()[0])


def _upload_results(stem: Path, target: Remote, formats: Sequence[str]) -> None:
    """Upload, the JSON last, marked as pending meanwhile."""
    json, pending = sidecar_path(stem), pending_path(stem)
    text = json.read_text(encoding="utf-8")
    sidecar = parse_sidecar(text, printable(json))
    files = tuple(facts.file for facts in sidecar.files)
    Claim(stem=stem, files=files, earlier=sidecar.earlier).write_pending_list()
    _remote_beside(target, pending).upload(pending)
    _remote_beside(target, json).remove()
    for facts in sidecar.files:
        if facts.output in formats:
            _remote_beside(target, stem.with_name(facts.file)).upload(stem.with_name(facts.file))
    json.write_text(text, encoding="utf-8")
    _remote_beside(target, json).upload(json)
    _remote_beside(target, pending).remove()


def _remote_beside(target: Remote, path: Path) -> Remote:
    return target.with_path(f"{target.path.rpartition('/')[0]}/{path.name}")


@dataclass(frozen=True, slots=True)
class Addresses(Storage):
    """Inputs, results or both at addresses."""

    def check_output(self, output: Path) -> None:
        """Refuse an output that cannot be written to."""
        address = address_or_none(output)
        if address is not None:
            open_remote(address, for_writing=True)

    def list_jobs(
        self, inputs: Sequence[str | Path], output: Path, *, sequence: bool, left_out: LeftOut
    ) -> Iterator[Job]:
        """List all jobs in a fixed order."""
        return list_jobs(inputs, output, sequence=sequence, left_out=left_out)

    def open_task(self) -> Stage:
        """Scratch folder of a task."""
        return Stage()
