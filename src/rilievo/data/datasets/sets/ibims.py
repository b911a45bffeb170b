"""iBims-1: a hundred rooms with depth from a laser scanner, and masks of invalid measurements."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.data.datasets.base import Request, checked_ids, own_card
from rilievo.data.datasets.files import found_in, names_in, text_lines
from rilievo.data.datasets.photo_files import PhotoFiles
from rilievo.errors import InputError
from rilievo.io.camera_file import read_K
from rilievo.io.files.limits import printable
from rilievo.io.numbers import read_map
from rilievo.types import Camera, Truth

_RAW = "ibims1_core_raw"
_METRES = 50 / 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Files of one image."""

    image: Path
    depth: Path
    invalid: Path
    transparent: Path
    calibration: Path


class Ibims(PhotoFiles[_Files]):
    """The core set of iBims-1, as pictures."""

    card = own_card("ibims")

    def __init__(self, request: Request) -> None:
        self.request = request
        for folder in (request.root, request.root / _RAW):
            names = [Path(name).stem for name in names_in(folder / "rgb") if name.endswith(".png")]
            if (folder / "depth").is_dir() and names:
                found = {name: _files(folder, name) for name in _listed(folder, names)}
                self._choose(found, request.list_file)
                return
        raise InputError(
            f"{request.root}: expected {_RAW}/ with rgb/ and depth/, found {found_in(request.root)}"
        )

    def truth(self, id: str) -> Truth:
        """Depth where neither mask excludes it, and K."""
        files = self._entry(id)
        depth = (read_map(files.depth) * _METRES).astype(np.float32)
        valid = depth > 0
        for path in (files.invalid, files.transparent):
            mask = read_map(path)
            if mask.shape != valid.shape:
                raise InputError(f"{path}: the mask is {mask.shape}, the depth {valid.shape}")
            valid &= mask > 0
        return Truth(
            id=id,
            depth=np.where(valid, depth, np.float32(0)),
            depth_valid=valid,
            camera=Camera(K=read_K(files.calibration)),
        )


def _files(folder: Path, name: str) -> _Files:
    return _Files(
        image=folder / "rgb" / f"{name}.png",
        depth=folder / "depth" / f"{name}.png",
        invalid=folder / "mask_invalid" / f"{name}.png",
        transparent=folder / "mask_transp" / f"{name}.png",
        calibration=folder / "calib" / f"{name}.txt",
    )


def _listed(folder: Path, there: list[str]) -> tuple[str, ...]:
    """Names from the list in or beside the folder; without a list, the names that exist."""
    for place in (folder, folder.parent):
        if (place / "imagelist.txt").is_file():
            lines = text_lines(place / "imagelist.txt")
            names = [line.text.removesuffix(".png") for line in lines]
            return checked_ids(names, printable(place / "imagelist.txt"))
    return tuple(sorted(there))
