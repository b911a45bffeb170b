"""Syncing to disk: a file survives a power cut once its data and its name have been synced.

A rename alone is not enough: the system may write the new name to the disk before the data, and
after a power cut the file has 0 bytes or zeros. So data are synced before the rename, and the
folder after it.
"""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_NO_SUCH_CALL = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
"""Errors of file systems that do not support syncing."""
_AT_ONCE = 32
"""Number of files synced in parallel; the disk merges syncs, so 32 cost little more than one."""


def create_new(path: Path) -> None:
    """Create an empty file; the name must be free, and links are not followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS
    os.close(os.open(path, flags, 0o666))


def sync_file(path: Path) -> None:
    """Sync the data of a regular file to the disk; a link is refused, never followed."""
    # Windows syncs only files that are open for writing.
    file = os.open(path, (os.O_RDWR if sys.platform == "win32" else os.O_RDONLY) | _NO_LINKS)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "something else has taken the place of a part file")
        sync_open_file(file)
    finally:
        os.close(file)


def sync_folder(path: Path) -> None:
    """Sync the names in a folder to the disk."""
    if sys.platform == "win32":
        return  # a folder cannot be opened there; NTFS logs its names
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return  # one that may be written to and not be read cannot be synced
    try:
        sync_open_file(folder)
    finally:
        os.close(folder)


def sync_tree(path: Path) -> None:
    """Sync a folder and everything in it to the disk."""
    files, folders = [], []
    for folder, _, names in os.walk(path):
        folders.append(Path(folder))
        files += [Path(folder, name) for name in names]
    for error in (*sync_files(files), *_each(sync_folder, folders)):
        if error is not None:
            raise error


def sync_files(paths: Sequence[Path]) -> list[OSError | None]:
    """Sync several files, or folders of files, in parallel; returns the error of each, or None."""

    def sync(path: Path) -> None:
        (sync_tree if stat.S_ISDIR(os.lstat(path).st_mode) else sync_file)(path)

    return _each(sync, paths)


def sync_folders(paths: Iterable[Path]) -> dict[Path, OSError | None]:
    """Sync several folders in parallel, each once; returns the errors by folder."""
    folders = list(dict.fromkeys(paths))
    return dict(zip(folders, _each(sync_folder, folders), strict=True))


def _each(sync: Callable[[Path], None], paths: Sequence[Path]) -> list[OSError | None]:
    def attempt(path: Path) -> OSError | None:
        try:
            sync(path)
        except OSError as error:
            return error
        return None

    if len(paths) < 2:
        return [attempt(path) for path in paths]
    try:
        with ThreadPoolExecutor(min(_AT_ONCE, len(paths)), thread_name_prefix="sync") as pool:
            return list(pool.map(attempt, paths))
    except RuntimeError:  # no memory for another thread
        return [attempt(path) for path in paths]


def sync_open_file(file: int) -> None:
    """Sync the data of an open file to the disk."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise
