"""Predict photographs at addresses: download them, work on disk, and upload the results.

Even if an upload breaks off, a result is either complete or recognised as incomplete: the list of
its files is uploaded first, and its sidecar last, as in ``rilievo.io.outputs.overwrite_policy``.
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
from rilievo.io.outputs.overwrite_policy import mark_unfinished, pending_path
from rilievo.io.outputs.sidecar import parse_sidecar, read_sidecar, sidecar_path
from rilievo.models.base import Inference, Model
from rilievo.predicting.inputs import Job, Medium, SkippedInputs
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.results import ResultWriter
from rilievo.predicting.predict_across import Storage, TaskFiles
from rilievo.prediction.output import OUTPUTS
from rilievo.records.sample import Photo


class Stage(TaskFiles):
    """Temporary folder of a task, with local copies of the files at addresses.

    ``localize_job`` gives a job temporary paths in place of addresses, and the stage remembers
    which address each path stands for. Downloads and uploads happen when results are checked and
    written (``StagedResults``).
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._num_subfolders = 0
        # Addresses by the temporary paths that stand for them.
        self._sources: dict[Path, str] = {}
        self._targets: dict[Path, str] = {}

    def localize_job(self, job: Job) -> Job:
        """Replace the addresses of a job by temporary paths."""
        source_address = address_or_none(job.source)
        target_address = address_or_none(job.target)
        if source_address is None and target_address is None:
            return job
        folder = self._new_subfolder()
        source = job.source
        if source_address is not None:
            source = folder / "in" / Path(source_address.split("?")[0]).name
            self._sources[source] = source_address
        target = job.target
        if target_address is not None:
            target = folder / "out" / job.target.name
            self._targets[target] = target_address
        return Job(source=source, medium=job.medium, target=target)

    def source(self, job: Job) -> Remote | None:
        """Remote photograph of a job, or None if it is on disk."""
        address = self._sources.get(job.source)
        return None if address is None else open_remote(address)

    def target(self, job: Job) -> Remote | None:
        """Remote results of a job, without a suffix, or None if they are on disk."""
        address = self._targets.get(job.target)
        return None if address is None else open_remote(address, for_writing=True)

    def make_result_writer(
        self, *, model: Model, options: PredictOptions, note: Callable[[str], None]
    ) -> "StagedResults":
        """Make the writer of the results, which uploads them as they are written."""
        return StagedResults(model=model, options=options, note=note, stage=self)

    def translate_message(self, message: str) -> str:
        """Replace temporary paths in a message by the addresses for which they stand."""
        text = Text(message)
        for path, address in (*self._sources.items(), *self._targets.items()):
            shown_path = printable(path)
            shown_address = printable(address.split("?")[0])  # the query may be a signature
            # A failed download already names its address after the path.
            text = text.replace(f"{shown_path}: {shown_address}: ", f"{shown_address}: ")
            text = text.replace(shown_path, shown_address)
        return Note(text)

    def remove_temporary_files(self) -> None:
        """Remove the temporary folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._sources.clear()
        self._targets.clear()

    def _new_subfolder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rilievo-"))
        self._num_subfolders += 1
        return self._folder / str(self._num_subfolders)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedResults(ResultWriter):
    """Writes the results of a ``Stage``'s jobs, and uploads them to their addresses."""

    stage: Stage = field(default_factory=Stage)

    @property
    def thoroughness(self) -> CheckLevel:
        """How closely earlier results are compared.

        Remote results are compared by size only, so that they need not be downloaded, unless the
        user asks for hashes.
        """
        if self.options.saving.resume == "hash":
            return CheckLevel.HASHES
        is_on_disk = address_or_none(self.options.saving.output) is None
        return CheckLevel.ENDS if is_on_disk else CheckLevel.SIZES

    def is_finished(self, job: Job) -> bool:
        """Whether an earlier run has finished a job; if not, download its photograph."""
        source = self.stage.source(job)
        target = self.stage.target(job)
        if target is not None:
            _check_is_photograph(job)
            make_folder(job.target.parent)
            needs_content = self.thoroughness is CheckLevel.HASHES
            _mirror_results(target, job.target, self.formats, download=needs_content)
        if source is None:
            return self._is_finished_on_disk(job)
        # Finished work is recognised by the size and time of the photograph, so zeros stand for
        # its content until it is needed.
        size, modified_ns = source.size_and_time()
        make_folder(job.source.parent)
        _make_file_of_zeros(job.source, size)
        os.utime(job.source, ns=(modified_ns, modified_ns))
        if self._is_finished_on_disk(job):
            return True
        source.download(job.source)
        os.utime(job.source, ns=(modified_ns, modified_ns))
        return False

    def _is_finished_on_disk(self, job: Job) -> bool:
        # super() fails here: a dataclass with slots replaces the class after defining its methods.
        return ResultWriter.is_finished(self, job)

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


def _check_is_photograph(job: Job) -> None:
    if job.medium is not Medium.PHOTO:
        raise OutputError(
            path=job.source,
            problem=Text(
                "results of videos can only be written to a folder on disk; choose such a folder "
                "as ",
                OptionName("output"),
                ", and copy the results afterwards",
            ),
        )


def _make_file_of_zeros(path: Path, size: int) -> None:
    path.touch()
    os.truncate(path, size)


def _mirror_results(target: Remote, stem: Path, formats: Sequence[str], *, download: bool) -> None:
    """Create local copies of the remote results of an earlier run.

    Unless ``download`` is true, only the sidecar and the list of files are downloaded. The other
    files become zeros of the right size.
    """
    for path in (sidecar_path(stem), pending_path(stem)):
        remote = _remote_beside(target, path)
        if remote.exists():
            remote.download(path)
    # Whether a damaged sidecar belongs to these files can only be told by their content.
    is_damaged = is_torn(sidecar_path(stem)) or is_torn(pending_path(stem))
    names_of_outputs = {stem.name + OUTPUTS[name].suffix for name in formats}
    for name in names_of_outputs | _names_in_sidecar(sidecar_path(stem)):
        path = stem.with_name(name)
        remote = _remote_beside(target, path)
        if path.exists() or not remote.exists():
            continue
        if is_damaged or download:
            remote.download(path)
        else:
            size, _ = remote.size_and_time()
            _make_file_of_zeros(path, size)


def _names_in_sidecar(path: Path) -> set[str]:
    """Names of all files that a sidecar lists; empty if it is missing or cannot be read."""
    if not path.exists():
        return set()
    try:
        return {*read_sidecar(path).all_names}
    except InputError:
        return set()


def _upload_results(stem: Path, target: Remote, formats: Sequence[str]) -> None:
    """Upload results. The list of pending files marks them as incomplete until the end."""
    sidecar_file = sidecar_path(stem)
    pending_file = pending_path(stem)
    text = sidecar_file.read_text(encoding="utf-8")
    sidecar = parse_sidecar(text, printable(sidecar_file))
    mark_unfinished(stem, sidecar)
    _remote_beside(target, pending_file).upload(pending_file)
    _remote_beside(target, sidecar_file).remove()
    for entry in sidecar.files:
        if entry.output in formats:
            path = stem.with_name(entry.file)
            _remote_beside(target, path).upload(path)
    sidecar_file.write_text(text, encoding="utf-8")
    _remote_beside(target, sidecar_file).upload(sidecar_file)
    _remote_beside(target, pending_file).remove()


def _remote_beside(target: Remote, path: Path) -> Remote:
    """Remote file with the name of a local one, in the folder of the remote results."""
    folder = target.path.rpartition("/")[0]
    return target.with_path(f"{folder}/{path.name}")


@dataclass(frozen=True, slots=True)
class Addresses(Storage):
    """Access to a run's files where inputs, results or both are at addresses."""

    def check_output(self, output: Path) -> None:
        """Raise ``OptionError`` if results cannot be written to an address."""
        address = address_or_none(output)
        if address is not None:
            open_remote(address, for_writing=True)

    def list_jobs(
        self, inputs: Sequence[str | Path], output: Path, *, sequence: bool, skipped: SkippedInputs
    ) -> Iterator[Job]:
        """List the jobs for all inputs, in a fixed order."""
        return list_jobs(inputs, output, sequence=sequence, skipped=skipped)

    def open_task(self) -> Stage:
        """Make the temporary folder of a task."""
        return Stage()
