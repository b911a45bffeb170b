"""Results that are there already: whether another run may add to them, or must leave them alone.

Two runs agree if photograph, model and options are the same. Then what the second writes stands
beside what the first wrote, in one JSON; mixing anything else would describe files wrongly.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, OutputError
from rilievo.io.facts import FileFacts, Sidecar
from rilievo.io.json_record import to_json
from rilievo.io.limits import printable
from rilievo.io.sidecar import read_sidecar, sidecar_path
from rilievo.io.sums import EMPTY, size_fault
from rilievo.types import MadeBy, Setting

MEND = "--overwrite (overwrite=True) makes it anew, or take another --output"

# Alike on every machine; networks differ between processors in the seventh digit.
_ALIKE = 1e-3


def agreeing(stem: Path, about: Sidecar, run: Mapping[str, Setting] | None) -> Sidecar | None:
    """What an earlier run says of results that this one may add to; None where there are none.

    Args:
        stem: Path of the results without suffix.
        about: What this run says.
        run: What else was asked of this run, the source's size and time with it; None where
            nothing is known of that, and the depths themselves tell photographs apart.

    Raises:
        OutputError: If the earlier run was another.
    """
    path = sidecar_path(stem)
    try:
        before = read_sidecar(path)
    except InputError:
        return None
    words = told_apart(before, about.made_by, run) or (_contents(before, about) if not run else "")
    if words:
        raise OutputError(f"{printable(path)} is of {words}: {MEND}")
    # A JSON lists whole files alone.
    whole = tuple(each for each in before.files if fault_of(stem.parent, each) is None)
    return replace(before, files=whole)


def told_apart(before: Sidecar, made_by: MadeBy, run: Mapping[str, Setting] | None) -> str | None:
    """What tells an earlier run's model and options from this one's, in words."""
    if before.made_by.weights_sha256 != made_by.weights_sha256:
        return f"another model ({before.made_by.model})"
    was = {**before.made_by.settings, **({} if run is None else before.run)}
    now = {**made_by.settings, **(run or {})}
    for name in was | now:
        # What is not recorded was not asked for: no flip is no key.
        if was.get(name) != now.get(name):
            if name.startswith("source_"):
                return "another photograph, or one that has changed"
            return f"other options ({name} was {was.get(name)}, is {now.get(name)})"
    return None


def merged(
    about: Sidecar, written: tuple[FileFacts, ...], before: Sidecar | None, earlier: tuple[str, ...]
) -> Sidecar:
    """The JSON of what this run wrote and of what an agreeing one wrote before.

    Args:
        about: What this run says.
        written: Its files.
        before: What the earlier run says; None where there was none.
        earlier: Names of our files that are there and that this run did not write.

    Raises:
        OutputError: If a file was written before in another way, such as in other colours.
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
    # Of rilievo 0.1, which kept no sizes.
    if path.is_file() and not path.stat().st_size:
        return f"{facts.file} {EMPTY}"
    return None if path.exists() else f"{facts.file} is missing"


def _check_same(before: FileFacts, now: FileFacts) -> None:
    """Refuse to replace a file by one that was drawn otherwise."""
    for part in ("colour", "surface"):
        old, new = getattr(before, part), getattr(now, part)
        if old is not None and new is not None and (words := _first(old, new)):
            raise OutputError(f"{printable(now.file)} is there, of other options ({words}): {MEND}")


def _contents(before: Sidecar, about: Sidecar) -> str | None:
    """What tells the photographs or the metres of two runs apart, in words."""
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
    """The first field in which two records differ, in words."""
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
