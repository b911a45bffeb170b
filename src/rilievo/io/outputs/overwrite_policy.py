"""Which existing files of an output folder rilievo may replace, and to which it may add others.

A file is rilievo's if the JSON beside it or the pending list of a killed run lists it. If a power
cut has emptied these lists, files are recognised by their marks.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from rilievo.errors import InputError, OutputError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.checksums import CheckLevel, first_fault, is_ours_or_blank, is_torn
from rilievo.io.files.atomic import remove, remove_part, write_text
from rilievo.io.files.commit import FileSet, sweep_lock
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import InvalidRecordError, from_json, to_json
from rilievo.io.outputs.sidecar import (
    FORMAT,
    SOURCE_BYTES,
    SOURCE_MODIFIED,
    FileFacts,
    Sidecar,
    find_sidecar,
    sidecar_path,
    write_sidecar,
)
from rilievo.records.prediction_record import MadeBy, Setting

_MAX_DIFFERENCE = 1e-3
"""Relative difference up to which values count as equal, because the results of networks differ in
the seventh digit across processors."""
_ZERO_DECIMALS = re.compile(r"(?<=\d)\.0+(?![\d])")
_FILE_SETTINGS = ("sparse", "valid_mask")
"""Settings that are the name of a file, a blank, and the SHA-256 of its contents."""
_FOREIGN_FILE_MESSAGE = (
    "rilievo did not write this file, so it is not replaced: move it or choose another folder"
)


def earlier_sidecar(
    stem: Path, sidecar: Sidecar, run: Mapping[str, Setting] | None, level: CheckLevel
) -> Sidecar | None:
    """Read the JSON of an earlier run to which this one may add files; None if there is none.

    The earlier run must have had the same photograph, model and options. If ``run`` says which file
    the photograph is, files are compared by size and time, as other options are. Otherwise, for
    example if Python code saves a single prediction, the results in the two JSON are compared.

    The returned JSON lists only files that are still complete.

    Args:
        stem: Path of the results without suffix.
        sidecar: JSON of this run.
        run: Options of this run; None for a single call.
        level: How thoroughly earlier files are compared with their checksums.

    Raises:
        OutputError: If the earlier run had another photograph, model or options.
    """
    path = sidecar_path(stem)
    earlier = find_sidecar(path)
    if earlier is None:
        return None
    check_same_settings(path, earlier, sidecar.made_by, run)
    if not _identifies_photo_file(run):
        difference = _photo_difference(earlier, sidecar)
        if difference is not None:
            raise _other_result_error(path, difference)
    complete_files = [
        file_facts
        for file_facts in earlier.files
        if file_fault(stem.parent, file_facts, level) is None
    ]
    return replace(earlier, files=tuple(complete_files))


def _identifies_photo_file(run: Mapping[str, Setting] | None) -> bool:
    """Whether the settings of a run say which file the photograph is."""
    return run is not None and SOURCE_BYTES in run and SOURCE_MODIFIED in run


def check_same_settings(
    path: Path, earlier: Sidecar, made_by: MadeBy, run: Mapping[str, Setting] | None
) -> None:
    """Check that an earlier run, whose JSON lies at a path, had the same model and options.

    Without a ``run``, only the model and its settings are compared.

    Raises:
        OutputError: If it had others; the message names the first difference.
    """
    difference = _first_difference(earlier, made_by, run)
    if difference is not None:
        raise _other_result_error(path, difference)


def _other_result_error(path: Path, difference: str) -> OutputError:
    """Return the error for a JSON of other results, with what to do about it."""
    return OutputError(
        problem=Text(
            f"{path} was made with {difference}: use ",
            OptionName("overwrite", "True"),
            " to replace it, or choose another ",
            OptionName("output"),
        )
    )


def _first_difference(
    earlier: Sidecar, made_by: MadeBy, run: Mapping[str, Setting] | None
) -> str | None:
    """Describe the first difference in model or options of two runs; None if they are equal."""
    if earlier.made_by.weights_sha256 != made_by.weights_sha256:
        return f"a different model or different weights ({earlier.made_by.model})"
    old_settings, new_settings = {**earlier.made_by.settings}, {**made_by.settings}
    if run is not None:
        old_settings |= earlier.run
        new_settings |= run
    # The version comes first, because it explains other differences.
    for name in dict.fromkeys(("processing", *old_settings, *new_settings)):
        # A setting that is not recorded is None, because options that were not used have no key.
        old, new = old_settings.get(name), new_settings.get(name)
        if not _is_same_setting(name, old, new):
            return _describe_difference(name, old, new)
    return None


def _is_same_setting(name: str, old: Setting, new: Setting) -> bool:
    """Whether a setting of two runs has the same meaning, even if its texts differ."""
    if old == new:
        return True
    if name == "camera":
        return _is_same_camera(old, new)
    if name in _FILE_SETTINGS and old is not None and new is not None:
        return _checksum_of_file_setting(old) == _checksum_of_file_setting(new)
    return False


def _is_same_camera(old: Setting, new: Setting) -> bool:
    """Whether two texts of a camera differ only in decimals of zero: rilievo 0.2 wrote 525.0."""
    if not isinstance(old, str) or not isinstance(new, str):
        return False
    return _ZERO_DECIMALS.sub("", old) == _ZERO_DECIMALS.sub("", new)


def _describe_difference(name: str, old: Setting, new: Setting) -> str:
    """Describe how a setting differs between two runs; None is a setting that was not used."""
    if name in (SOURCE_BYTES, SOURCE_MODIFIED):
        return "a different photograph, or one that was changed or copied since then"
    if name == "processing":
        old_version = "not stated" if old is None else old
        return f"a different version of rilievo (its processing was {old_version} and is now {new})"
    if name in _FILE_SETTINGS:
        return _describe_file_difference(name, old, new)
    return f"different options ({name} was {_setting_text(old)} and is now {_setting_text(new)})"


def _describe_file_difference(name: str, old: Setting, new: Setting) -> str:
    """Describe how the file that an option names differs between two runs."""
    old_file, new_file = _name_of_file_setting(old), _name_of_file_setting(new)
    if old_file == new_file:
        return f"a different file {new_file}, or one that was changed since then"
    return (
        f"different options ({name} was {_setting_text(old_file)} and is now "
        f"{_setting_text(new_file)})"
    )


def _name_of_file_setting(setting: Setting) -> str:
    """Name of the file; "" if there is none."""
    return str(setting or "").rpartition(" ")[0]


def _checksum_of_file_setting(setting: Setting) -> str:
    return str(setting).rpartition(" ")[2]


def _setting_text(value: object) -> str:
    """Setting or field as text; "not given" if it is None or empty."""
    return "not given" if value is None or value == "" else str(value)


def file_fault(folder: Path, file_facts: FileFacts, level: CheckLevel) -> str | None:
    """Describe what is wrong with a missing or changed file; None if it is complete."""
    if file_facts.file_sums is None:
        return f"{file_facts.file} cannot be checked, because the JSON does not record its size"
    return first_fault(folder, file_facts.file_sums, level)


def _photo_difference(earlier: Sidecar, sidecar: Sidecar) -> str | None:
    """Describe how the photograph, its calibration or its camera differs; None if none does."""
    # Model and options are equal here, so depth differs only if the photograph does.
    for field_name, description in (
        ("source", "a different photograph"),
        ("calibration", "a different scale"),
        ("camera", "a different camera"),
        ("depth", "a different photograph"),
    ):
        old, new = getattr(earlier, field_name), getattr(sidecar, field_name)
        if old is None and new is None:
            continue
        if old is None or new is None:
            return f"{description} ({field_name})"
        difference = _first_field_difference(old, new)
        if difference is not None:
            return f"{description} ({field_name}: {difference})"
    return None


def _first_field_difference(old: object, new: object) -> str | None:
    """Describe the first field, nested or not, in which two records differ; None if none does."""
    old_fields = dict(_json_leaves(json.loads(to_json(old))))
    new_fields = dict(_json_leaves(json.loads(to_json(new))))
    for name in old_fields | new_fields:
        old_value, new_value = old_fields.get(name), new_fields.get(name)
        if not _is_close_or_equal(old_value, new_value):
            return f"{name} was {_setting_text(old_value)} and is now {_setting_text(new_value)}"
    return None


def _is_close_or_equal(old: object, new: object) -> bool:
    if isinstance(old, float) and isinstance(new, float | int):
        return math.isclose(old, new, rel_tol=_MAX_DIFFERENCE)
    return old == new


def _json_leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the values of a JSON that are neither lists nor objects, with their dotted paths."""
    children = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for name, value in children:
        if isinstance(value, dict | list):
            yield from _json_leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@dataclass(frozen=True, slots=True, kw_only=True)
class _PendingList:
    """Content of the pending list: the files of a run that has not ended."""

    format: str = FORMAT
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Permission to write a set of files.

    Attributes:
        earlier: Names of files of earlier runs that stay.
    """

    stem: Path
    files: tuple[str, ...]
    earlier: tuple[str, ...]

    def make_file_set(self) -> FileSet:
        """Make the set of files to be written, which has no files yet."""
        return FileSet(
            record=sidecar_path(self.stem),
            pending_list=pending_path(self.stem),
            pending_text=self.pending_text(),
            replaces_described_file=self.replaces_described_file,
        )

    def replaces_described_file(self, written: Sequence[FileFacts] = ()) -> bool:
        """Whether the JSON describes a file that another one replaces, or cannot be read.

        The JSON stays true when an equal file replaces the one that it describes, or when a file is
        replaced that it only lists as ``earlier``.

        Args:
            written: Descriptions of the new files; without that of a file, it counts as another.
        """
        sidecar = find_sidecar(sidecar_path(self.stem))
        if sidecar is None:
            return True
        new_sums = {file_facts.file: file_facts.file_sums for file_facts in written}
        replaced = [described for described in sidecar.files if described.file in self.files]
        return any(
            described.file_sums is None or described.file_sums != new_sums.get(described.file)
            for described in replaced
        )

    def pending_text(self) -> str:
        """Text of the pending list."""
        return _pending_text((*self.files, *self.earlier))


def _pending_text(files: tuple[str, ...]) -> str:
    """Text of the pending list of these files."""
    return to_json(_PendingList(files=files), indent=1) + "\n"


def mark_unfinished(stem: Path, sidecar: Sidecar) -> None:
    """Write the pending list of results and remove their JSON, as at the beginning of a run."""
    write_text(pending_path(stem), _pending_text(sidecar.all_names))
    remove(sidecar_path(stem))


def check_claim(
    stem: Path, files: Sequence[str], *, overwrite: bool, others: Sequence[str] = ()
) -> Claim:
    """Check whether a set of files may be written.

    The pending list names the files of a run before they are written; the JSON names finished
    files. Files that only the pending list names are of a killed run, and may be replaced without
    ``overwrite``. After a power cut both lists may be empty, so files are recognised by content.

    Args:
        stem: Path of the results without suffix.
        files: Names of the files.
        overwrite: Whether files of an earlier run may be replaced.
        others: Names of all files that rilievo could write there, in any format.

    Raises:
        OutputError: If a file exists that may not be replaced.
    """
    json_path, pending = sidecar_path(stem), pending_path(stem)
    sidecar = find_sidecar(json_path)
    finished = set() if sidecar is None else {json_path.name, *sidecar.all_names}
    unfinished = _read_pending_list(pending)
    existing = [path for path in (json_path, *map(stem.with_name, files)) if os.path.lexists(path)]
    # A power cut may have emptied the JSON or the pending list.
    is_list_lost = bool(existing) and not finished and (is_torn(json_path) or is_torn(pending))

    for path in existing:
        if path.name in finished:
            if not overwrite:
                raise OutputError(
                    "the file already exists from an earlier run",
                    path=path,
                    hint=Text("pass ", OptionName("overwrite", "True"), " to replace it"),
                )
            continue
        is_torn_json = path == json_path and is_torn(json_path)
        is_recognised = is_list_lost and (is_ours_or_blank(path) or is_torn_json)
        if path.name not in unfinished and not is_recognised:
            raise OutputError(_FOREIGN_FILE_MESSAGE, path=path)

    known_names = finished | unfinished
    if is_list_lost:
        known_names |= {name for name in others if is_ours_or_blank(stem.with_name(name))}
    other_names = known_names - {json_path.name, *files}
    kept_names = sorted(name for name in other_names if os.path.lexists(stem.with_name(name)))
    return Claim(stem=stem, files=tuple(files), earlier=tuple(kept_names))


def _read_pending_list(pending: Path) -> set[str]:
    """Read the names in the pending list of a run that did not end; empty if there is no list."""
    if not os.path.lexists(pending):
        return set()
    try:
        return set(from_json(_PendingList, read_text(pending)).files)
    except (InputError, InvalidRecordError):
        return set()


def record_state(stem: Path) -> tuple[object, ...]:
    """Fingerprint of the JSON and the pending list, which changes when another process writes."""
    states: list[object] = []
    for path in (sidecar_path(stem), pending_path(stem)):
        with suppress(OSError):
            status = os.lstat(path)
            states.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(states)


def pending_path(stem: Path) -> Path:
    """Path of the pending list."""
    return stem.with_name(f".{sidecar_path(stem).name}.pending")


def sweep_leftovers(stem: Path) -> None:
    """Remove the pending list and the lock that a killed run has left beside a finished result."""
    remove_part(pending_path(stem))
    sweep_lock(sidecar_path(stem))


ClaimFiles: TypeAlias = Callable[[], tuple[Sidecar | None, Claim]]
"""Function that checks whether the files of a result may be written. It returns the JSON of an
earlier run to which they are added, if there is one, and the permission."""


class RecordedFiles:
    """Files of one result, which are written together with the JSON that describes them.

    The JSON also describes the files of earlier runs that stay. The steps are:

    1. ``RecordedFiles(...)`` claims the files, which checks that they may be written.
    2. ``create_record_part`` creates the temporary file of the JSON.
    3. The caller writes the files into ``file_set``, which has temporary files, too.
    4. ``write_record`` writes the JSON.
    5. ``commit_files`` renames all of them under a lock. If another process has written its own
       JSON since the claim, the files are claimed again, and the JSON is merged with that one.

    Attributes:
        claim: Permission to write the files.
        file_set: Temporary files of the result.
    """

    def __init__(self, stem: Path, claim_files: ClaimFiles) -> None:
        """Claim the files of a result, whose path without suffix is ``stem``.

        Raises:
            OutputError: If they may not be written.
        """
        self._stem = stem
        # Read before the claim, so that a JSON that is written during the claim is noticed.
        self._state_before_claim = record_state(stem)
        self._earlier_sidecar, self.claim = claim_files()
        self.file_set = self.claim.make_file_set()
        self._record_part: Path | None = None

    def create_record_part(self) -> None:
        """Create the temporary file of the JSON, before those of the files that it describes."""
        self._record_part = self.file_set.create_part(self.file_set.record)

    def write_record(self, sidecar: Sidecar, claim_again: ClaimFiles) -> None:
        """Write the JSON, when all the files that it describes are written.

        ``claim_again`` is called at the commit if another process has written the JSON meanwhile.
        """
        self._write_merged(sidecar, self._earlier_sidecar, self.claim)

        def merge_if_changed() -> str | None:
            """Merge with the JSON of another process; return the text of the new pending list."""
            is_unchanged = record_state(self._stem) == self._state_before_claim
            if is_unchanged:
                return None
            earlier_sidecar, claim = claim_again()
            self._write_merged(sidecar, earlier_sidecar, claim)
            return claim.pending_text()

        self.file_set.rewrite_record = merge_if_changed

    def _write_merged(self, sidecar: Sidecar, earlier: Sidecar | None, claim: Claim) -> None:
        """Write a JSON that also describes the files that stay of an earlier one."""
        assert self._record_part is not None, "it is created before the files are written"
        write_sidecar(self._record_part, _merge_sidecars(sidecar, earlier, claim.earlier))


def _merge_sidecars(
    sidecar: Sidecar, earlier: Sidecar | None, remaining: tuple[str, ...]
) -> Sidecar:
    """Combine this run's JSON with that of an earlier run.

    Args:
        sidecar: JSON of this run.
        earlier: JSON of the earlier run; None if there is none.
        remaining: Names of files of earlier runs that stay beside those of this one.
    """
    if earlier is None:
        return replace(sidecar, earlier=remaining)
    described = tuple(entry for entry in earlier.files if entry.file in remaining)
    described_names = {entry.file for entry in described}
    return replace(
        sidecar,
        # This run may have left these out, because none of its own files needs them.
        depth=sidecar.depth or earlier.depth,
        normals=sidecar.normals or earlier.normals,
        anchored=sidecar.anchored or earlier.anchored,
        anchoring=sidecar.anchoring or earlier.anchoring,
        files=(*described, *sidecar.files),
        earlier=tuple(name for name in remaining if name not in described_names),
    )
