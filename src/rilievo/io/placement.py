"""Sets of files that get their names together, one record last.

The record (the JSON beside results) tells that a set is whole. So it gets its name when all other
files have theirs and are on the disk, and a power cut at any moment leaves either a record with
whole files or no record. Sets that are placed at once share their syncs: of 32 photographs they
cost little more than of one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rilievo.errors import OutputError, RilievoError
from rilievo.io.atomic import (
    discard,
    new_part,
    part_of,
    remove,
    rename_folder,
    unwritable,
)
from rilievo.io.durable import sync_files, sync_folders


@dataclass(frozen=True, slots=True)
class _Part:
    part: Path
    path: Path

    def place(self) -> None:
        if self.part.is_dir():
            rename_folder(self.part, self.path)
        else:
            self.part.replace(self.path)


@dataclass(slots=True, kw_only=True)
class Placement:
    """Part files on their way to their names.

    Attributes:
        record: Tells that the set is whole.
        notice: Stands in the folder from before the first file gets its name until the record
            has its own; its text says which files are coming.
        notice_text: Of the notice.
        latest: The file that was begun last.
    """

    record: Path
    notice: Path
    notice_text: str
    latest: Path = Path()
    _record: _Part | None = None
    _parts: list[_Part] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where the record lies."""
        return self.record.parent

    def record_part(self) -> Path:
        """A new part file of the record.

        Raises:
            OSError: If the system refuses.
        """
        self.latest = self.record
        self._record = _Part(new_part(self.record), self.record)
        return self._record.part

    def part(self, path: Path) -> Path:
        """A new part file of a file of the set.

        Raises:
            OSError: If the system refuses.
        """
        self.latest = path
        self._parts.append(_Part(new_part(path), path))
        return self._parts[-1].part

    def part_folder(self, path: Path) -> Path:
        """A new part folder of a folder of the set.

        Raises:
            OSError: If the system refuses.
        """
        self.latest = path
        self._parts.append(_Part(part_of(path), path))
        self._parts[-1].part.mkdir()
        return self._parts[-1].part

    def discard(self) -> None:
        """Remove all parts; what stood at their names before is as it was."""
        for each in (*self._parts, *([self._record] if self._record else [])):
            discard(each.part)

    def data(self) -> Sequence[_Part]:
        """Parts of all files but the record."""
        return self._parts

    def commit(self) -> _Part:
        """The part of the record."""
        assert self._record is not None, "a set without a record is not placed"
        return self._record


@contextmanager
def filling(placement: Placement) -> Iterator[Placement]:
    """Fill a set's parts, to be placed later; discard them unless the block ends well.

    Raises:
        OutputError: If the system refuses.
    """
    try:
        yield placement
    except BaseException as error:
        placement.discard()
        if isinstance(error, OSError) and not isinstance(error, RilievoError):
            raise unwritable(placement.latest, error) from error
        raise


def place_one(placement: Placement, *, durable: bool = True) -> None:
    """Give the parts of a set their names.

    Args:
        placement: The set.
        durable: See ``place``.

    Raises:
        OutputError: If the system refuses; the set's parts are gone then.
    """
    [error] = place([placement], durable=durable)
    if error is not None:
        raise error


def place(placements: Sequence[Placement], *, durable: bool = True) -> list[OutputError | None]:
    """Give the parts of some sets their names, data first and records last, in shared syncs.

    Args:
        placements: The sets.
        durable: Whether they outlast a power cut; False for temporary files, which need no syncs.

    Returns:
        Why a set could not be placed, for each; None where it stands whole.
    """
    sets = [_Set(each) for each in placements]
    try:
        _in_step(sets, _Set.announce)
        if durable:
            _sync_files(sets)
        # What each step did is on the disk before the next begins.
        for step in (_Set.place_notice, _Set.place_data, _Set.place_record):
            _in_step(sets, step)
            if durable:
                _sync_folders(sets)
    finally:
        for each in sets:
            each.end()
    return [each.error for each in sets]


class _Set:
    """One placement on its way."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.error: OutputError | None = None
        self._notice: _Part | None = None
        self._is_placed = False

    def announce(self) -> None:
        """Write the notice, still as a part."""
        notice = self.placement.notice
        self._notice = _Part(new_part(notice), notice)
        self._notice.part.write_text(self.placement.notice_text, encoding="utf-8")

    def parts(self) -> list[_Part]:
        """All that has to be on the disk before the first name is given."""
        assert self._notice is not None, "announced"
        return [self._notice, *self.placement.data(), self.placement.commit()]

    def place_notice(self) -> None:
        """Say which files are coming."""
        assert self._notice is not None, "announced"
        self._notice.place()

    def place_data(self) -> None:
        """Give all files but the record their names."""
        # A record of older files must not stand beside newer ones.
        remove(self.placement.record)
        for each in reversed(self.placement.data()):
            each.place()

    def place_record(self) -> None:
        """Tell that the set is whole."""
        self.placement.commit().place()
        self._is_placed = True

    def fail(self, path: Path, error: OSError | OutputError) -> None:
        """Leave the set as it is from here on."""
        self.error = error if isinstance(error, OutputError) else unwritable(path, error)

    def end(self) -> None:
        """Remove what is not needed any more; a notice stays where files may have been placed."""
        if self.error is None and self._is_placed:
            # Beside a record it says nothing any more, and the next run removes it.
            discard(self.placement.notice)
            return
        self.placement.discard()
        if self._notice is not None:
            discard(self._notice.part)


def _in_step(sets: Iterable[_Set], step: Callable[[_Set], None]) -> None:
    for each in sets:
        if each.error is None:
            try:
                step(each)
            except (OSError, OutputError) as error:
                each.fail(each.placement.record, error)


def _sync_files(sets: Sequence[_Set]) -> None:
    parts = [(each, part) for each in sets if each.error is None for part in each.parts()]
    errors = sync_files([part.part for _, part in parts])
    for (each, part), error in zip(parts, errors, strict=True):
        if error is not None:
            each.fail(part.path, error)


def _sync_folders(sets: Sequence[_Set]) -> None:
    errors = sync_folders(each.placement.folder for each in sets if each.error is None)
    for each in sets:
        error = errors.get(each.placement.folder)
        if each.error is None and error is not None:
            each.fail(each.placement.folder, error)
