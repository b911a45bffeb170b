"""Files that replace those of an earlier run together with their checksums.

New files are written beside the files that they replace. When all are whole they get hidden names,
``.NAME.pending``, and their checksums get theirs last. From then on the next run can finish what a
killed run began. The checksums of before stay until every new file has its name, so that
``rilievo verify`` can compare each file at any moment.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rilievo.errors import InputError, OutputError, RilievoError
from rilievo.io.checksums import FileSum, read_sums, sum_of, write_checksums
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
    """Hidden path of a whole file that is about to replace another one."""
    return path.with_name(f".{path.name}.pending")


def read_pending_sums(checksums: Path) -> Mapping[str, FileSum] | None:
    """Read the checksums of files that are about to replace others; None if there are none."""
    try:
        return read_sums(pending_path(checksums))
    except InputError:
        return None


@contextmanager
def replacing_with_checksums(checksums: Path, names: Sequence[str]) -> Iterator[Mapping[str, Path]]:
    """Yield a path to write for each name; all replace the files of before when the block ends.

    A file whose path is not written is removed, such as a report that cannot be made. After an
    error, the files of before are there with their checksums.

    Args:
        checksums: List of checksums of the files, in their folder.
        names: Names of the files.

    Raises:
        OutputError: If a file cannot be written.
    """
    parts = {name: random_part_path(checksums.with_name(name)) for name in names}
    try:
        yield parts
        with hold_locks([lock_path(checksums)]):
            _rename_pending(checksums, names)  # those of a run that was killed
            _make_pending(checksums, parts)
            _rename_pending(checksums, names)
    except OutputError as error:
        name = next((name for name, part in parts.items() if error.path == part), None)
        if name is None:
            raise
        # The user knows the file by its own name.
        raise OutputError(error.message, path=checksums.with_name(name)) from error
    except OSError as error:
        if isinstance(error, RilievoError):
            raise
        raise unwritable(checksums, error) from error
    finally:
        for part in parts.values():
            remove_part(part)


def finish_replacement(checksums: Path, names: Sequence[str]) -> None:
    """Finish what a killed run began: give new files their names, and their checksums last.

    Raises:
        OutputError: If a file cannot be renamed.
    """
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
    written = {name: part for name, part in parts.items() if part.exists()}
    sums = {name: sum_of(part) for name, part in written.items()}
    for name, part in written.items():
        sync_file(part)
        rename(part, pending_path(checksums.with_name(name)))
    sync_folder(checksums.parent)
    write_checksums(pending_path(checksums), (), sums=sums)


def _rename_pending(checksums: Path, names: Sequence[str]) -> None:
    """Give pending files their names; without their checksums they are not whole and go."""
    sums = read_pending_sums(checksums)
    pending = {name: pending_path(checksums.with_name(name)) for name in names}
    if sums is None:
        for path in (*pending.values(), pending_path(checksums)):
            remove(path)
        return
    for name, path in pending.items():
        if name not in sums:
            remove(path)
            remove(checksums.with_name(name))
        elif os.path.lexists(path):
            rename(path, checksums.with_name(name))
    # Names are on the disk before the checksums replace those of before.
    sync_folder(checksums.parent)
    rename(pending_path(checksums), checksums)
    sync_folder(checksums.parent)
