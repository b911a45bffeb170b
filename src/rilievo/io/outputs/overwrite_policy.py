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

MEND = Text(
    OptionName("overwrite", "True"), " makes it anew, or take another ", OptionName("output")
)
WAS_MADE = "was made with"

# Relative tolerance for values; across processors, networks differ in the seventh digit.
_ALIKE = 1e-3


def earlier_sidecar(
    stem: Path, about: Sidecar, run: Mapping[str, Setting] | None, thoroughness: CheckLevel
) -> Sidecar | None:
    """JSON of an earlier run to which this one may add, if any.

    Without ``run``, photographs are told apart by their depth.
    """
    path = sidecar_path(stem)
    before = find_sidecar(path)
    if before is None:
        return None
    words = first_difference(before, about.made_by, run) or (
        _photo_difference(before, about) if not run else ""
    )
    if words:
        raise OutputError(problem=Text(f"{path} {WAS_MADE} {words}: ", MEND))
    # The JSON file lists complete files only.
    whole = tuple(
        file for file in before.files if file_fault(stem.parent, file, thoroughness) is None
    )
    return replace(before, files=whole)


def first_difference(
    before: Sidecar, made_by: MadeBy, run: Mapping[str, Setting] | None
) -> str | None:
    """First difference between two runs' models and options, in words."""
    if before.made_by.weights_sha256 != made_by.weights_sha256:
        return f"another model or other weights ({before.made_by.model})"
    was = {**before.made_by.settings, **({} if run is None else before.run)}
    now = {**made_by.settings, **(run or {})}
    for name in dict.fromkeys(("processing", *was, *now)):
        # Options that are not recorded were not asked for: without flip there is no key.
        if was.get(name) != now.get(name):
            if name.startswith("source_"):
                return "another photograph, or one that was changed or copied since"
            if name == "processing":
                then = was.get(name, "not stated")
                return f"another version of rilievo (processing was {then}, is {now.get(name)})"
            return (
                f"other options ({name} was {_setting_text(was.get(name))}, "
                f"is {_setting_text(now.get(name))})"
            )
    return None


def _setting_text(value: Setting) -> str:
    """Setting as text; "not given" without one."""
    return "not given" if value is None or value == "" else str(value)


def merge_sidecars(
    about: Sidecar, written: tuple[FileFacts, ...], before: Sidecar | None, earlier: tuple[str, ...]
) -> Sidecar:
    """Combine this run's JSON with that of an earlier run."""
    if before is None:
        return replace(about, files=written, earlier=earlier)
    described_before = tuple(facts for facts in before.files if facts.file in earlier)
    others = {facts.file for facts in described_before}
    return replace(
        about,
        # Maps that this run left out because none of its files needs them.
        depth=about.depth or before.depth,
        normals=about.normals or before.normals,
        anchored=about.anchored or before.anchored,
        anchoring=about.anchoring or before.anchoring,
        files=(*described_before, *written),
        earlier=tuple(name for name in earlier if name not in others),
    )


def file_fault(folder: Path, facts: FileFacts, thoroughness: CheckLevel) -> str | None:
    """Fault of a missing or changed file; None if it is whole."""
    if facts.sums is None:
        return f"{facts.file} has no size"
    return first_fault(folder, facts.sums, thoroughness)


def _photo_difference(before: Sidecar, about: Sidecar) -> str | None:
    for name, what in (
        ("source", "another photograph"),
        ("calibration", "other metres"),
        ("camera", "another camera"),
        ("depth", "another photograph"),
    ):
        old, new = getattr(before, name), getattr(about, name)
        if old is None and new is None:
            continue
        if old is None or new is None:
            return f"{what} ({name})"
        if words := _first_leaf_difference(old, new):
            return f"{what} ({name}: {words})"
    return None


def _first_leaf_difference(before: object, now: object) -> str | None:
    was, current = (dict(_json_leaves(json.loads(to_json(record)))) for record in (before, now))
    for name in was | current:
        if not _is_close_or_equal(was.get(name), current.get(name)):
            return f"{name} was {was.get(name)}, is {current.get(name)}"
    return None


def _is_close_or_equal(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=_ALIKE)
    return one == other


def _json_leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, dict | list):
            yield from _json_leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    format: str = FORMAT
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Permission to put a set of files in place."""

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
    """
    json, pending = sidecar_path(stem), pending_path(stem)
    sidecar = find_sidecar(json)
    finished = set() if sidecar is None else {json.name, *sidecar.names, *sidecar.earlier}
    left: set[str] = set()
    if os.path.lexists(pending):
        with suppress(InputError, NotThisRecord):
            left = set(from_json(_Pending, read_text(pending)).files)
    there = [path for path in (json, *map(stem.with_name, files)) if os.path.lexists(path)]
    is_cut = there and not finished and (is_torn(json) or is_torn(pending))
    for path in there:
        if path.name in left and path.name not in finished:
            continue
        if is_cut and (is_ours_or_blank(path) or (path == json and is_torn(json))):
            continue
        if path.name not in finished:
            raise OutputError(
                (
                    "rilievo did not write this file, so it is not "
                    "replaced: move it or choose another folder"
                ),
                path=path,
            )
        if not overwrite:
            raise OutputError(
                "exists from an earlier run",
                path=path,
                hint=Text("pass ", OptionName("overwrite", "True"), " to replace it"),
            )
    if is_cut:
        left |= {name for name in others if is_ours_or_blank(stem.with_name(name))}
    earlier = sorted(
        name
        for name in (finished | left) - {json.name, *files}
        if os.path.lexists(stem.with_name(name))
    )
    return Claim(stem=stem, files=tuple(files), earlier=tuple(earlier))


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
