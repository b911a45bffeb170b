"""Existing files of an output folder: which rilievo may replace or add to.

A file is ours if the JSON beside it or the pending list of a killed run lists it, or by its mark if
a power cut emptied the list.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, OutputError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.checksums import CheckLevel, first_fault, is_ours_or_blank, is_torn
from rilievo.io.files.atomic import remove, replacing
from rilievo.io.files.commit import FileSet
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.outputs.sidecar import FORMAT, FileFacts, Sidecar, find_sidecar, sidecar_path
from rilievo.records.prediction_record import MadeBy, Setting

MAKE_ANEW_HINT = Text(
    OptionName("overwrite", "True"), " makes it anew, or take another ", OptionName("output")
)
WAS_MADE_WITH = "was made with"

_MAX_DIFFERENCE = 1e-3
"""Relative difference of equal values: across processors, networks differ in the seventh digit."""
_UNTOUCHED = (
    "rilievo did not write this file, so it is not replaced: move it or choose another folder"
)


def earlier_sidecar(
    stem: Path, about: Sidecar, run: Mapping[str, Setting] | None, level: CheckLevel
) -> Sidecar | None:
    """JSON of an earlier run to which this one may add, with its complete files; None without one.

    Args:
        stem: Path of the results without suffix.
        about: JSON of this run.
        run: Options of this run; None of a single call, which recognises photographs by their
            depth.
        level: How thoroughly earlier files are compared with their checksums.

    Raises:
        OutputError: If the earlier run had another photograph, model or options.
    """
    path = sidecar_path(stem)
    earlier = find_sidecar(path)
    if earlier is None:
        return None
    difference = first_difference(earlier, about.made_by, run)
    if not difference and not run:
        difference = _photo_difference(earlier, about)
    if difference:
        raise OutputError(problem=Text(f"{path} {WAS_MADE_WITH} {difference}: ", MAKE_ANEW_HINT))
    complete = [facts for facts in earlier.files if file_fault(stem.parent, facts, level) is None]
    return replace(earlier, files=tuple(complete))


def first_difference(
    earlier: Sidecar, made_by: MadeBy, run: Mapping[str, Setting] | None
) -> str | None:
    """First difference between the models and options of two runs, in words; None without one."""
    if earlier.made_by.weights_sha256 != made_by.weights_sha256:
        return f"another model or other weights ({earlier.made_by.model})"
    old = {**earlier.made_by.settings, **({} if run is None else earlier.run)}
    new = {**made_by.settings, **(run or {})}
    for name in dict.fromkeys(("processing", *old, *new)):
        # Options that are not recorded were not asked for: without flip there is no key.
        if old.get(name) != new.get(name):
            return _difference_of_setting(name, old, new)
    return None


def _difference_of_setting(
    name: str, old: Mapping[str, Setting], new: Mapping[str, Setting]
) -> str:
    if name.startswith("source_"):
        return "another photograph, or one that was changed or copied since"
    if name == "processing":
        old_version = old.get(name, "not stated")
        return f"another version of rilievo (processing was {old_version}, is {new.get(name)})"
    return (
        f"other options ({name} was {_setting_text(old.get(name))}, "
        f"is {_setting_text(new.get(name))})"
    )


def _setting_text(value: Setting) -> str:
    """Setting as text; "not given" without one."""
    return "not given" if value is None or value == "" else str(value)


def merge_sidecars(
    about: Sidecar,
    written: tuple[FileFacts, ...],
    earlier: Sidecar | None,
    remaining: tuple[str, ...],
) -> Sidecar:
    """Combine this run's JSON with that of an earlier run.

    Args:
        about: JSON of this run.
        written: Descriptions of its files.
        earlier: JSON of the earlier run, if there was one.
        remaining: Names of files of earlier runs that stay beside those of this one.
    """
    if earlier is None:
        return replace(about, files=written, earlier=remaining)
    described = tuple(facts for facts in earlier.files if facts.file in remaining)
    described_names = {facts.file for facts in described}
    return replace(
        about,
        # Maps that this run left out because none of its files needs them.
        depth=about.depth or earlier.depth,
        normals=about.normals or earlier.normals,
        anchored=about.anchored or earlier.anchored,
        anchoring=about.anchoring or earlier.anchoring,
        files=(*described, *written),
        earlier=tuple(name for name in remaining if name not in described_names),
    )


def file_fault(folder: Path, facts: FileFacts, level: CheckLevel) -> str | None:
    """Fault of a missing or changed file; None if it is whole."""
    if facts.sums is None:
        return f"{facts.file} has no size"
    return first_fault(folder, facts.sums, level)


def _photo_difference(earlier: Sidecar, about: Sidecar) -> str | None:
    """First difference between two photographs, calibrations or cameras; None without one."""
    for part, what in (
        ("source", "another photograph"),
        ("calibration", "other metres"),
        ("camera", "another camera"),
        ("depth", "another photograph"),
    ):
        old, new = getattr(earlier, part), getattr(about, part)
        if old is None and new is None:
            continue
        if old is None or new is None:
            return f"{what} ({part})"
        difference = _first_field_difference(old, new)
        if difference is not None:
            return f"{what} ({part}: {difference})"
    return None


def _first_field_difference(old: object, new: object) -> str | None:
    """First field, at any depth, in which two records differ; None if they are equal."""
    old_fields, new_fields = (
        dict(_json_leaves(json.loads(to_json(record)))) for record in (old, new)
    )
    for name in old_fields | new_fields:
        old_value, new_value = old_fields.get(name), new_fields.get(name)
        if not _is_close_or_equal(old_value, new_value):
            return f"{name} was {old_value}, is {new_value}"
    return None


def _is_close_or_equal(old: object, new: object) -> bool:
    if isinstance(old, float) and isinstance(new, float | int):
        return math.isclose(old, new, rel_tol=_MAX_DIFFERENCE)
    return old == new


def _json_leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Values of a JSON that are neither lists nor objects, with their paths."""
    for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, dict | list):
            yield from _json_leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """Content of the pending list: the files of a run that has not ended."""

    format: str = FORMAT
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Permission to write a set of files.

    Attributes:
        stem: Path of the results without suffix.
        files: Names of the files.
        earlier: Names of files of earlier runs that stay.
    """

    stem: Path
    files: tuple[str, ...]
    earlier: tuple[str, ...]

    def make_file_set(self) -> FileSet:
        """File set of the claim, without parts."""
        return FileSet(
            record=sidecar_path(self.stem),
            notice=pending_path(self.stem),
            notice_text=self.pending_text(),
            replaces_listed=self._replaces_listed,
        )

    def _replaces_listed(self) -> bool:
        """Whether the JSON lists one of the files, or cannot be read."""
        sidecar = find_sidecar(sidecar_path(self.stem))
        return sidecar is None or not {*sidecar.names, *sidecar.earlier}.isdisjoint(self.files)

    def write_pending_list(self) -> None:
        """Write the pending list; remove the JSON."""
        with replacing(pending_path(self.stem)) as part:
            part.write_text(self.pending_text(), encoding="utf-8")
        remove(sidecar_path(self.stem))

    def pending_text(self) -> str:
        """Text of the pending list."""
        return to_json(_Pending(files=(*self.files, *self.earlier)), indent=1) + "\n"


def check_claim(
    stem: Path, files: Sequence[str], *, overwrite: bool, others: Sequence[str] = ()
) -> Claim:
    """Check whether a set of files may be written.

    Files of a killed run may be replaced without ``overwrite``.

    Args:
        stem: Path of the results without suffix.
        files: Names of the files.
        overwrite: Whether files of an earlier run may be replaced.
        others: Names of all files that rilievo may write there.

    Raises:
        OutputError: If a file exists that may not be replaced.
    """
    json_path, pending = sidecar_path(stem), pending_path(stem)
    sidecar = find_sidecar(json_path)
    finished = set() if sidecar is None else {json_path.name, *sidecar.names, *sidecar.earlier}
    unfinished = _files_of_killed_run(pending)
    existing = [path for path in (json_path, *map(stem.with_name, files)) if os.path.lexists(path)]
    # After a power cut, files are recognised by their marks, as their list may be empty.
    is_list_lost = bool(existing) and not finished and (is_torn(json_path) or is_torn(pending))
    for path in existing:
        if path.name in finished:
            if not overwrite:
                raise OutputError(
                    "exists from an earlier run",
                    path=path,
                    hint=Text("pass ", OptionName("overwrite", "True"), " to replace it"),
                )
        elif path.name not in unfinished:
            is_torn_json = path == json_path and is_torn(json_path)
            if not is_list_lost or not (is_ours_or_blank(path) or is_torn_json):
                raise OutputError(_UNTOUCHED, path=path)
    if is_list_lost:
        unfinished |= {name for name in others if is_ours_or_blank(stem.with_name(name))}
    names_before = (finished | unfinished) - {json_path.name, *files}
    earlier = sorted(name for name in names_before if os.path.lexists(stem.with_name(name)))
    return Claim(stem=stem, files=tuple(files), earlier=tuple(earlier))


def _files_of_killed_run(pending: Path) -> set[str]:
    """Names in the pending list of a run that did not end; none without a list."""
    if not os.path.lexists(pending):
        return set()
    try:
        return set(from_json(_Pending, read_text(pending)).files)
    except (InputError, NotThisRecord):
        return set()


def record_state(stem: Path) -> tuple[object, ...]:
    """Values that change with the JSON or the pending list."""
    states: list[object] = []
    for path in (sidecar_path(stem), pending_path(stem)):
        with suppress(OSError):
            state = os.lstat(path)
            states.append((path, state.st_ino, state.st_size, state.st_mtime_ns))
    return tuple(states)


def pending_path(stem: Path) -> Path:
    """Path of the pending list."""
    return stem.with_name(f".{sidecar_path(stem).name}.pending")
