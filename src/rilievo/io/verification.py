"""``rilievo.verify``: files against their recorded size and SHA-256."""

import glob
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rilievo.errors import InputError, MissingFileError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.checksums import (
    CHANGED,
    CHECKSUMS,
    MISSING,
    FileSum,
    checksum_path,
    content_fault,
    is_blank,
    is_ours_or_blank,
    is_torn,
    read_sums,
    sum_of,
)
from rilievo.io.files.archives import BROKEN_FILE, check_zip_member
from rilievo.io.files.limits import MAX_BYTES, read_text, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.onnx_checksums import has_onnx_checksum, onnx_fault
from rilievo.io.outputs.sidecar import FORMAT, SUFFIX, read_sidecar
from rilievo.io.replacement import pending_path, read_pending_sums
from rilievo.io.training_caches import (
    FEATURES_SUFFIX,
    FRAMES_FORMAT,
    FRAMES_SUFFIX,
    features_fault,
    frames_description_path,
    frames_fault,
)

_CONVERTED_MODEL = re.compile(r"[0-9a-f]{24}-([0-9a-f]{24})\.onnx")
"""Name of a cached model that was converted, which ends in the start of its own SHA-256."""
_RUN_RECORDS = ("evaluation.json", "record.json")
"""Records of evaluations and trainings, beside which checksums stand."""
_PENDING = ".pending"
_NO_CONTENT = Note(
    Text("has no content, as after a power cut: make its results anew with ", OptionName("resume"))
)
_NOT_ENDED = Note(Text(f"{MISSING}: its run did not end; go on with ", OptionName("resume")))
_RUN_AGAIN = "has no content, as after a power cut: run its command again"

_BEING_REPLACED = "the run that replaces its files did not end: run its command again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A file that differs from what was written.

    Attributes:
        file: Its path.
        what: How it differs, and the remedy, if there is one besides making it anew.
    """

    file: str
    what: str

    def __str__(self) -> str:
        return f"{printable(self.file)}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Result of ``verify``: the number of whole files, and the faults."""

    whole: int
    faults: tuple[Fault, ...]

    @property
    def is_whole(self) -> bool:
        """Whether there are no faults."""
        return not self.faults


def verify(paths: str | Path | Sequence[str | Path]) -> Verification:
    """Compare all that rilievo writes with its recorded size and SHA-256.

    Paths are folders, searched recursively, or JSON files or models.

    Examples:
        >>> _ = rilievo.predict("photo.jpg", model="rilievo/small").save("out/photo", "npz")
        >>> rilievo.verify("out").is_whole
        True

    Raises:
        InputError: If a path does not exist, or holds nothing of rilievo.
    """
    roots = [paths] if isinstance(paths, str | Path) else paths
    findings = _Findings()
    for path in map(Path, roots):
        if path.is_dir():
            findings.verify_folder(path)
        elif path.exists():
            findings.verify_file(path)
            if checksum_path(path).exists():
                findings.verify_file(checksum_path(path))
        else:
            raise MissingFileError("no such file or folder", path=path)
    if not (findings.whole or findings.faults):
        shown = ", ".join(printable(path) for path in roots)
        raise InputError("no record of sizes and checksums found there", path=shown)
    return Verification(
        whole=len(findings.whole),
        faults=tuple(Fault(file=str(file), what=what) for file, what in findings.faults.items()),
    )


@dataclass(slots=True)
class _Findings:
    """Whole files and faults of what was verified so far; the first fault of a file counts."""

    whole: set[Path] = field(default_factory=set)
    faults: dict[Path, str] = field(default_factory=dict)

    def verify_folder(self, folder: Path) -> None:
        """Verify all files in a folder and in those below it, in the order of their names."""
        for parent, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                self.verify_file(Path(parent, name))

    def verify_file(self, path: Path) -> None:
        """Verify a file, or those that it lists if it is a record; others are passed over."""
        name = path.name
        if name == CHECKSUMS or name.endswith(f".{CHECKSUMS}"):
            self._verify_checksums(path)
        elif name.endswith(f".{CHECKSUMS}{_PENDING}"):
            self._verify_pending_checksums(_replaced_path(path))
        elif name in _RUN_RECORDS:
            self._verify_run_record(path)
        elif name.endswith(SUFFIX):
            self._verify_sidecar(path)
        elif name.endswith(f".json{_PENDING}"):
            self._verify_pending_record(_replaced_path(path))
        elif path.suffix == ".onnx":
            self._verify_onnx(path)
        elif path.suffix == ".npz":
            self._verify_archive(path)
        elif path.suffix == FEATURES_SUFFIX:
            self._add_result(path, features_fault(path))
        elif path.suffix == FRAMES_SUFFIX:
            self._verify_frames(path)

    def _verify_pending_checksums(self, checksums: Path) -> None:
        """Verify checksums that are about to get their name; others are verified by their name."""
        if not checksums.exists():
            self._verify_checksums(checksums)

    def _verify_run_record(self, path: Path) -> None:
        """Find a record without content, or without checksums beside it."""
        if is_torn(path):
            self._add_result(path, _RUN_AGAIN)
        elif not _has_checksums(path.parent):
            self._add_result(path, f"has no {CHECKSUMS} beside it: nothing can be compared")

    def _verify_pending_record(self, record: Path) -> None:
        """Find a record that is about to get its name, as its run did not end."""
        if not record.exists() and record.name not in _RUN_RECORDS:
            self._add_result(record, _NOT_ENDED)

    def _verify_checksums(self, path: Path) -> None:
        try:
            sums = read_sums(path)
        except InputError as error:
            self._add_result(path, Note(error.text(path="")))
            return
        new_sums = read_pending_sums(path)
        if new_sums is not None:
            self._verify_replacement(path, sums or {}, new_sums)
        elif sums is None:
            self._add_result(path, _RUN_AGAIN)
        else:
            self._verify_sums(path.parent, sums)

    def _verify_replacement(
        self, checksums: Path, old: Mapping[str, FileSum], new: Mapping[str, FileSum]
    ) -> None:
        """Verify files of which some may have been replaced when their run was killed."""
        for name in {**old, **new}:
            path = checksums.with_name(name)
            is_removed = name not in new
            if not path.exists() and (is_removed or pending_path(path).exists()):
                continue  # it is gone on purpose, or is about to get its name
            faults = [content_fault(path, sums[name]) for sums in (old, new) if name in sums]
            self._add_result(path, None if None in faults else faults[-1])
        self._add_result(checksums, _BEING_REPLACED)

    def _verify_sidecar(self, path: Path) -> None:
        if is_torn(path):
            stem = path.name.removesuffix(SUFFIX)
            neighbours = set(path.parent.glob(f"{glob.escape(stem)}.*")) - {path}
            if any(is_ours_or_blank(neighbour) for neighbour in neighbours):
                self._add_result(path, _NO_CONTENT)
            return
        head = _read_json_head(path)
        if head is None or head.format != FORMAT:
            return
        try:
            sidecar = read_sidecar(path)
        except InputError as error:
            self._add_result(path, Note(error.text(path="")))
            return
        for facts in sidecar.files:
            if facts.sums is None:
                self._add_result(path.parent / facts.file, "has no size and sum: make it anew")
            else:
                self._verify_sums(path.parent, facts.sums)

    def _verify_sums(self, folder: Path, sums: Mapping[str, FileSum]) -> None:
        for name, expected in sums.items():
            self._add_result(folder / name, content_fault(folder / name, expected))

    def _verify_onnx(self, path: Path) -> None:
        converted = _CONVERTED_MODEL.fullmatch(path.name)
        if converted is not None:
            is_same = sum_of(path).sha256.startswith(converted[1])
            self._add_result(path, None if is_same else CHANGED)
        elif has_onnx_checksum(path):
            self._add_result(path, onnx_fault(path))
        elif is_blank(path):
            self._add_result(path, "has no content")

    def _verify_archive(self, path: Path) -> None:
        """Verify an npz of a sharded dataset, or of an evaluation's predictions."""
        is_shard = path.name.startswith("shard-")
        is_prediction = any((folder / "fingerprint.json").exists() for folder in path.parents)
        if is_shard or is_prediction:
            self._add_result(path, _archive_fault(path))

    def _verify_frames(self, path: Path) -> None:
        """Verify cached frames that are complete, which their description says."""
        head = _read_json_head(frames_description_path(path))
        if head is not None and head.format == FRAMES_FORMAT and len(head.size) == 2:
            height, width = head.size
            self._add_result(path, frames_fault(path, head.count, height * width * 3))

    def _add_result(self, path: Path, fault: str | None) -> None:
        if fault is None:
            self.whole.add(path)
        else:
            self.faults.setdefault(path, fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class _JsonHead:
    """What is read first of a JSON: its format, and the size and number of cached frames."""

    format: str
    size: tuple[int, ...] = ()
    count: int = 0


def _read_json_head(path: Path) -> _JsonHead | None:
    """Head of a JSON of ours; None of any other file."""
    try:
        return from_json(_JsonHead, read_text(path))
    except (InputError, NotThisRecord):
        return None


def _replaced_path(pending: Path) -> Path:
    """Path that a file with the hidden name ``.NAME.pending`` is about to get."""
    return pending.with_name(pending.name.removesuffix(_PENDING)[1:])


def _has_checksums(folder: Path) -> bool:
    """Whether a folder has checksums, or some that are about to get their name."""
    checksums = folder / CHECKSUMS
    return checksums.exists() or pending_path(checksums).exists()


def _archive_fault(path: Path) -> str | None:
    """How an npz file is broken, by the checksums of the archive; None if it is not."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                check_zip_member(member, most_bytes=MAX_BYTES)
            damaged = archive.testzip()
    except BROKEN_FILE as error:
        return f"is broken ({reason(error)})"
    if damaged is None:
        return None
    return f"is broken: its {damaged} differs from what was written (crc32)"
