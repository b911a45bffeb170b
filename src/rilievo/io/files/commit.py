"""Sets of files that get their final names together, their record last.

The record (the JSON beside results) is renamed after all other files are synced, so a power cut
leaves either complete files or no record. Processes lock the record by an empty file beside it.
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

_O_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_UNSUPPORTED_LOCK_ERRNOS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""Errors of file systems that have no locks."""
_LOCK_HELD_ERRNOS = (errno.EAGAIN, errno.EACCES)

_MAX_LOCKS = 64
"""Sets that are committed together, because a process can only have so many files open."""


def lock_path(record: Path) -> Path:
    """Path of a record's lock."""
    return record.with_name(f".{record.name}.lock")


@contextmanager
def hold_locks(records: Iterable[Path]) -> Iterator[None]:
    """Hold the locks of several records.

    They are acquired in sorted order, so that two processes cannot deadlock.
    """
    with ExitStack() as locks:
        for path in sorted({lock_path(record) for record in records}):
            locks.enter_context(_hold_lock(path))
        yield


@contextmanager
def hold_lock_or_raise(record: Path, busy_message: str) -> Iterator[None]:
    """Hold the lock of a record while the block runs, or raise if another process holds it.

    On a file system without locks, the block runs without one.

    Args:
        record: The record, which need not exist. Its lock file is removed when the block ends.
        busy_message: Message of the error if another process holds the lock.

    Raises:
        OutputError: If another process holds the lock.
        OSError: If the lock file cannot be made.
    """
    with ExitStack() as held_lock:
        # Only taking the lock is inside the try, so that an OSError of the block stays as it is.
        try:
            held_lock.enter_context(_hold_lock(lock_path(record), waits=False))
        except OSError as error:
            if error.errno in _LOCK_HELD_ERRNOS:
                raise OutputError(busy_message) from error
            raise
        yield


def sweep_lock(record: Path) -> None:
    """Remove the lock file of a record that a killed process has left."""
    path = lock_path(record)
    if not os.path.lexists(path):
        return
    with suppress(OSError), _hold_lock(path, waits=False):
        pass  # Releasing a lock removes its file.


@contextmanager
def _hold_lock(path: Path, *, waits: bool = True) -> Iterator[None]:
    """Hold a lock while the block runs; its file is removed on release."""
    if sys.platform == "win32":
        with _hold_lock_on_windows(path, waits=waits):
            yield
        return
    descriptor = _open_locked(path, waits=waits)
    try:
        yield
    finally:
        # The file is removed before the lock is released. A process that waited for it then sees
        # that it locked a removed file, and tries again.
        with suppress(OSError):
            os.unlink(path)
        os.close(descriptor)


def _open_locked(path: Path, *, waits: bool) -> int:
    """Open and lock a file, which is created if needed, and return its descriptor.

    If the file system has no locks, the file is not locked, and is removed again.

    Raises:
        OSError: If the file cannot be opened, or if another process holds the lock and ``waits`` is
            False.
    """
    import fcntl

    operation = fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | _O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, operation)
        except OSError as error:
            if error.errno not in _UNSUPPORTED_LOCK_ERRNOS:
                os.close(descriptor)
                raise
            with suppress(OSError):
                os.unlink(path)
            return descriptor
        # The last holder may have removed the file while this process waited. The lock counts only
        # if the locked file is still the one at the path.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return descriptor
        os.close(descriptor)


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
    """Temporary part files that get their final names together.

    Attributes:
        record: Path whose existence states that the set is complete.
        pending_list: Path of the list of the files, which exists until the record does.
        last_path: Path whose part was created last.
        rewrite_record: Called under the lock. If another process has written the record meanwhile,
            it writes the part of the record anew, and returns a new ``pending_text``.
        replaces_described_file: Called under the lock; whether the old record describes a file of
            the set. Then the old record is removed before the file is replaced. Otherwise it stays
            until the new record replaces it.
        error: First error, after which nothing more is done with the set.
    """

    record: Path
    pending_list: Path
    pending_text: str
    last_path: Path = Path()
    rewrite_record: Callable[[], str | None] = lambda: None
    replaces_described_file: Callable[[], bool] = lambda: True
    error: OutputError | None = None
    _parts: dict[Path, Path] = field(default_factory=dict)

    def create_part(self, path: Path) -> Path:
        """Create a part file for a path, and return it."""
        self.last_path = path
        self._parts[path] = new_part(path)
        return self._parts[path]

    def create_part_folder(self, path: Path) -> Path:
        """Create a part folder for a path, and return it."""
        self.last_path = path
        self._parts[path] = new_part_folder(path)
        return self._parts[path]

    def discard(self) -> None:
        """Remove all parts."""
        for part in self._parts.values():
            remove_part(part)

    def _write_pending_list(self) -> None:
        assert self.record in self._parts, "a set without a record is not committed"
        text = self.rewrite_record() or self.pending_text
        self._parts[self.pending_list] = new_part(self.pending_list)
        self._parts[self.pending_list].write_text(text, encoding="utf-8")

    def _rename_pending_list(self) -> None:
        self._rename(self.pending_list)

    def _rename_data(self) -> None:
        if self.replaces_described_file():
            remove(self.record)  # It must not describe old files beside the new ones.
        data_paths = [path for path in self._parts if path not in (self.pending_list, self.record)]
        for path in reversed(data_paths):
            self._rename(path)

    def _rename_record(self) -> None:
        self._rename(self.record)

    def _rename(self, path: Path) -> None:
        rename(self._parts[path], path)
        del self._parts[path]

    def _set_error(self, path: Path, error: OSError | OutputError) -> None:
        self.error = error if isinstance(error, OutputError) else unwritable(path, error)

    def _clean_up(self) -> None:
        """Remove the pending list, which a complete set does not need, or all parts after an error.

        If the list cannot be removed, the next run removes it.
        """
        if self.error is None and not self._parts:
            remove_part(self.pending_list)
        else:
            self.discard()


@contextmanager
def fill_or_discard(file_set: FileSet) -> Iterator[FileSet]:
    """Yield a set to be filled, and discard it if the block raises."""
    try:
        yield file_set
    except BaseException as error:
        file_set.discard()
        if isinstance(error, OSError) and not isinstance(error, RilievoError):
            raise unwritable(file_set.last_path, error) from error
        raise


def commit_files(file_set: FileSet, *, durable: bool = True) -> None:
    """Rename the parts of a set to their final paths; raise ``OutputError`` if one cannot be."""
    [error] = commit_all([file_set], durable=durable)
    if error is not None:
        raise error


def commit_all(file_sets: Sequence[FileSet], *, durable: bool = True) -> list[OutputError | None]:
    """Rename the complete parts of several sets, data first and records last.

    Returns:
        The error of each set; None if there was none.
    """
    if not durable:
        return _commit_in_steps(file_sets, durable=False)
    errors: list[OutputError | None] = []
    for first in range(0, len(file_sets), _MAX_LOCKS):
        batch = file_sets[first : first + _MAX_LOCKS]
        try:
            with hold_locks(file_set.record for file_set in batch):
                errors += _commit_in_steps(batch, durable=True)
        except OSError as error:  # If no lock can be made here, no file can.
            for file_set in batch:
                file_set.discard()
            errors += [unwritable(file_set.record, error) for file_set in batch]
    return errors


def _commit_in_steps(file_sets: Sequence[FileSet], *, durable: bool) -> list[OutputError | None]:
    """Commit sets whose locks are held; each step is synced to the disk before the next begins."""
    try:
        _run_step(file_sets, FileSet._write_pending_list)
        if durable:
            _sync_parts(file_sets)
        for step in (FileSet._rename_pending_list, FileSet._rename_data, FileSet._rename_record):
            _run_step(file_sets, step)
            if durable:
                _sync_record_folders(file_sets)
    finally:
        for file_set in file_sets:
            file_set._clean_up()
    return [file_set.error for file_set in file_sets]


def _run_step(file_sets: Iterable[FileSet], step: Callable[[FileSet], None]) -> None:
    """Run a step on the sets that have no error yet, and store new errors in them."""
    for file_set in file_sets:
        if file_set.error is None:
            try:
                step(file_set)
            except (OSError, OutputError) as error:
                file_set._set_error(file_set.record, error)


def _sync_parts(file_sets: Sequence[FileSet]) -> None:
    """Sync the parts of the sets without error in parallel, and store new errors in the sets."""
    sets_paths_parts = [
        (file_set, path, part)
        for file_set in file_sets
        if file_set.error is None
        for path, part in file_set._parts.items()
    ]
    errors = sync_files([part for _, _, part in sets_paths_parts])
    for (file_set, path, _), error in zip(sets_paths_parts, errors, strict=True):
        if error is not None:
            file_set._set_error(path, error)


def _sync_record_folders(file_sets: Sequence[FileSet]) -> None:
    """Sync the folders of the sets without error, each once, and store new errors in the sets."""
    parents = [file_set.record.parent for file_set in file_sets if file_set.error is None]
    folders = list(dict.fromkeys(parents))
    errors = dict(zip(folders, sync_files(folders, sync_folder), strict=True))
    for file_set in file_sets:
        error = errors.get(file_set.record.parent)
        if file_set.error is None and error is not None:
            file_set._set_error(file_set.record.parent, error)
