"""Folder of a run: its configuration, weights and record, which make it a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from rilievo.errors import InputError, OutputError
from rilievo.io.atomic import make_folder, replacing, sweep_parts
from rilievo.io.checksums import content_fault, is_blank, is_torn, read_checksums, write_checksums
from rilievo.io.facts import FileSum
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.limits import printable, read_text
from rilievo.models.probe_run import CONFIG, WEIGHTS
from rilievo.train.differences import differing_options, with_whole_paths
from rilievo.train.engine.journal import LOGS

RECORD = "record.json"
CHECKPOINT = "checkpoint.pt"
"""File that exists while a run is in progress."""
Config = TypeVar("Config")
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder(Generic[Config, Record]):
    """Folder of a run of one kind: the classes of its configuration and record.

    ``is_ours`` tells whether a folder holds a run of this kind.
    """

    path: Path
    config: type[Config]
    record: type[Record]
    is_ours: Callable[[Path], bool]

    def check(self, config: Config, *, resume: bool) -> Config:
        """Check that a run in the folder, if there is one, is this one.

        Returns the configuration as the run has it; its paths may be spelled differently. Raises
        ``OutputError`` if something else is in the folder.
        """
        if self.path.is_dir():
            sweep_parts(self.path)
        if not self.is_begun:
            return config
        if not self.is_ours(self.path):
            raise OutputError(
                f"{printable(self.path / CONFIG)}: is not ours: choose another folder"
            )
        if not resume:
            raise OutputError(
                f"{printable(self.path)}: holds a run already: go on with it (--resume), or choose "
                "another folder"
            )
        before = self.read_config()
        differ = differing_options(with_whole_paths(before), config)
        if differ:
            raise OutputError(
                f"{printable(self.path)}: holds a run with other options ({'; '.join(differ)}): "
                "give those of then, or choose another folder"
            )
        return before

    @property
    def is_begun(self) -> bool:
        """Whether the folder has a configuration."""
        path = self.path / CONFIG
        return path.exists() and not is_torn(path)

    def write_config(self, config: Config, *, folders: Sequence[str] = (".",)) -> None:
        """Write the configuration of a new run, into folders of it that are models too."""
        for folder in folders:
            path = self.path / folder / CONFIG
            if not path.exists() or is_torn(path):
                make_folder(path.parent)
                with replacing(path) as part:
                    part.write_text(to_json(config, indent=2), encoding="utf-8")

    def read_config(self) -> Config:
        """Read the configuration of the run."""
        path = self.path / CONFIG
        try:
            return from_json(self.config, read_text(path))
        except NotThisRecord as error:
            raise InputError(f"{printable(path)}: is no run of this kind: {error}") from error

    def read_record(self) -> Record:
        """Read the record of the finished run."""
        path = self.path / RECORD
        try:
            return from_json(self.record, read_text(path))
        except NotThisRecord as error:
            raise InputError(
                f"{printable(path)}: is no record of a run ({error}): take it away to train anew"
            ) from error

    def finish(
        self,
        record: Record,
        *,
        others: Sequence[str] = (),
        known: Mapping[str, FileSum] | None = None,
    ) -> None:
        """Write the record after the weights, and delete the checkpoint once all is synced.

        Checksums are written of ``others`` too, further files; ``known`` are those of files as they
        were written.
        """
        with replacing(self.path / RECORD) as part:
            part.write_text(to_json(record, indent=2), encoding="utf-8")
        write_checksums(self.path, (CONFIG, WEIGHTS, RECORD, *others, *LOGS), known=known or {})
        (self.path / CHECKPOINT).unlink(missing_ok=True)

    def is_finished(self) -> bool:
        """Whether the run is finished; its checkpoint is deleted last.

        Raises ``InputError`` if its weights are broken and there is no checkpoint to resume from,
        or the checkpoint has no content.
        """
        run, checkpoint = self.path, self.path / CHECKPOINT
        if checkpoint.exists():
            if is_blank(checkpoint):
                raise InputError(
                    f"{printable(checkpoint)}: has no content, as after a power cut: take it away "
                    "to train anew, or copy the run from elsewhere"
                )
            return False
        if not all((run / each).exists() for each in (WEIGHTS, RECORD)) or is_torn(run / RECORD):
            return False
        expected = (read_checksums(run) or {}).get(WEIGHTS)
        fault = "has no content" if is_blank(run / WEIGHTS) else None
        if fault is None and expected is not None:
            fault = content_fault(run / WEIGHTS, expected)
        if fault is not None:
            raise InputError(
                f"{printable(run / WEIGHTS)}: {fault}, and there is no {CHECKPOINT} to go on from: "
                f"take {RECORD} away to train anew, or copy the run from elsewhere"
            )
        return True
