"""Sets of files that are renamed into place together, with their record last.

The record (the JSON file beside results) states that a set is complete. It is renamed after all
other files are in place and synced, so a power cut at any moment leaves either a record with
complete files or no record. Sets placed together share their syncs: for 32 photographs these cost
little more than for one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rilievo.errors import OutputError, RilievoError
from rilievo.io.files.atomic import (
    discard,
    new_part,
    part_of,
    remove,
    rename_folder,
    unwritable,
)
from rilievo.io.files.durable import sync_files, sync_folders
from rilievo.io.files.locks import lock_path, locked

_AT_ONCE = 64
"""Sets that share their syncs, and whose locks are held together: each takes an open file."""


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
    """Part files that are to be renamed together.

    Attributes:
        record: Path of the record, which states that the set is complete.
        notice: Path of the notice, which exists from before the first rename until the record is in
            place; its text lists the files to come.
        notice_text: Text of the notice.
        latest: The file begun last; errors name it.
        renew: Function that is called when the set is locked, before anything is renamed: where
            another process has placed a set of the same record meanwhile, it writes the record's
            part anew and returns the text of the notice; None otherwise. It refuses a set of
            something else.
    """

    record: Path
    notice: Path
    notice_text: str
    latest: Path = Path()
    renew: Callable[[], str | None] = lambda: None
    _record: _Part | None = None
    _parts: list[_Part] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Folder of the record."""
        return self.record.parent

    def record_part(self) -> Path:
        """Create a part file for the record."""
        self.latest = self.record
        self._record = _Part(new_part(self.record), self.record)
        return self._record.part

    def part(self, path: Path) -> Path:
        """Create a part file for a file of the set."""
        self.latest = path
        self._parts.append(_Part(new_part(path), path))
        return self._parts[-1].part

    def part_folder(self, path: Path) -> Path:
        """Create a part folder for a folder of the set."""
        self.latest = path
        self._parts.append(_Part(part_of(path), path))
        self._parts[-1].part.mkdir()
        return self._parts[-1].part

    def discard(self) -> None:
        """Remove all parts; existing files are unchanged."""
        for each in (*self._parts, *([self._record] if self._record else [])):
            discard(each.part)

    def data(self) -> Sequence[_Part]:
        """Parts of all files but the record."""
        return self._parts

    def commit(self) -> _Part:
        """Part of the record."""
        assert self._record is not None, "a set without a record is not placed"
        return self._record


@contextmanager
def filling(placement: Placement) -> Iterator[Placement]:
    """Fill the parts of a set, to be placed later; discard them if the block raises."""
    try:
        yield placement
    except BaseException as error:
        placement.discard()
        if isinstance(error, OSError) and not isinstance(error, RilievoError):
            raise unwritable(placement.latest, error) from error
        raise


def place_one(placement: Placement, *, durable: bool = True) -> None:
    """Rename the parts of a set into place."""
    [error] = place([placement], durable=durable)
    if error is not None:
        raise error


def place(placements: Sequence[Placement], *, durable: bool = True) -> list[OutputError | None]:
    """Rename the parts of several sets into place, data first and records last, with shared syncs.

    Args:
        placements: The sets.
        durable: Whether they survive a power cut; False for temporary files, which need no syncs.

    Returns:
        Error of each set that could not be placed; None for those that are complete.
    """
    if not durable:
        return _place(placements, durable=False)
    errors: list[OutputError | None] = []
    for first in range(0, len(placements), _AT_ONCE):
        some = placements[first : first + _AT_ONCE]
        try:
            with locked([lock_path(each.record) for each in some]):
                errors += _place(some, durable=True)
        except OSError as error:  # no lock can be made, so no file either
            for each in some:
                each.discard()
            errors += [unwritable(each.record, error) for each in some]
    return errors


def _place(placements: Sequence[Placement], *, durable: bool) -> list[OutputError | None]:
    sets = [_Set(each) for each in placements]
    try:
        _in_step(sets, _Set.announce)
        if durable:
            _sync_files(sets)
        # The result of each step is on the disk before the next begins.
        for step in (_Set.place_notice, _Set.place_data, _Set.place_record):
            _in_step(sets, step)
            if durable:
                _sync_folders(sets)
    finally:
        for each in sets:
            each.end()
    return [each.error for each in sets]


class _Set:
    """One placement in progress."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.error: OutputError | None = None
        self._notice: _Part | None = None
        self._is_placed = False

    def announce(self) -> None:
        text = self.placement.renew() or self.placement.notice_text
        notice = self.placement.notice
        self._notice = _Part(new_part(notice), notice)
        self._notice.part.write_text(text, encoding="utf-8")

    def parts(self) -> list[_Part]:
        """All parts that have to be synced before the first rename."""
        assert self._notice is not None, "announced"
        return [self._notice, *self.placement.data(), self.placement.commit()]

    def place_notice(self) -> None:
        assert self._notice is not None, "announced"
        self._notice.place()

    def place_data(self) -> None:
        """Rename all files but the record."""
        # A record of older files must not remain beside newer ones.
        remove(self.placement.record)
        for each in reversed(self.placement.data()):
            each.place()

    def place_record(self) -> None:
        self.placement.commit().place()
        self._is_placed = True

    def fail(self, path: Path, error: OSError | OutputError) -> None:
        self.error = error if isinstance(error, OutputError) else unwritable(path, error)

    def end(self) -> None:
        """Remove what is no longer needed; the notice stays where files may have been placed."""
        if self.error is None and self._is_placed:
            # The notice is redundant beside a record, and the next run removes it.
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
