"""Readers of photographs and truth, from a dataset or a folder."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from rilievo.data.datasets.photo_files import Dataset
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks.benchmark import InputCrop
from rilievo.evaluation.scoring.regions import cut_truth, shown_to_model
from rilievo.frozen import frozen
from rilievo.io.files.limits import printable
from rilievo.io.outputs.sidecar import FORMAT, SUFFIX, Sidecar, read_sidecar
from rilievo.io.photographs.photo import read_photo
from rilievo.sample import Truth
from rilievo.shapes import Pixels


@frozen
class DatasetImages:
    """Images of a dataset."""

    dataset: Dataset
    crop: InputCrop | str = InputCrop.NONE

    @property
    def split(self) -> str | None:
        """Split of them."""
        return self.dataset.request.split

    def photo(self, id: str) -> Pixels:
        """Photograph as models saw it."""
        return shown_to_model(self.dataset.image(id), self.crop)

    def photo_file(self, id: str) -> Path | None:
        """File with exactly these pixels, if any."""
        file = self.dataset.photo_file(id) if self.crop is InputCrop.NONE else None
        return None if file is None else file.absolute()

    def truth(self, id: str) -> Truth | None:
        """Truth at the photograph's size."""
        return cut_truth(self.dataset.truth(id), self.crop)


@frozen
class FolderImages:
    """Photographs of a folder, without truth."""

    files: Mapping[str, Path]
    split: str | None = None

    def photo(self, id: str) -> Pixels:
        """Upright photograph."""
        return read_photo(self.files[id], own_depth=False).pixels

    def photo_file(self, id: str) -> Path | None:
        """Absolute path."""
        return self.files[id].absolute()

    def truth(self, id: str) -> Truth | None:
        """None."""
        return None


def ids_of(folder: Path) -> list[str]:
    """Sorted relative paths of photographs' results, without suffix."""
    ids = [_relative_id(path, folder) for path, _ in _sidecars(folder)]
    if not ids:
        raise InputError(
            f"{folder}: holds no results of 'rilievo predict' (a JSON beside each) and "
            "no evaluation; results of other programs need their dataset's name"
        )
    return ids


def photos_of(ids: Sequence[str], folders: Sequence[Path], photos: Path) -> Mapping[str, Path]:
    """Photographs of results, by id."""
    if not photos.is_dir():
        raise InputError(f"{photos}: there is no such folder of photographs")
    files: dict[str, Path] = {}
    for folder in folders:
        for path, sidecar in _sidecars(folder):
            id = _relative_id(path, folder)
            file = files.get(id) or _find_photo(path.relative_to(folder).parent, sidecar, photos)
            if file is not None:
                _refuse_other_photo(file, sidecar, path)
                files[id] = file
    if not files:
        raise InputError(
            f"{photos}: none of the {len(ids)} results has its photograph here; "
            f"expected {ids[0]} and the like"
        )
    return files


def _find_photo(parent: Path, sidecar: Sidecar, photos: Path) -> Path | None:
    for place in (parent, Path(*parent.parts[1:])):
        folder = photos / place
        file = folder / _names_by_escape(folder).get(sidecar.source.file, sidecar.source.file)
        if file.is_file():
            return file
    return None


@cache
def _names_by_escape(folder: Path) -> Mapping[str, str]:
    """Names of files by their escaped names."""
    names = os.listdir(folder) if folder.is_dir() else []
    return {printable(name): name for name in names if printable(name) != name}


def _refuse_other_photo(file: Path, sidecar: Sidecar, json: Path) -> None:
    """Refuse a photograph that is not the predicted one."""
    size = sidecar.run.get("source_bytes")
    if isinstance(size, int) and file.stat().st_size != size:
        raise InputError(
            f"{file}: has {file.stat().st_size} bytes, but {json} was made "
            f"from {size}; it is another photograph, or has changed: predict it again"
        )


def _sidecars(folder: Path) -> Iterator[tuple[Path, Sidecar]]:
    """Yield JSON files of photographs, not videos."""
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        try:
            sidecar = read_sidecar(path)
        except InputError:
            if _has_format(path):
                raise
            continue  # JSON files of other programs may be in the folder
        if "independent" not in sidecar.run:
            yield path, sidecar


def _has_format(path: Path) -> bool:
    try:
        return f'"{FORMAT}"'.encode() in path.read_bytes()
    except OSError:
        return False


def _relative_id(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix().removesuffix(SUFFIX)
