"""Locks between processes that write into one folder: results of one photograph, a training run.

The lock is an empty file beside the record, which is removed when it is released. A process that
is killed leaves the file, and no lock: the system gives that back.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rilievo.errors import OutputError

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""Errors of file systems that have no locks; work there goes on without."""
_HELD = (errno.EAGAIN, errno.EACCES)
"""Errors of a lock that another process holds."""


def lock_path(record: Path) -> Path:
    """Path of the lock of a record."""
    return record.with_name(f".{record.name}.lock")


@contextmanager
def locked(paths: list[Path]) -> Iterator[None]:
    """Hold several locks. All processes take them in the same order, so that none waits for ever.

    Raises:
        OSError: If the system refuses to make the files.
    """
    with ExitStack() as held:
        for path in sorted(set(paths)):
            held.enter_context(_locked(path))
        yield


@contextmanager
def held_alone(path: Path, refusal: str) -> Iterator[None]:
    """Hold a lock that no other process may hold meanwhile, instead of waiting for it.

    On a file system without locks nothing is held.

    Raises:
        OutputError: With the words of ``refusal``, if another process holds it.
        OSError: If the system refuses to make the file.
    """
    with ExitStack() as held:
        try:
            held.enter_context(_locked(path, waits=False))
        except OSError as error:
            if error.errno in _HELD:
                raise OutputError(refusal) from error
            if error.errno not in _NO_LOCKS:
                raise
        yield


def sweep_lock(path: Path) -> None:
    """Remove the file of a lock that nobody holds, as a killed process leaves it."""
    if not os.path.lexists(path):
        return
    with suppress(OSError), _locked(path, waits=False):
        pass  # it is removed on release


@contextmanager
def _locked(path: Path, *, waits: bool = True) -> Iterator[None]:
    if sys.platform == "win32":
        with _locked_on_windows(path, waits=waits):
            yield
        return
    file = _taken(path, waits=waits)
    try:
        yield
    finally:
        # Removed while it is held: who waits for it sees that its file is no longer the one here.
        with suppress(OSError):
            os.unlink(path)
        os.close(file)


def _taken(path: Path, *, waits: bool) -> int:
    import fcntl

    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | _NO_LINKS, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except OSError as error:
            if not waits or error.errno not in _NO_LOCKS:
                os.close(file)
                raise
            return file
        try:
            is_here = os.path.samestat(os.fstat(file), os.lstat(path))
        except FileNotFoundError:
            is_here = False
        if is_here:
            return file
        os.close(file)  # released, and so removed, while we waited


@contextmanager
def _locked_on_windows(path: Path, *, waits: bool) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        with FileLock(path, timeout=-1 if waits else 0):
            yield
    except Timeout as error:
        raise OSError(errno.EAGAIN, "another process holds the lock") from error
    with suppress(OSError):
        path.unlink()
