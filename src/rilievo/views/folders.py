"""Folders that ``rilievo predict`` wrote, and the photographs that they were made from."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.facts import FORMAT, Sidecar
from rilievo.io.limits import printable
from rilievo.io.sidecar import SUFFIX, read_sidecar


def ids_of(folder: Path) -> list[str]:
    """Paths of photographs' results, relative and without suffix, sorted."""
    found = [_id(path, folder) for path, _ in _sidecars(folder)]
    if not found:
        raise InputError(
            f"{printable(folder)}: holds no results of 'rilievo predict' (a JSON beside each) and "
            "no evaluation; results of other programs need --dataset"
        )
    return found


def photos_of(ids: Sequence[str], folders: Sequence[Path], photos: Path) -> Mapping[str, Path]:
    """Find the photograph of each id; ids without one are left out.

    Results keep the tree of the folder that was predicted, below its own name if several folders
    were predicted at once.
    """
    if not photos.is_dir():
        raise InputError(f"{printable(photos)}: there is no such folder of photographs")
    files: dict[str, Path] = {}
    for folder in folders:
        for path, sidecar in _sidecars(folder):
            id = _id(path, folder)
            file = files.get(id) or _photo(path.relative_to(folder).parent, sidecar, photos)
            if file is not None:
                _check_same(file, sidecar, path)
                files[id] = file
    if not files:
        raise InputError(
            f"{printable(photos)}: none of the {len(ids)} results has its photograph here; "
            f"expected {printable(ids[0])} and the like"
        )
    return files


def _photo(parent: Path, sidecar: Sidecar, photos: Path) -> Path | None:
    for place in (parent, Path(*parent.parts[1:])):
        file = photos / place / sidecar.source.file
        if file.is_file():
            return file
    return None


def _check_same(file: Path, sidecar: Sidecar, json: Path) -> None:
    """Refuse a photograph that has changed, or is another one of the same name."""
    size = sidecar.run.get("source_bytes")
    if isinstance(size, int) and file.stat().st_size != size:
        raise InputError(
            f"{printable(file)}: has {file.stat().st_size} bytes, but {printable(json)} was made "
            f"from {size}; it is another photograph, or has changed: predict it again"
        )


def _sidecars(folder: Path) -> Iterator[tuple[Path, Sidecar]]:
    """Yield the JSON files of photographs; those of videos have no values of single images."""
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        try:
            sidecar = read_sidecar(path)
        except InputError:
            if _says_ours(path):
                raise
            continue  # JSON files of other programs may be in the folder
        if "independent" not in sidecar.run:
            yield path, sidecar


def _says_ours(path: Path) -> bool:
    try:
        return f'"{FORMAT}"'.encode() in path.read_bytes()
    except OSError:
        return False


def _id(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix().removesuffix(SUFFIX)
