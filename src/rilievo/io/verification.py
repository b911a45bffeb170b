"""``rilievo.verify``: compare files with their recorded sizes and SHA-256."""

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
    compute_file_sum,
    content_fault,
    is_blank,
    is_ours_or_blank,
    is_torn,
    pending_path,
    read_pending_sums,
    read_sums,
)
from rilievo.io.files.archives import BROKEN_FILE, check_zip_member
from rilievo.io.files.limits import MAX_BYTES, read_text, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, from_json
from rilievo.io.outputs.sidecar import FORMAT, SUFFIX, read_sidecar
from rilievo.io.training_files import (
    FEATURES_SUFFIX,
    FRAMES_FORMAT,
    FRAMES_SUFFIX,
    features_fault,
    frames_description_path,
    frames_fault,
    has_onnx_checksum,
    onnx_fault,
)

_CONVERTED_MODEL = re.compile(r"[0-9a-f]{24}-([0-9a-f]{24})\.onnx")
"""Name of a converted model in the cache, which ends with the first digits of its own SHA-256."""
_CHECKED_BY_CONTENT = (".onnx", ".npz", FEATURES_SUFFIX, FRAMES_SUFFIX)
"""Suffixes of files that are checked by what they contain, and not by a record beside them."""
_RUN_RECORDS = ("evaluation.json", "record.json")
"""Records of evaluations and trainings, beside which checksums stand."""
_PENDING = ".pending"
_NO_CONTENT = Note(
    Text(
        "has no content, perhaps because of a power cut: compute its results again with ",
        OptionName("resume"),
    )
)
_NOT_ENDED = Note(
    Text(f"{MISSING}, because its run did not finish: continue with ", OptionName("resume"))
)
_RUN_AGAIN = "has no content, perhaps because of a power cut: repeat the command that wrote it"

_BEING_REPLACED = "the run that replaces its files did not finish: run its command again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A file that differs from what was written.

    Attributes:
        what: How it differs, and the remedy if it is not just to make the file anew.
    """

    file: str
    what: str

    def __str__(self) -> str:
        return f"{printable(self.file)}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Result of ``verify``: the number of files that are as they were written, and the faults."""

    whole: int
    faults: tuple[Fault, ...]

    @property
    def is_whole(self) -> bool:
        """Whether there are no faults."""
        return not self.faults


def verify(paths: str | Path | Sequence[str | Path]) -> Verification:
    """Compare files that rilievo wrote with their recorded sizes and SHA-256.

    Paths are folders, which are searched recursively, or JSON files or models.

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
    if not (findings.unchanged or findings.faults):
        searched = ", ".join(printable(path) for path in roots)
        raise InputError(
            "no record of sizes and checksums was found; give a folder, a JSON file or a model "
            "that rilievo wrote",
            path=searched,
        )
    return Verification(
        whole=len(findings.unchanged),
        faults=tuple(Fault(file=str(file), what=what) for file, what in findings.faults.items()),
    )


@dataclass(slots=True)
class _Findings:
    """What was found so far: unchanged files, and the first fault of each other file."""

    unchanged: set[Path] = field(default_factory=set)
    faults: dict[Path, str] = field(default_factory=dict)

    def verify_folder(self, folder: Path) -> None:
        """Verify all files in a folder and below it, in the order of their names."""
        for parent, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                self.verify_file(Path(parent, name))

    def verify_file(self, path: Path) -> None:
        """Verify a file, or the files that it lists if it is a record.

        A file that is neither a record nor checked by itself, such as a picture, is skipped here,
        because the record that lists it is verified.
        """
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
        elif path.suffix in _CHECKED_BY_CONTENT:
            self._verify_content(path)

    def _verify_content(self, path: Path) -> None:
        """Verify a file by what it contains, because no record beside it describes it."""
        if path.exists() and not path.is_file():
            # To read a named pipe would wait for ever.
            self._add_result(path, "is not a regular file")
        elif path.suffix == ".onnx":
            self._verify_onnx(path)
        elif path.suffix == ".npz":
            self._verify_archive(path)
        elif path.suffix == FEATURES_SUFFIX:
            self._add_result(path, features_fault(path))
        else:
            self._verify_frames(path)

    def _verify_pending_checksums(self, checksums: Path) -> None:
        """Verify pending checksums, unless checksums with the final name exist.

        Those are verified under their own name, together with the pending ones.
        """
        if not checksums.exists():
            self._verify_checksums(checksums)

    def _verify_run_record(self, path: Path) -> None:
        """Report a record that has no content or no checksums beside it."""
        if is_torn(path):
            self._add_result(path, _RUN_AGAIN)
        elif not _has_checksums(path.parent):
            self._add_result(path, f"has no {CHECKSUMS} next to it, so nothing can be verified")

    def _verify_pending_record(self, record: Path) -> None:
        """Report a pending record without a final one, because its run did not end."""
        if not record.exists() and record.name not in _RUN_RECORDS:
            self._add_result(record, _NOT_ENDED)

    def _verify_checksums(self, path: Path) -> None:
        """Verify the files in a list of checksums, some of which a killed run may have replaced."""
        try:
            recorded_sums = read_sums(path)
        except InputError as error:
            self._add_result(path, Note(error.text(path="")))
            return
        pending_sums = read_pending_sums(path)
        if pending_sums is not None:
            self._verify_replacement(path, recorded_sums or {}, pending_sums)
        elif recorded_sums is None:
            self._add_result(path, _RUN_AGAIN)
        else:
            self._verify_sums(path.parent, recorded_sums)

    def _verify_replacement(
        self,
        checksums: Path,
        recorded_sums: Mapping[str, FileSum],
        pending_sums: Mapping[str, FileSum],
    ) -> None:
        """Verify files of which some may have been replaced when their run was killed.

        A file is right if it matches either of its sums.
        """
        for name in {**recorded_sums, **pending_sums}:
            path = checksums.with_name(name)
            is_removed = name not in pending_sums
            if not path.exists() and (is_removed or pending_path(path).exists()):
                continue  # It was removed on purpose, or its pending file is about to be renamed.
            faults = [
                content_fault(path, sums[name])
                for sums in (recorded_sums, pending_sums)
                if name in sums
            ]
            matches_a_sum = None in faults
            self._add_result(path, None if matches_a_sum else faults[-1])
        self._add_result(checksums, _BEING_REPLACED)

    def _verify_sidecar(self, path: Path) -> None:
        """Verify the files in the JSON of a prediction; a JSON of another program is skipped."""
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
        for file_facts in sidecar.files:
            if file_facts.file_sums is None:
                file = path.parent / file_facts.file
                self._add_result(
                    file,
                    "has no recorded size or checksum, so it cannot be verified: create it again",
                )
            else:
                self._verify_sums(path.parent, file_facts.file_sums)

    def _verify_sums(self, folder: Path, sums: Mapping[str, FileSum]) -> None:
        for name, expected in sums.items():
            self._add_result(folder / name, content_fault(folder / name, expected))

    def _verify_onnx(self, path: Path) -> None:
        """Verify a model by the checksum in its name or at its end, if it has one."""
        converted_name = _CONVERTED_MODEL.fullmatch(path.name)
        if converted_name is not None:
            first_digits = converted_name[1]
            is_same = compute_file_sum(path).sha256.startswith(first_digits)
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
        """Verify cached frames if they are complete; only then do they have a description."""
        head = _read_json_head(frames_description_path(path))
        if head is not None and head.format == FRAMES_FORMAT and len(head.size) == 2:
            height, width = head.size
            self._add_result(path, frames_fault(path, head.count, height * width * 3))

    def _add_result(self, path: Path, fault: str | None) -> None:
        if fault is None:
            self.unchanged.add(path)
        else:
            self.faults.setdefault(path, fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class _JsonHead:
    """The part of a JSON that is read first: its format, and size and number of cached frames."""

    format: str
    size: tuple[int, ...] = ()
    count: int = 0


def _read_json_head(path: Path) -> _JsonHead | None:
    """Read the head of a JSON of rilievo; None for any other file."""
    try:
        return from_json(_JsonHead, read_text(path))
    except (InputError, InvalidRecordError):
        return None


def _replaced_path(pending: Path) -> Path:
    """Final path of a file with the hidden name ``.NAME.pending``."""
    return pending.with_name(pending.name.removesuffix(_PENDING)[1:])


def _has_checksums(folder: Path) -> bool:
    checksums = folder / CHECKSUMS
    return checksums.exists() or pending_path(checksums).exists()


def _archive_fault(path: Path) -> str | None:
    """Describe how an npz file is broken, by the checksums of its members; None if it is not."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                check_zip_member(member, most_bytes=MAX_BYTES)
            damaged_member = archive.testzip()
    except BROKEN_FILE as error:
        return f"is broken ({reason(error)})"
    if damaged_member is None:
        return None
    return f"is broken: its member {damaged_member} differs from what was written (crc32)"
