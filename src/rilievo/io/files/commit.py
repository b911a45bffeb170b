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
"""Errors of file systems that have no locks."""
_HELD_BY_OTHERS = (errno.EAGAIN, errno.EACCES)

_MAX_LOCKS = 64
"""Sets that are committed together: a process may hold only so many files open."""


def lock_path(record: Path) -> Path:
    """Path of a record's lock."""
    return record.with_name(f".{record.name}.lock")


@contextmanager
def hold_locks(paths: list[Path]) -> Iterator[None]:
    """Hold several locks, always in the same order, so that two processes never wait in a circle.

    Raises:
        OSError: If the system refuses.
    """
    with ExitStack() as locks:
        for path in sorted(set(paths)):
            locks.enter_context(_hold_lock(path))
        yield


@contextmanager
def hold_or_refuse(path: Path, refusal: str) -> Iterator[None]:
    """Hold a lock, or refuse instead of waiting; no lock where the file system has none.

    Raises:
        OutputError: If another process holds it; ``refusal`` is its message.
        OSError: If the system refuses.
    """
    with ExitStack() as lock:
        try:
            lock.enter_context(_hold_lock(path, waits=False))
        except OSError as error:
            if error.errno in _HELD_BY_OTHERS:
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
    """Hold a lock while the block runs; its file is removed on release."""
    if sys.platform == "win32":
        with _hold_lock_on_windows(path, waits=waits):
            yield
        return
    file = _open_locked(path, waits=waits)
    try:
        yield
    finally:
        # Removed while it is held: who waits for it sees that its file is no longer the one here.
        with suppress(OSError):
            os.unlink(path)
        os.close(file)


def _open_locked(path: Path, *, waits: bool) -> int:
    """Open and lock a file, made if need be; unlocked where the file system has no locks.

    Raises:
        OSError: If the system refuses, or if another process holds the lock and this one does not
            wait.
    """
    import fcntl

    operation = fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | _NO_LINKS, 0o666)
        try:
            fcntl.flock(file, operation)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(file)
                raise
            with suppress(OSError):
                os.unlink(path)
            return file
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), os.lstat(path)):
                return file
        os.close(file)  # released, and so removed, while we waited


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
        notice_text: Content of the notice.
        latest: Path of the part that was created last.
        renew: Called under the lock after another process's set of this record; it writes the
            record anew and returns the text of the notice.
        replaces_listed: Called under the lock; whether the record of before lists a file of the
            set, so that it goes before the file is replaced. Else it stays until the new record
            is there, with the checksums of all files that it lists.
        error: First error; after it, nothing more is done with the set.
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
        assert self.record in self._parts, "a set without a record is not committed"
        text = self.renew() or self.notice_text
        self._parts[self.notice] = new_part(self.notice)
        self._parts[self.notice].write_text(text, encoding="utf-8")

    def _rename_notice(self) -> None:
        self._rename(self.notice)

    def _rename_data(self) -> None:
        if self.replaces_listed():
            remove(self.record)  # one of older files must not remain beside newer ones
        data = [path for path in self._parts if path not in (self.notice, self.record)]
        for path in reversed(data):
            self._rename(path)

    def _rename_record(self) -> None:
        self._rename(self.record)

    def _rename(self, path: Path) -> None:
        rename(self._parts[path], path)
        del self._parts[path]

    def _set_error(self, path: Path, error: OSError | OutputError) -> None:
        self.error = error if isinstance(error, OutputError) else unwritable(path, error)

    def _discard_notice_or_parts(self) -> None:
        """Remove the notice, which is redundant beside a record, or all parts after an error.

        If the notice cannot be removed, the next run removes it.
        """
        if self.error is None and not self._parts:
            remove_part(self.notice)
        else:
            self.discard()


@contextmanager
def fill_or_discard(file_set: FileSet) -> Iterator[FileSet]:
    """Fill a set; discard it if the block raises.

    Raises:
        OutputError: If the system refuses a write.
    """
    try:
        yield file_set
    except BaseException as error:
        file_set.discard()
        if isinstance(error, OSError) and not isinstance(error, RilievoError):
            raise unwritable(file_set.latest, error) from error
        raise


def commit_files(file_set: FileSet, *, durable: bool = True) -> None:
    """Rename the parts of a set to their paths.

    Raises:
        OutputError: If the system refuses.
    """
    [error] = commit_all([file_set], durable=durable)
    if error is not None:
        raise error


def commit_all(file_sets: Sequence[FileSet], *, durable: bool = True) -> list[OutputError | None]:
    """Rename the parts of several sets, data first and records last.

    Args:
        file_sets: Sets whose parts are complete.
        durable: Whether each set has to survive a power cut.

    Returns:
        The error of each set; None of one that is in place.
    """
    if not durable:
        return _commit_in_steps(file_sets, durable=False)
    errors: list[OutputError | None] = []
    for first in range(0, len(file_sets), _MAX_LOCKS):
        batch = file_sets[first : first + _MAX_LOCKS]
        try:
            with hold_locks([lock_path(file_set.record) for file_set in batch]):
                errors += _commit_in_steps(batch, durable=True)
        except OSError as error:  # no lock can be made, so no file either
            for file_set in batch:
                file_set.discard()
            errors += [unwritable(file_set.record, error) for file_set in batch]
    return errors


def _commit_in_steps(file_sets: Sequence[FileSet], *, durable: bool) -> list[OutputError | None]:
    """Commit sets whose locks are held; each step is on the disk before the next begins."""
    try:
        _run_step(file_sets, FileSet._write_notice_part)
        if durable:
            _sync_parts(file_sets)
        for step in (FileSet._rename_notice, FileSet._rename_data, FileSet._rename_record):
            _run_step(file_sets, step)
            if durable:
                _sync_record_folders(file_sets)
    finally:
        for file_set in file_sets:
            file_set._discard_notice_or_parts()
    return [file_set.error for file_set in file_sets]


def _run_step(file_sets: Iterable[FileSet], step: Callable[[FileSet], None]) -> None:
    """Run a step on sets without error; keep its errors."""
    for file_set in file_sets:
        if file_set.error is None:
            try:
                step(file_set)
            except (OSError, OutputError) as error:
                file_set._set_error(file_set.record, error)


def _sync_parts(file_sets: Sequence[FileSet]) -> None:
    """Sync the parts of sets without error, many at the same time; keep the errors."""
    owners, paths, parts = [], [], []
    for file_set in file_sets:
        if file_set.error is None:
            for path, part in file_set._parts.items():
                owners.append(file_set)
                paths.append(path)
                parts.append(part)
    for file_set, path, error in zip(owners, paths, sync_files(parts), strict=True):
        if error is not None:
            file_set._set_error(path, error)


def _sync_record_folders(file_sets: Sequence[FileSet]) -> None:
    """Sync the folders of sets without error, each once; keep the errors."""
    parents = [file_set.record.parent for file_set in file_sets if file_set.error is None]
    folders = list(dict.fromkeys(parents))
    errors = dict(zip(folders, sync_files(folders, sync_folder), strict=True))
    for file_set in file_sets:
        error = errors.get(file_set.record.parent)
        if file_set.error is None and error is not None:
            file_set._set_error(file_set.record.parent, error)
