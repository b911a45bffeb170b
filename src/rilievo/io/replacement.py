"""Files that replace those of an earlier run together with their checksums.

New files are written beside the files that they replace. When all are complete, they get hidden
names, ``.NAME.pending``, and their checksums get theirs last. From then on, the next run can finish
what a killed run began. The earlier checksums stay until every new file has its final name, so that
``rilievo verify`` can compare each file at any moment.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rilievo.errors import InputError, OutputError, RilievoError
from rilievo.io.checksums import FileSum, compute_file_sum, read_sums, write_checksums
from rilievo.io.files.atomic import (
    random_part_path,
    remove,
    remove_part,
    rename,
    sync_file,
    sync_folder,
    unwritable,
)
from rilievo.io.files.commit import hold_locks, lock_path


def pending_path(path: Path) -> Path:
    """Hidden path of a complete file that is about to replace another one."""
    return path.with_name(f".{path.name}.pending")


def read_pending_sums(checksums: Path) -> Mapping[str, FileSum] | None:
    """Read the checksums of files that are about to replace others; None if there are none."""
    try:
        return read_sums(pending_path(checksums))
    except InputError:
        return None


@contextmanager
def replacing_with_checksums(checksums: Path, names: Sequence[str]) -> Iterator[Mapping[str, Path]]:
    """Yield a path to write for each name; the new files replace the old ones when the block ends.

    ``checksums`` is the list of checksums of the files, and lies in their folder.

    A file whose path is not written, such as a report that cannot be made, is removed. After an
    error, the old files are still there with their checksums.

    Raises:
        OutputError: If a file cannot be written.
    """
    parts = {name: random_part_path(checksums.with_name(name)) for name in names}
    try:
        yield parts
        with hold_locks([lock_path(checksums)]):
            _rename_pending(checksums, names)  # Finish what a killed run may have left.
            _make_pending(checksums, parts)
            _rename_pending(checksums, names)
    except OutputError as error:
        failed_name = next((name for name, part in parts.items() if error.path == part), None)
        if failed_name is None:
            raise
        # The user knows the file by its final name, not by that of the part.
        raise OutputError(error.message, path=checksums.with_name(failed_name)) from error
    except OSError as error:
        if isinstance(error, RilievoError):
            raise
        raise unwritable(checksums, error) from error
    finally:
        for part in parts.values():
            remove_part(part)


def finish_replacement(checksums: Path, names: Sequence[str]) -> None:
    """Finish what a killed run began: give new files and their checksums their final names."""
    if not os.path.lexists(pending_path(checksums)):
        return
    try:
        with hold_locks([lock_path(checksums)]):
            _rename_pending(checksums, names)
    except OSError as error:
        if isinstance(error, RilievoError):
            raise
        raise unwritable(checksums, error) from error


def _make_pending(checksums: Path, parts: Mapping[str, Path]) -> None:
    """Sync parts, give them their hidden names, and write their checksums last."""
    existing_parts = {name: part for name, part in parts.items() if part.exists()}
    sums = {name: compute_file_sum(part) for name, part in existing_parts.items()}
    for name, part in existing_parts.items():
        sync_file(part)
        rename(part, pending_path(checksums.with_name(name)))
    sync_folder(checksums.parent)
    write_checksums(pending_path(checksums), (), sums=sums)


def _rename_pending(checksums: Path, names: Sequence[str]) -> None:
    """Give pending files their final names.

    Pending files without checksums are removed, because they are not complete. So are the old files
    that the pending checksums do not list.
    """
    pending_sums = read_pending_sums(checksums)
    pending_paths = {name: pending_path(checksums.with_name(name)) for name in names}
    if pending_sums is None:
        for path in (*pending_paths.values(), pending_path(checksums)):
            remove(path)
        return
    for name, path in pending_paths.items():
        if name not in pending_sums:
            remove(path)
            remove(checksums.with_name(name))
        elif os.path.lexists(path):
            rename(path, checksums.with_name(name))
    # The names must be on the disk before the new checksums replace the old ones.
    sync_folder(checksums.parent)
    rename(pending_path(checksums), checksums)
    sync_folder(checksums.parent)
