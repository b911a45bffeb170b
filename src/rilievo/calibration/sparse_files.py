"""Files of sparse depth beside photographs."""

from collections.abc import Iterator
from pathlib import Path

from rilievo.errors import InputError

LISTS = (".txt", ".csv", ".xyz")
MAPS = (".png", ".npy", ".npz", ".tiff", ".tif", ".exr", ".pfm")


def find_sparse(folder: Path, photo: Path) -> Path:
    """Sparse depth of a photograph: ``folder`` if a file, else one in it."""
    if not folder.is_dir():
        return folder
    files = [path for end in (*MAPS, *LISTS) if (path := folder / f"{photo}{end}").is_file()]
    if len(files) == 1:
        return files[0]
    count = "no" if not files else "more than one"
    raise InputError(
        f"has {count} file {photo} with one of the endings {' '.join((*MAPS, *LISTS))}",
        path=folder,
    )


def sparse_files(folder: Path) -> Iterator[Path]:
    """Possible files of sparse depth."""
    for path in folder.rglob("*"):
        if path.suffix in (*MAPS, *LISTS) and path.is_file():
            yield path
