"""Atomic writes: a temporary part file is written beside the file, synced, then renamed.

The data are synced before the rename and the folder after it, because a power cut might leave zeros
otherwise.
"""

import errno
import os
import re
import stat
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path

from rilievo.errors import OutputError, RilievoError
from rilievo.io.files.names import printable

_O_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_SUCH_CALL = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
"""Errors of files that cannot be synced, such as those of some network file systems."""
_MAX_SYNC_THREADS = 32

_PART = re.compile(
    r"\..+\.(?P<pid>\d+)-[0-9a-f]+(-(?P<machine>[0-9a-f]{8}))?\.rilievo-part", re.DOTALL
)
"""Name of a part, with the id of its process and the checksum of its machine's name."""

_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
"""NumPy's words for a write that the system cut short."""

_ABANDONED_SECONDS = 86_400.0
"""Time without writes after which a part of another machine counts as abandoned."""

_MAX_NAME_BYTES = 255  # in most file systems

_swept_folders: set[str] = set()
"""Folders from which this process has removed abandoned parts."""

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up: free some space or choose another folder",
    errno.EFBIG: "the file is larger than the file system allows: choose another folder",
    errno.EACCES: "no permission to write here: choose another folder",
    errno.EPERM: "no permission to write here: choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOENT: "its folder does not exist: create it first",
    errno.ENOTDIR: "one of its folders is a file: choose another folder",
    errno.EISDIR: "a folder has this name: rename it or choose another folder",
    errno.ENAMETOOLONG: "the name is too long: rename the input",
}
"""What each error of the system means to the user, and what to do."""


def sync_file(path: Path) -> None:
    """Sync a regular file; raise ``OSError`` for a link."""
    # Windows syncs only files that are open for writing.
    access = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY
    file = os.open(path, access | _O_NOFOLLOW)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "something else has taken the place of a part file")
        sync_if_supported(file)
    finally:
        os.close(file)


def sync_folder(path: Path) -> None:
    """Sync the names in a folder."""
    if sys.platform == "win32":
        return  # Windows cannot open a folder, and NTFS keeps a journal of names.
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return  # A folder may be writable without being readable.
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
    thread_count = min(_MAX_SYNC_THREADS, len(paths))
    try:
        with ThreadPoolExecutor(thread_count, thread_name_prefix="sync") as pool:
            return list(pool.map(attempt, paths))
    except RuntimeError:  # There is no memory for another thread.
        return [attempt(path) for path in paths]


def sync_if_supported(file: int) -> None:
    """Sync an open file, unless its kind cannot be synced."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise


def replacing(path: Path, *, durable: bool = True) -> AbstractContextManager[Path]:
    """Yield a part file, which is renamed to ``path`` when the block ends, or removed if it raises.

    A ``durable`` file is synced, so that it survives a power cut.
    """
    return _yield_part(path, new_part, durable=durable)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, which replaces an older one and survives a power cut."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, which replaces an older one and survives a power cut."""
    with replacing(path) as part:
        part.write_bytes(content)


def append_text(path: Path, text: str) -> None:
    """Append a text to a file, which is created if needed, so that it survives a power cut."""
    try:
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            sync_if_supported(file.fileno())
        if is_new:
            sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def move_into_place(part: Path, path: Path) -> None:
    """Sync a complete part file, and give it its final path in the same folder.

    Use it in place of ``replacing`` if the final path is only known when the file is complete.
    """
    sync_file(part)
    os.replace(part, path)
    sync_folder(path.parent)


@contextmanager
def scratch_path(path: Path) -> Iterator[Path]:
    """Yield the path of a file beside ``path`` that is only needed in the block.

    If the block has written it, it is removed afterwards.
    """
    scratch = random_part_path(path)
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def replacing_folder(path: Path) -> AbstractContextManager[Path]:
    """Yield an empty part folder, which is renamed to ``path`` when the block ends without error.

    An existing folder is removed, so check first that it is rilievo's.
    """
    return _yield_part(path, new_part_folder, durable=True)


@contextmanager
def _yield_part(
    path: Path, create_part: Callable[[Path], Path], *, durable: bool
) -> Iterator[Path]:
    """Yield a temporary file or folder ("part") that replaces ``path`` if the block succeeds."""
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
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _O_NOFOLLOW, 0o666))
    return part


def new_part_folder(path: Path) -> Path:
    """Make an empty part folder."""
    _sweep_parts_once(path.parent)
    part = random_part_path(path)
    part.mkdir()
    return part


def rename(part: Path, path: Path) -> None:
    """Rename a part to its final path; an existing file or folder there is replaced."""
    if part.is_dir() and path.is_dir() and not path.is_symlink():
        _remove_tree(path)
    os.replace(part, path)


def random_part_path(path: Path) -> Path:
    """Path of a part of a file: hidden, beside the file, and impossible to guess."""
    suffix = f".{os.getpid()}-{os.urandom(8).hex()}-{_machine_checksum()}.rilievo-part"
    name = path.name
    name_bytes = os.fsencode(name)
    is_part_too_long = len(name_bytes) + 1 + len(suffix) > _MAX_NAME_BYTES
    if is_part_too_long and len(name_bytes) <= _MAX_NAME_BYTES:
        # The file's own name is allowed, so its part gets a shorter name with a checksum.
        name = f"{name[:40]}-{zlib.crc32(name_bytes):08x}"
    return path.with_name(f".{name}{suffix}")


def is_part(name: str) -> bool:
    """Whether a name is that of a part."""
    return _PART.fullmatch(name) is not None


def sweep_parts(directory: Path) -> list[Path]:
    """Remove temporary files ("parts") of processes that have ended, and return their paths.

    Parts of other machines are removed after a day without writes. The first error ends the sweep.
    """
    removed = []
    try:
        for entry in os.scandir(directory):
            name_match = _PART.fullmatch(entry.name)
            if name_match is None or entry.is_symlink():
                continue
            if not _is_abandoned_part(entry, name_match):
                continue
            if entry.is_dir():
                _remove_tree(entry.path)
            else:
                os.unlink(entry.path)
            removed.append(Path(entry.path))
    except OSError as error:
        raise unwritable(directory, error) from error
    return sorted(removed)


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
        # The folder was removed, or may no longer be written to. The error that is being handled
        # tells the user more than this one.
        return


def make_folder(directory: Path) -> None:
    """Make a folder and its missing parents, and sync their names."""
    try:
        missing_folders = [
            folder for folder in (directory, *directory.parents) if not os.path.lexists(folder)
        ]
        directory.mkdir(parents=True, exist_ok=True)
        for folder in missing_folders:
            sync_folder(folder.parent)
    except FileExistsError as error:
        raise OutputError(
            f"{directory}: a file already has this name; choose another folder"
        ) from error
    except OSError as error:
        raise unwritable(directory, error) from error


def check_folder(directory: Path) -> None:
    """Raise ``OutputError`` if a folder cannot be written to, or made in its nearest parent."""
    absolute = directory.absolute()
    candidates = (absolute, *absolute.parents)
    nearest_existing = next(folder for folder in candidates if os.path.lexists(folder))
    if not os.path.isdir(nearest_existing):
        raise unwritable(directory, OSError(errno.ENOTDIR, ""))
    if not os.access(nearest_existing, os.W_OK | os.X_OK):
        raise unwritable(directory, OSError(errno.EACCES, ""))


def unwritable(path: Path, error: OSError) -> OutputError:
    """Make the error for a failed write, which says what the user can do."""
    return OutputError(_describe_write_error(error), path=path)


def _describe_write_error(error: OSError) -> str:
    if error.errno in _REMEDIES:
        return _REMEDIES[error.errno]
    message = printable(" ".join(str(error).split()))
    # NumPy's error has no error number, so its message is matched.
    if _SHORT_WRITE.search(message):
        return f"cannot be written completely ({message}): free some space or choose another folder"
    return f"cannot be written completely ({message})"


def _sweep_parts_once(folder: Path) -> None:
    name = os.path.abspath(folder)
    if name in _swept_folders:
        return
    _swept_folders.add(name)
    # Parts stay if the folder cannot be read, or if they belong to another user.
    with suppress(OutputError):
        sweep_parts(folder)


def _is_abandoned_part(entry: os.DirEntry[str], part_name: re.Match[str]) -> bool:
    """Whether a part's process has ended, or a part of another machine is older than a day."""
    pid = int(part_name["pid"])
    is_of_this_machine = part_name["machine"] in (None, _machine_checksum())
    # A restarted container may give this process the id of the killed one. Then only the time of
    # the last write tells.
    if is_of_this_machine and pid != os.getpid():
        return not _is_running(pid)
    return time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS


@cache
def _machine_checksum() -> str:
    """CRC-32 of the names of machine and container, in hexadecimal."""
    try:
        container = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        container = 0  # The system has no containers of this kind.
    if sys.platform == "win32":
        machine = os.environ.get("COMPUTERNAME", "")
    else:
        machine = os.uname().nodename
    return f"{zlib.crc32(f'{machine}/{container}'.encode()):08x}"


def _is_running(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    if sys.platform == "win32":
        return True  # On Windows, os.kill(pid, 0) would end the process, so nothing is swept.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OverflowError:
        return False  # The number is too large for any process.
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended but its parent has not yet read its exit status."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False  # The system has no /proc.
    # The state follows the name, which is in brackets and may contain brackets itself.
    fields_after_name = status.rpartition(b")")[2].split()
    return fields_after_name[:1] == [b"Z"]


def _remove_tree(path: str | Path, *, ignore_errors: bool = False) -> None:
    # Imported here: few runs remove folders, and it imports every kind of compression.
    import shutil

    shutil.rmtree(path, ignore_errors=ignore_errors)
