"""Atomic writes: a part file is written beside the file, synced, then renamed.

Data are synced before the rename and the folder after it, else a power cut leaves zeros.
"""

import errno
import hashlib
import os
import re
import stat
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rilievo.errors import OutputError, RilievoError
from rilievo.io.files.names import printable

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_NO_SUCH_CALL = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
"""Errors of files that cannot be synced, such as those of some network file systems."""
_MAX_SYNC_THREADS = 32

_PART = re.compile(
    r"\..+\.(?P<pid>\d+)-[0-9a-f]+(-(?P<machine>[0-9a-f]{8}))?\.rilievo-part", re.DOTALL
)
"""Name of a part, with the number of its process and the checksum of its machine's name."""

_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
"""NumPy's words for a write that the system cut short."""

_ABANDONED_SECONDS = 86_400.0
"""Time without writes after which a part of another machine is abandoned."""

_MAX_NAME_BYTES = 255  # of file systems

_swept_folders: set[str] = set()
"""Folders that this process has swept before it wrote there."""

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up: free some space or choose another folder",
    errno.EFBIG: "the file is larger than the file system allows: choose another folder",
    errno.EACCES: "no permission to write here: choose another folder",
    errno.EPERM: "no permission to write here: choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOENT: "its folder is not there: make it first",
    errno.ENOTDIR: "one of its folders is a file: choose another folder",
    errno.EISDIR: "a folder has this name: rename it or choose another folder",
    errno.ENAMETOOLONG: "the name is too long: rename the input",
}
"""What each error of the system means to the user, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSum:
    """Size and checksum of a file."""

    bytes: int
    sha256: str


def sum_of(path: Path) -> FileSum:
    """Compute a file's size and SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileSum(bytes=file.tell(), sha256=digest.hexdigest())


def sync_file(path: Path) -> None:
    """Sync a regular file; a link is refused."""
    # Windows syncs only files that are open for writing.
    file = os.open(path, (os.O_RDWR if sys.platform == "win32" else os.O_RDONLY) | _NO_LINKS)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "something else has taken the place of a part file")
        sync_if_supported(file)
    finally:
        os.close(file)


def sync_folder(path: Path) -> None:
    """Sync the names in a folder."""
    if sys.platform == "win32":
        return  # a folder cannot be opened there; NTFS logs its names
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return  # one that may be written to and not be read cannot be synced
    try:
        sync_if_supported(folder)
    finally:
        os.close(folder)


def sync_tree(path: Path) -> None:
    """Sync a file, or a whole folder."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        sync_file(path)
        return
    files, folders = [], []
    for folder, _, names in os.walk(path):
        folders.append(Path(folder))
        files += [Path(folder, name) for name in names]
    for error in (*sync_files(files), *sync_files(folders, sync_folder)):
        if error is not None:
            raise error


def sync_files(
    paths: Sequence[Path], sync: Callable[[Path], None] = sync_tree
) -> list[OSError | None]:
    """Sync files or folders in parallel; return the error of each, or None."""

    def attempt(path: Path) -> OSError | None:
        try:
            sync(path)
        except OSError as error:
            return error
        return None

    if len(paths) < 2:
        return [attempt(path) for path in paths]
    try:
        with ThreadPoolExecutor(
            min(_MAX_SYNC_THREADS, len(paths)), thread_name_prefix="sync"
        ) as pool:
            return list(pool.map(attempt, paths))
    except RuntimeError:  # no memory for another thread
        return [attempt(path) for path in paths]


def sync_if_supported(file: int) -> None:
    """Sync an open file, unless its kind cannot be synced."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise


def replacing(path: Path, *, durable: bool = True) -> AbstractContextManager[Path]:
    """Yield a part file, renamed to ``path`` when the block ends without error, else removed.

    Args:
        path: File to write.
        durable: Whether it has to survive a power cut.
    """
    return _yield_part(path, new_part, durable=durable)


def replacing_folder(path: Path) -> AbstractContextManager[Path]:
    """Yield an empty part folder, renamed to ``path`` when the block ends without error.

    An existing folder is removed: check ``ownership`` first.
    """
    return _yield_part(path, new_part_folder, durable=True)


@contextmanager
def _yield_part(
    path: Path, create_part: Callable[[Path], Path], *, durable: bool
) -> Iterator[Path]:
    """Yield a new part; rename it, or remove it after errors."""
    part = None
    try:
        part = create_part(path)
        yield part
        if durable:
            sync_tree(part)
        rename(part, path)
        if durable:
            sync_folder(path.parent)
    except BaseException as error:
        if part is not None:
            remove_part(part)
        if isinstance(error, OSError) and not isinstance(error, RilievoError):
            raise unwritable(path, error) from error
        raise


def new_part(path: Path) -> Path:
    """Create an empty part file; links are never followed."""
    _sweep_parts_once(path.parent)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    part = random_part_path(path)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o666))
    return part


def new_part_folder(path: Path) -> Path:
    """Make an empty part folder."""
    _sweep_parts_once(path.parent)
    part = random_part_path(path)
    part.mkdir()
    return part


def rename(part: Path, path: Path) -> None:
    """Rename a part; a folder replaces another one."""
    if part.is_dir() and path.is_dir() and not path.is_symlink():
        _remove_tree(path)
    os.replace(part, path)


def random_part_path(path: Path) -> Path:
    """Hidden path beside a file, which nobody can guess."""
    ending = f".{os.getpid()}-{os.urandom(8).hex()}-{_machine_checksum()}.rilievo-part"
    name = path.name
    name_bytes = os.fsencode(name)
    is_part_too_long = len(name_bytes) + 1 + len(ending) > _MAX_NAME_BYTES
    if is_part_too_long and len(name_bytes) <= _MAX_NAME_BYTES:
        # The file's name is allowed, so its part gets a shorter one, with a checksum to tell it
        # apart.
        name = f"{name[:40]}-{zlib.crc32(name_bytes):08x}"
    return path.with_name(f".{name}{ending}")


def is_part(name: str) -> bool:
    """Whether a name is that of a part."""
    return _PART.fullmatch(name) is not None


def sweep_parts(directory: Path) -> list[Path]:
    """Remove parts whose process has ended, and return their paths.

    Those of other machines go after a day without writes.
    """
    swept = []
    try:
        for entry in os.scandir(directory):
            match = _PART.fullmatch(entry.name)
            if match is None or entry.is_symlink() or not _is_abandoned_part(entry, match):
                continue
            if entry.is_dir():
                _remove_tree(entry.path)
            else:
                os.unlink(entry.path)
            swept.append(Path(entry.path))
    except OSError as error:
        raise unwritable(directory, error) from error
    return sorted(swept)


def remove(path: Path) -> None:
    """Remove a file if it exists."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def remove_part(part: Path) -> None:
    """Remove a part file or folder; errors are ignored."""
    try:
        if part.is_dir() and not part.is_symlink():
            _remove_tree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
    except OSError:
        # The folder is gone or no longer ours; the error being raised says so better.
        return


def make_folder(directory: Path) -> None:
    """Make and sync a folder and its parents, unless they exist."""
    try:
        missing = [
            folder for folder in (directory, *directory.parents) if not os.path.lexists(folder)
        ]
        directory.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            sync_folder(folder.parent)
    except FileExistsError as error:
        raise OutputError(f"{directory}: a file has this name: choose another folder") from error
    except OSError as error:
        raise unwritable(directory, error) from error


def check_folder(directory: Path) -> None:
    """Refuse a folder that cannot be written into, or made in its first parent that exists.

    Raises:
        OutputError: If it cannot.
    """
    absolute = directory.absolute()
    existing = next(folder for folder in (absolute, *absolute.parents) if os.path.lexists(folder))
    if not os.path.isdir(existing):
        raise unwritable(directory, OSError(errno.ENOTDIR, ""))
    if not os.access(existing, os.W_OK | os.X_OK):
        raise unwritable(directory, OSError(errno.EACCES, ""))


def unwritable(path: Path, error: OSError) -> OutputError:
    """Error for a refused write, with its remedy."""
    return OutputError(f"{_write_error_words(error)}", path=path)


def _write_error_words(error: OSError) -> str:
    if error.errno in _REMEDIES:
        return _REMEDIES[error.errno]
    words = printable(" ".join(str(error).split()))
    # NumPy keeps no error number.
    if _SHORT_WRITE.search(words):
        return f"cannot be written whole ({words}): free some space or choose another folder"
    return f"cannot be written whole ({words})"


def _sweep_parts_once(folder: Path) -> None:
    name = os.path.abspath(folder)
    if name in _swept_folders:
        return
    _swept_folders.add(name)
    # A folder that may not be read, or has parts of another user, keeps its parts.
    with suppress(OutputError):
        sweep_parts(folder)


def _is_abandoned_part(entry: os.DirEntry[str], part: re.Match[str]) -> bool:
    """Whether a part's process has ended, or on another machine has not written for a day."""
    pid = int(part["pid"])
    is_of_this_machine = part["machine"] in (None, _machine_checksum())
    # A container that starts again gives the number of its killed process to the next one: to us.
    if is_of_this_machine and pid != os.getpid():
        return not _is_running(pid)
    return time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS


@cache
def _machine_checksum() -> str:
    """CRC-32 of the names of machine and container, in hexadecimal."""
    try:
        container = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        container = 0  # a system without containers of this kind
    if sys.platform == "win32":
        machine = os.environ.get("COMPUTERNAME", "")
    else:
        machine = os.uname().nodename
    return f"{zlib.crc32(f'{machine}/{container}'.encode()):08x}"


def _is_running(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # os.kill(pid, 0) would end the process there, so nothing is swept
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OverflowError:
        return False  # no such number was ever given to a process
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended without being reaped."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False  # a system without /proc
    # The name before the state is in brackets, and may have brackets itself.
    fields_after_name = status.rpartition(b")")[2].split()
    return fields_after_name[:1] == [b"Z"]


def _remove_tree(path: str | Path, *, ignore_errors: bool = False) -> None:
    # Imported here: few runs remove folders, and it imports every kind of compression.
    import shutil

    shutil.rmtree(path, ignore_errors=ignore_errors)
