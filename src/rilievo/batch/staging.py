"""Photographs fetched from elsewhere, and results brought there, around the work on this machine.

A photograph is copied to a scratch folder with its own name, size and time, worked on there as
any other, and its results are brought to their place: each file as a whole, the JSON last. What
``rilievo.io.ownership`` does on a disk holds there too: the list of what is going to be written
comes first, so that a run that is killed leaves nothing that the next one would not know as ours.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rilievo.batch.addresses import Remote, address_of, remote
from rilievo.errors import InputError, OutputError
from rilievo.io.atomic import make_folder
from rilievo.io.limits import printable
from rilievo.io.marks import is_torn
from rilievo.io.output_table import OUTPUTS
from rilievo.io.ownership import Claim, pending_path
from rilievo.io.placement import Placement, place_one
from rilievo.io.sidecar import parse_sidecar, read_sidecar, sidecar_path
from rilievo.models.base import Inference
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.results import Results
from rilievo.types import Photo


class Stage:
    """A scratch folder, and which paths in it stand for which addresses."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._number = 0
        self._sources: dict[Path, str] = {}
        self._targets: dict[Path, str] = {}

    def enter(self, job: Job) -> Job:
        """The job as it is done on this machine; a job of paths alone stays as it is."""
        source, target = address_of(job.source), address_of(job.target)
        if source is None and target is None:
            return job
        here = self._own_folder()
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
        """Where the photograph comes from; None for one on disk."""
        address = self._sources.get(job.source)
        return None if address is None else remote(address)

    def target(self, job: Job) -> Remote | None:
        """Where results go, without suffix; None for a folder on disk."""
        address = self._targets.get(job.target)
        return None if address is None else remote(address, for_writing=True)

    def said(self, message: str) -> str:
        """A message with addresses in place of paths in the scratch folder."""
        for path, address in (*self._sources.items(), *self._targets.items()):
            message = message.replace(printable(path), printable(address.split("?")[0]))
        return message

    def clear(self) -> None:
        """Remove everything that was fetched and made."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._sources.clear()
        self._targets.clear()

    def _own_folder(self) -> Path:
        """Of one job: two may have photographs of one name."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rilievo-"))
        self._number += 1
        return self._folder / str(self._number)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedResults(Results):
    """Results of jobs that a stage has let in.

    Attributes:
        stage: Knows where they come from and go.
    """

    stage: Stage = field(default_factory=Stage)

    def is_finished(self, job: Job) -> bool:
        """As on disk; what is not finished is fetched.

        Raises:
            RilievoError: If it cannot be fetched, or there are results of other options.
        """
        source, target = self.stage.source(job), self.stage.target(job)
        modified = 0
        if target is not None:
            if job.medium is not Medium.PHOTO:
                raise OutputError(
                    f"{printable(job.source)}: results of videos go to a folder on disk: choose "
                    "another --output, and copy them"
                )
            make_folder(job.target.parent)
            _mirror(target, job.target, self.formats)
        if source is not None:
            # An empty file of the right size and time is enough to see whether work is needed.
            size, modified = source.size_and_time()
            make_folder(job.source.parent)
            job.source.touch()
            os.truncate(job.source, size)
            os.utime(job.source, ns=(modified, modified))
        # Not super(): a record with slots is made anew after its methods are.
        if Results.is_finished(self, job):
            return True
        if source is not None:
            source.fetch(job.source)
            os.utime(job.source, ns=(modified, modified))
        return False

    def write(self, job: Job, photo: Photo, inference: Inference) -> Placement | None:
        """Write the results, and bring them to their place; on disk their parts.

        Raises:
            RilievoError: If that cannot be done; no JSON stands beside files that are not whole.
        """
        placement = Results.write(self, job, photo, inference)
        target = self.stage.target(job)
        if target is None or placement is None:
            return placement
        place_one(placement)
        _bring(job.target, target, self.formats)
        return None


def _mirror(target: Remote, stem: Path, formats: Sequence[str]) -> None:
    """Make what is at a place known here: our lists as they are, of other files the sizes.

    Where a list lost its content, only the files themselves say whether they are ours.
    """
    for path in (sidecar_path(stem), pending_path(stem)):
        there = _beside(target, path)
        if there.exists():
            there.fetch(path)
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
        there = _beside(target, path)
        if path.exists() or not there.exists():
            continue
        if is_cut:
            there.fetch(path)
        else:
            path.touch()
            os.truncate(path, there.size_and_time()[0])


def _bring(stem: Path, target: Remote, formats: Sequence[str]) -> None:
    """Put results in place: the list of what comes, the files, the JSON; then the list goes.

    Only files of ``formats`` are new; of what an earlier run wrote there is nothing here to bring.
    """
    json, pending = sidecar_path(stem), pending_path(stem)
    kept = json.read_text(encoding="utf-8")
    sidecar = parse_sidecar(kept, printable(json))
    files = tuple(facts.file for facts in sidecar.files)
    Claim(stem=stem, files=files, earlier=sidecar.earlier).begin()
    _beside(target, pending).store(pending)
    _beside(target, json).remove()
    for facts in sidecar.files:
        if facts.output in formats:
            _beside(target, stem.with_name(facts.file)).store(stem.with_name(facts.file))
    json.write_text(kept, encoding="utf-8")
    _beside(target, json).store(json)
    _beside(target, pending).remove()


def _beside(target: Remote, path: Path) -> Remote:
    return target.at(f"{target.path.rpartition('/')[0]}/{path.name}")
