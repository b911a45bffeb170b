"""Predict photographs at addresses: download them, work on disk, and upload the results.

A result is complete or missing, also if the upload breaks off: the list of its files is uploaded
first, and its sidecar last, as in ``rilievo.io.outputs.overwrite_policy``.
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
    """Temporary folder of a task, in which files stand for those at addresses."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._number = 0
        self._sources: dict[Path, str] = {}
        self._targets: dict[Path, str] = {}

    def enter(self, job: Job) -> Job:
        """Job with temporary paths in place of addresses."""
        source, target = address_or_none(job.source), address_or_none(job.target)
        if source is None and target is None:
            return job
        folder = self._unused_folder()
        if source is not None:
            path = folder / "in" / Path(source.split("?")[0]).name
            self._sources[path] = source
            job = Job(source=path, medium=job.medium, target=job.target)
        if target is not None:
            path = folder / "out" / job.target.name
            self._targets[path] = target
            job = Job(source=job.source, medium=job.medium, target=path)
        return job

    def source(self, job: Job) -> Remote | None:
        """Remote photograph of a job; None if it is on disk."""
        address = self._sources.get(job.source)
        return None if address is None else open_remote(address)

    def target(self, job: Job) -> Remote | None:
        """Remote results of a job, without a suffix; None if they are on disk."""
        address = self._targets.get(job.target)
        return None if address is None else open_remote(address, for_writing=True)

    def results(
        self, *, model: Model, options: PredictOptions, note: Callable[[str], None]
    ) -> "StagedResults":
        """Results of the jobs of this task, which are uploaded as they are written."""
        return StagedResults(model=model, options=options, note=note, stage=self)

    def translated(self, message: str) -> str:
        """Replace temporary paths in a message by the addresses for which they stand."""
        text = Text(message)
        for path, address in (*self._sources.items(), *self._targets.items()):
            temporary, shown_address = printable(path), printable(address.split("?")[0])
            # A download that failed names its address itself.
            text = text.replace(f"{temporary}: {shown_address}: ", f"{shown_address}: ")
            text = text.replace(temporary, shown_address)
        return Note(text)

    def clear(self) -> None:
        """Remove the temporary folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._sources.clear()
        self._targets.clear()

    def _unused_folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rilievo-"))
        self._number += 1
        return self._folder / str(self._number)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedResults(ResultWriter):
    """Results of the jobs of a ``Stage``, which are uploaded."""

    stage: Stage = field(default_factory=Stage)

    @property
    def thoroughness(self) -> CheckLevel:
        """How closely earlier results are compared; without downloading them, by size only."""
        if self.options.saving.resume == "hash":
            return CheckLevel.HASHES
        is_on_disk = address_or_none(self.options.saving.output) is None
        return CheckLevel.ENDS if is_on_disk else CheckLevel.SIZES

    def is_finished(self, job: Job) -> bool:
        """Whether a job was finished by an earlier run; if not, download its photograph."""
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
            needs_content = self.thoroughness is CheckLevel.HASHES
            _mirror_results(target, job.target, self.formats, download=needs_content)
        if source is not None:
            # A file of zeros with the right size and time is enough to see whether work is needed.
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
        """Write the results of a job and upload them; return those that stay on disk."""
        formats = [*self.options_by_output(job)]
        placement = ResultWriter.write(self, job, photo, inference)
        target = self.stage.target(job)
        if target is None or placement is None:
            return placement
        commit_files(placement)
        _upload_results(job.target, target, formats)
        return None


def _mirror_results(target: Remote, stem: Path, formats: Sequence[str], *, download: bool) -> None:
    """Make local files like the remote results of an earlier run.

    Args:
        target: Remote results, without a suffix.
        stem: Local results, without a suffix.
        formats: Names of the outputs to look for.
        download: Whether to download the files; otherwise only the sidecar and the list of files
            are, and the others become zeros of the right size.
    """
    for path in (sidecar_path(stem), pending_path(stem)):
        remote = _remote_beside(target, path)
        if remote.exists():
            remote.download(path)
    names = {stem.name + OUTPUTS[name].suffix for name in formats}
    if sidecar_path(stem).exists():
        try:
            sidecar = read_sidecar(sidecar_path(stem))
        except InputError:
            sidecar = None
        if sidecar is not None:
            names |= {*(entry.file for entry in sidecar.files), *sidecar.earlier}
    is_damaged = is_torn(sidecar_path(stem)) or is_torn(pending_path(stem))
    for name in names:
        path = stem.with_name(name)
        remote = _remote_beside(target, path)
        if path.exists() or not remote.exists():
            continue
        if is_damaged or download:
            remote.download(path)
        else:
            size, _ = remote.size_and_time()
            path.touch()
            os.truncate(path, size)


def _upload_results(stem: Path, target: Remote, formats: Sequence[str]) -> None:
    """Upload results. The list of pending files marks them as incomplete until the end."""
    sidecar_file, pending = sidecar_path(stem), pending_path(stem)
    text = sidecar_file.read_text(encoding="utf-8")
    sidecar = parse_sidecar(text, printable(sidecar_file))
    names = tuple(entry.file for entry in sidecar.files)
    Claim(stem=stem, files=names, earlier=sidecar.earlier).write_pending_list()
    _remote_beside(target, pending).upload(pending)
    _remote_beside(target, sidecar_file).remove()
    for entry in sidecar.files:
        if entry.output in formats:
            path = stem.with_name(entry.file)
            _remote_beside(target, path).upload(path)
    sidecar_file.write_text(text, encoding="utf-8")
    _remote_beside(target, sidecar_file).upload(sidecar_file)
    _remote_beside(target, pending).remove()


def _remote_beside(target: Remote, path: Path) -> Remote:
    """Remote file with the name of a local one, in the folder of the remote results."""
    return target.with_path(f"{target.path.rpartition('/')[0]}/{path.name}")


@dataclass(frozen=True, slots=True)
class Addresses(Storage):
    """Access to a run's files where inputs, results or both are at addresses."""

    def check_output(self, output: Path) -> None:
        """Raise ``OptionError`` if results cannot be written to an address."""
        address = address_or_none(output)
        if address is not None:
            open_remote(address, for_writing=True)

    def list_jobs(
        self, inputs: Sequence[str | Path], output: Path, *, sequence: bool, left_out: LeftOut
    ) -> Iterator[Job]:
        """List the jobs for all inputs, in a fixed order."""
        return list_jobs(inputs, output, sequence=sequence, left_out=left_out)

    def open_task(self) -> Stage:
        """Make the temporary folder of a task."""
        return Stage()
