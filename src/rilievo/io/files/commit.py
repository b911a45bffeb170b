"""Sets of files that are renamed into place together, their record last.

The record (the JSON beside results) is renamed after all others are synced, so a power cut leaves
complete files or no record. Processes lock it by an empty file.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rilievo.errors import OutputError, RilievoError
from rilievo.io.files.atomic import (
    new_part,
    new_part_folder,
    remove,
    remove_part,
    rename,
    sync_files,
    sync_folder,
    unwritable,
)

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
_HELD = (errno.EAGAIN, errno.EACCES)

_AT_ONCE = 64


def lock_path(record: Path) -> Path:
    """Path of a record's lock."""
    return record.with_name(f".{record.name}.lock")


@contextmanager
def hold_locks(paths: list[Path]) -> Iterator[None]:
    """Hold several locks, in one order.

    Raises:
        OSError: If the system refuses.
    """
    with ExitStack() as held:
        for path in sorted(set(paths)):
            held.enter_context(_hold_lock(path))
        yield


@contextmanager
def hold_or_refuse(path: Path, refusal: str) -> Iterator[None]:
    """Hold a lock, or refuse instead of waiting; no lock where the file system has none.

    Raises:
        OutputError: If another process holds it.
        OSError: If the system refuses.
    """
    with ExitStack() as held:
        try:
            held.enter_context(_hold_lock(path, waits=False))
        except OSError as error:
            if error.errno in _HELD:
                raise OutputError(refusal) from error
            raise
        yield


def sweep_lock(path: Path) -> None:
    """Remove the lock file of a killed process."""
    if not os.path.lexists(path):
        return
    with suppress(OSError), _hold_lock(path, waits=False):
        pass  # it is removed on release


@contextmanager
def _hold_lock(path: Path, *, waits: bool = True) -> Iterator[None]:
    if sys.platform == "win32":
        with _hold_lock_on_windows(path, waits=waits):
            yield
        return
    import fcntl

    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | _NO_LINKS, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(file)
                raise
            with suppress(OSError):
                os.unlink(path)
            break
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), os.lstat(path)):
                break
        os.close(file)  # released, and so removed, while we waited
    try:
        yield
    finally:
        # Removed while it is held: who waits for it sees that its file is no longer the one here.
        with suppress(OSError):
            os.unlink(path)
        os.close(file)


@contextmanager
def _hold_lock_on_windows(path: Path, *, waits: bool) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        with FileLock(path, timeout=-1 if waits else 0):
            yield
    except Timeout as error:
        raise OSError(errno.EAGAIN, "another process holds the lock") from error
    with suppress(OSError):
        path.unlink()


@dataclass(slots=True, kw_only=True)
class FileSet:
    """Part files to be renamed together.

    Attributes:
        record: Path whose existence states that the set is complete.
        notice: List of the files, there until the record is.
        renew: Called under the lock after another process's set of this record; it writes the
            record anew and returns the notice.
        replaces_listed: Called under the lock; whether the record of before lists a file of the
            set, so that it goes before the file is replaced. Else it stays until the new record
            is there, with the checksums of all files that it lists.
    """

    record: Path
    notice: Path
    notice_text: str
    latest: Path = Path()
    renew: Callable[[], str | None] = lambda: None
    replaces_listed: Callable[[], bool] = lambda: True
    error: OutputError | None = None
    _parts: dict[Path, Path] = field(default_factory=dict)

    def create_part(self, path: Path) -> Path:
        """Create a part file for a path; return the part."""
        self.latest = path
        self._parts[path] = new_part(path)
        return self._parts[path]

    def create_part_folder(self, path: Path) -> Path:
        """Create a part folder for a path; return the part."""
        self.latest = path
        self._parts[path] = new_part_folder(path)
        return self._parts[path]

    def discard(self) -> None:
        """Remove all parts."""
        for part in self._parts.values():
            remove_part(part)

    def _write_notice_part(self) -> None:
        assert self.record in self._parts, "a set without a record is not placed"
        text = self.renew() or self.notice_text
        self._parts[self.notice] = new_part(self.notice)
        self._parts[self.notice].write_text(text, encoding="utf-8")

    def _rename_step(self, step: int) -> None:
        """Rename the notice (0), data (1) or record (2)."""
        data = [path for path in self._parts if path not in (self.notice, self.record)]
        if step == 1 and self.replaces_listed():
            remove(self.record)  # one of older files must not remain beside newer ones
        for path in ([self.notice], data[::-1], [self.record])[step]:
            rename(self._parts[path], path)
            del self._parts[path]

    def _set_error(self, path: Path, error: OSError | OutputError) -> None:
        self.error = error if isinstance(error, OutputError) else unwritable(path, error)

    def _discard_notice_or_parts(self) -> None:
        if self.error is None and not self._parts:
            # The notice is redundant beside a record, and the next run removes it.
            remove_part(self.notice)
        else:
            self.discard()


@contextmanager
def fill_or_discard(placement: FileSet) -> Iterator[FileSet]:
    """Fill a set; discard it if the block raises."""
    try:
        yield placement
    except BaseException as error:
        placement.discard()
        if isinstance(error, OSError) and not isinstance(error, RilievoError):
            raise unwritable(placement.latest, error) from error
        raise


def place_one(placement: FileSet, *, durable: bool = True) -> None:
    """Rename the parts of a set into place."""
    [error] = place([placement], durable=durable)
    if error is not None:
        raise error


def place(placements: Sequence[FileSet], *, durable: bool = True) -> list[OutputError | None]:
    """Rename several sets into place, data first and records last; return their errors.

    A set survives a power cut if ``durable``.
    """
    if not durable:
        return _place_in_steps(placements, durable=False)
    errors: list[OutputError | None] = []
    for first in range(0, len(placements), _AT_ONCE):
        some = placements[first : first + _AT_ONCE]
        try:
            with hold_locks([lock_path(placement.record) for placement in some]):
                errors += _place_in_steps(some, durable=True)
        except OSError as error:  # no lock can be made, so no file either
            for placement in some:
                placement.discard()
            errors += [unwritable(placement.record, error) for placement in some]
    return errors


def _place_in_steps(sets: Sequence[FileSet], *, durable: bool) -> list[OutputError | None]:
    try:
        _run_step(sets, FileSet._write_notice_part)
        if durable:
            parts = [
                (placement, *item)
                for placement in sets
                if not placement.error
                for item in placement._parts.items()
            ]
            errors = sync_files([part for _, _, part in parts])
            for (placement, path, _), error in zip(parts, errors, strict=True):
                if error is not None:
                    placement._set_error(path, error)
        # The result of each step is on the disk before the next begins.
        for step in range(3):
            _run_step(sets, lambda file_set, step=step: file_set._rename_step(step))
            if durable:
                _sync_record_folders(sets)
    finally:
        for placement in sets:
            placement._discard_notice_or_parts()
    return [placement.error for placement in sets]


def _run_step(sets: Iterable[FileSet], step: Callable[[FileSet], None]) -> None:
    """Run a step on sets without error; keep its errors."""
    for placement in sets:
        if placement.error is None:
            try:
                step(placement)
            except (OSError, OutputError) as error:
                placement._set_error(placement.record, error)


def _sync_record_folders(sets: Sequence[FileSet]) -> None:
    folders = list(
        dict.fromkeys(placement.record.parent for placement in sets if placement.error is None)
    )
    errors = dict(zip(folders, sync_files(folders, sync_folder), strict=True))
    for placement in sets:
        error = errors.get(placement.record.parent)
        if placement.error is None and error is not None:
            placement._set_error(placement.record.parent, error)
