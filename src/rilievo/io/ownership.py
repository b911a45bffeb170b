"""Ownership of files in an output folder: which ones rilievo may replace.

A file is ours if the JSON file beside it lists it. Before the first file of a set is written, the
list of its files is saved as ``.STEM.json.pending``, so that files left by a killed run are still
known as ours. Then the JSON file of an older set is removed, so that no JSON file ever lists
incomplete files.

A power cut can leave an empty list; results of rilievo 0.1 were not protected from that. Beside an
empty list, files that carry a mark of rilievo count as ours.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, OutputError
from rilievo.io.atomic import remove, replacing
from rilievo.io.checksums import is_marked, is_torn
from rilievo.io.facts import FORMAT
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.limits import read_text
from rilievo.io.placement import Placement
from rilievo.io.sidecar import read_sidecar, sidecar_path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """Names of the files that a run is about to write, and of those that were there before."""

    format: str = FORMAT
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Permission to put a set of files in place.

    Attributes:
        stem: Path of the files without their suffixes.
        files: Names of the files.
        earlier: Our files of earlier runs that this set does not replace.
    """

    stem: Path
    files: tuple[str, ...]
    earlier: tuple[str, ...]

    def placement(self) -> Placement:
        """Placement to fill and place; it writes the list of files before the first of them."""
        return Placement(
            record=sidecar_path(self.stem),
            notice=pending_path(self.stem),
            notice_text=self._listed(),
        )

    def begin(self) -> None:
        """Save the list of our files before the first of them is in place."""
        with replacing(pending_path(self.stem)) as part:
            part.write_text(self._listed(), encoding="utf-8")
        remove(sidecar_path(self.stem))

    def _listed(self) -> str:
        return to_json(_Pending(files=(*self.files, *self.earlier)), indent=1) + "\n"


def check_claim(stem: Path, files: Sequence[str], *, overwrite: bool) -> Claim:
    """Check whether a set of files may be written, without changing anything.

    Args:
        stem: Path of the files without their suffixes.
        files: Names of the files, without the JSON file.
        overwrite: Whether files of a complete earlier run may be replaced. Files left by a killed
            run always may.
    """
    json = sidecar_path(stem)
    finished, left = _finished(stem), _left_behind(stem)
    is_cut = not finished and (is_torn(json) or is_torn(pending_path(stem)))
    for path in (json, *(stem.with_name(file) for file in files)):
        if not os.path.lexists(path) or (path.name in left and not finished):
            continue
        if is_cut and (is_marked(path) or (path == json and is_torn(json))):
            continue
        if path.name not in finished:
            raise OutputError(
                f"{path}: rilievo did not write this file, so it is not replaced: move it or "
                "choose another folder"
            )
        if not overwrite:
            raise OutputError(
                f"{path}: exists from an earlier run; pass --overwrite (overwrite=True) to replace "
                "it"
            )
    earlier = sorted(
        name
        for name in (finished | left) - {json.name, *files}
        if os.path.lexists(stem.with_name(name))
    )
    return Claim(stem=stem, files=tuple(files), earlier=tuple(earlier))


def pending_path(stem: Path) -> Path:
    """Path of the list of files that a run is about to write."""
    return stem.with_name(f".{sidecar_path(stem).name}.pending")


def _finished(stem: Path) -> set[str]:
    """Names of the files that a complete run wrote, with the JSON file itself."""
    path = sidecar_path(stem)
    try:
        sidecar = read_sidecar(path)
    except InputError:
        return set()
    return {path.name, *(facts.file for facts in sidecar.files), *sidecar.earlier}


def _left_behind(stem: Path) -> set[str]:
    """Names of the files that an unfinished run was about to write."""
    try:
        text = read_text(pending_path(stem))
        return set(from_json(_Pending, text).files)
    except (InputError, NotThisRecord):
        return set()
