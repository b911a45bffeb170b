"""Free space of disks, compared with what long work needs before it begins."""

from pathlib import Path

from rilievo.errors import OutputError
from rilievo.io.files.limits import printable

_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def check_room(folder: Path, needed: float, what: str, hint: str, *, spare: float = 0) -> None:
    """Refuse work for whose files a disk has no space.

    Args:
        folder: Folder on the disk.
        needed: Bytes that the files take.
        what: Subject of the message, in the plural, such as "the files of 20 photographs".
        hint: Remedy besides free space.
        spare: Bytes that have to stay free.

    Raises:
        OutputError: If fewer bytes are free.
    """
    import shutil

    free = shutil.disk_usage(folder).free
    if needed > free - spare:
        raise OutputError(
            path=printable(folder),
            problem=f"{what} take about {in_bytes(needed)}, and {in_bytes(free)} are free: free "
            f"some space, or {hint}",
        )


def in_bytes(count: float) -> str:
    """Number of bytes in words."""
    unit, size = next((pair for pair in _UNITS if count >= pair[1]), ("bytes", 1))
    return f"{count / size:,.3g} {unit}"
