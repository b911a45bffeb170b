"""Existing results: whether another run may add to them, or must not touch them.

Two runs agree if photograph, model and options are the same. Outputs of the second are then added
to those of the first in one JSON file; mixing anything else would describe files wrongly.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, OutputError
from rilievo.io.checksums import EMPTY, size_fault
from rilievo.io.facts import FileFacts, Sidecar
from rilievo.io.json_record import to_json
from rilievo.io.sidecar import read_sidecar, sidecar_path
from rilievo.types import MadeBy, Setting

MEND = "--overwrite (overwrite=True) makes it anew, or take another --output"

# Relative tolerance for values; across processors, networks differ in the seventh digit.
_ALIKE = 1e-3


def agreeing(stem: Path, about: Sidecar, run: Mapping[str, Setting] | None) -> Sidecar | None:
    """JSON of an earlier run to which this one may add; None where there are no results yet.

    Args:
        stem: Path of the results without suffix.
        about: JSON of this run.
        run: Other options of this run, with size and time of the source; None where these are not
            known, and photographs are then told apart by their depth values.
    """
    path = sidecar_path(stem)
    try:
        before = read_sidecar(path)
    except InputError:
        return None
    words = told_apart(before, about.made_by, run) or (_contents(before, about) if not run else "")
    if words:
        raise OutputError(f"{path} is of {words}: {MEND}")
    # The JSON file lists complete files only.
    whole = tuple(each for each in before.files if fault_of(stem.parent, each) is None)
    return replace(before, files=whole)


def told_apart(before: Sidecar, made_by: MadeBy, run: Mapping[str, Setting] | None) -> str | None:
    """First difference between an earlier run's model and options and this one's, in words."""
    if before.made_by.weights_sha256 != made_by.weights_sha256:
        return f"another model ({before.made_by.model})"
    was = {**before.made_by.settings, **({} if run is None else before.run)}
    now = {**made_by.settings, **(run or {})}
    for name in was | now:
        # Options that are not recorded were not asked for: without flip there is no key.
        if was.get(name) != now.get(name):
            if name.startswith("source_"):
                return "another photograph, or one that has changed"
            return f"other options ({name} was {was.get(name)}, is {now.get(name)})"
    return None


def merged(
    about: Sidecar, written: tuple[FileFacts, ...], before: Sidecar | None, earlier: tuple[str, ...]
) -> Sidecar:
    """Combine the JSON of this run with that of an earlier run that agrees with it.

    Args:
        about: JSON of this run.
        written: Files that this run wrote.
        before: JSON of the earlier run; None where there was none.
        earlier: Names of our files that exist and that this run did not write.
    """
    if before is None:
        return replace(about, files=written, earlier=earlier)
    now = {facts.file: facts for facts in written}
    for facts in before.files:
        if facts.file in now:
            _check_same(facts, now[facts.file])
    kept = tuple(facts for facts in before.files if facts.file in earlier)
    others = {facts.file for facts in kept}
    return replace(
        about,
        # Maps that this run left out because none of its files needs them.
        depth=about.depth or before.depth,
        normals=about.normals or before.normals,
        files=(*kept, *written),
        earlier=tuple(name for name in earlier if name not in others),
    )


def fault_of(folder: Path, facts: FileFacts) -> str | None:
    """Fault of a file: missing, or of another size than was written; None if it is whole."""
    sums, path = facts.sums, folder / facts.file
    if sums is not None:
        return size_fault(folder, sums)
    # Results of rilievo 0.1 have no sizes.
    if path.is_file() and not path.stat().st_size:
        return f"{facts.file} {EMPTY}"
    return None if path.exists() else f"{facts.file} is missing"


def _check_same(before: FileFacts, now: FileFacts) -> None:
    """Refuse to replace a file by one written with other options."""
    for part in ("colour", "surface"):
        old, new = getattr(before, part), getattr(now, part)
        if old is not None and new is not None and (words := _first(old, new)):
            raise OutputError(f"{now.file} is there, of other options ({words}): {MEND}")


def _contents(before: Sidecar, about: Sidecar) -> str | None:
    """First difference between the photographs or the metres of two runs, in words."""
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
        if words := _first(old, new):
            return f"{what} ({name}: {words})"
    return None


def _first(before: object, now: object) -> str | None:
    """First field in which two records differ, in words."""
    was, found = (dict(_leaves(json.loads(to_json(each)))) for each in (before, now))
    for name in was | found:
        if not _is_alike(was.get(name), found.get(name)):
            return f"{name} was {was.get(name)}, is {found.get(name)}"
    return None


def _is_alike(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=_ALIKE)
    return one == other


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, dict | list):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
