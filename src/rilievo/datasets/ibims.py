"""iBims-1: a hundred rooms with depth from a laser scanner, and masks of invalid measurements."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Shaped, UInt8

from rilievo.datasets.base import DatasetCard, Request, checked_ids
from rilievo.datasets.files import found_in, names_in, text_lines
from rilievo.datasets.intrinsics_file import read_K
from rilievo.datasets.mat_file import read_mat
from rilievo.datasets.photo_files import Listed
from rilievo.errors import InputError
from rilievo.io.limits import printable
from rilievo.io.numbers import read_map
from rilievo.io.photo import read_photo
from rilievo.types import Camera, Truth

_RAW, _MAT = "ibims1_core_raw", "ibims1_core_mat"
_METRES = 50 / 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raw:
    """Files of one image in ``ibims1_core_raw``."""

    image: Path
    depth: Path
    invalid: Path
    transparent: Path
    calibration: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mat:
    """The file of one image in ``ibims1_core_mat``."""

    file: Path


class Ibims(Listed[_Raw | _Mat]):
    """The core set of iBims-1, as pictures or as MATLAB files."""

    card = DatasetCard(
        name="ibims",
        title="iBims-1, independent benchmark images and matched scans (2018)",
        summary="100 rooms, 640x480, laser scanner without occlusions, up to 50 m",
        homepage="https://www.asg.ed.tum.de/lmf/ibims1/",
        licence="as its record at mediaTUM (1455541) states",
        commercial=False,
        gigabytes=0.5,
        layout=(
            "imagelist.txt              names, one a line; may be missing\n"
            "ibims1_core_raw/\n"
            "  rgb/NAME.png\n"
            "  depth/NAME.png           16 bits, times 50/65535 metres; 0 is unknown\n"
            "  mask_invalid/NAME.png    0 where the scan is wrong\n"
            "  mask_transp/NAME.png     0 where glass is seen\n"
            "  calib/NAME.txt           fx,fy,cx,cy\n"
            "or ibims1_core_mat/NAME.mat, with the same in 'data' (needs the extra 'evaluate')"
        ),
        splits=("test",),
        counts={"test": 100},
        caveats=(
            "a hundred images: confidence intervals are wide",
            "depth ends at 50 m, and its step in the pictures is 0.76 mm",
        ),
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        found = _raw_entries(request.root) or _mat_entries(request.root)
        if not found:
            raise InputError(
                f"{request.root}: expected {_RAW}/ with rgb/ and depth/, or {_MAT}/ with MATLAB "
                f"files, found {found_in(request.root)}"
            )
        self._choose(found, request.list_file)

    def image(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph."""
        entry = self._entry(id)
        if isinstance(entry, _Raw):
            return read_photo(entry.image, own_depth=False).pixels
        rgb = _Record(entry.file).part("rgb")
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise InputError(
                f"{entry.file}: its rgb is {rgb.shape} {rgb.dtype}, expected (height, width, 3) "
                "uint8"
            )
        return np.ascontiguousarray(rgb)

    def truth(self, id: str) -> Truth:
        """Depth where neither mask excludes it, and K."""
        entry = self._entry(id)
        if isinstance(entry, _Raw):
            depth = read_map(entry.depth).astype(np.float64) * _METRES
            masks = (read_map(entry.invalid), read_map(entry.transparent))
            K, where = read_K(entry.calibration), entry.depth
        else:
            record = _Record(entry.file)
            depth = record.part("depth").astype(np.float64)
            masks = (record.part("mask_invalid"), record.part("mask_transp"))
            K, where = _upright_K(record.part("calib"), entry.file), entry.file
        valid = (depth > 0) & (depth < np.finfo(np.float32).max)
        for mask in masks:
            valid = valid & _measured(mask, valid.shape, where)
        return Truth(
            id=id,
            depth=np.where(valid, depth, 0).astype(np.float32),
            depth_valid=valid,
            camera=Camera(K=K),
        )


class _Record:
    """The struct ``data`` of a MATLAB file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data: Any = read_mat(path, "data")["data"]
        if not self._data.dtype.names or self._data.size != 1:
            raise InputError(f"{path}: its 'data' is no struct, as that of iBims-1 is")

    def part(self, name: str) -> Shaped[np.ndarray, "..."]:
        if name not in self._data.dtype.names:
            raise InputError(
                f"{self._path}: its 'data' has no '{name}', but {', '.join(self._data.dtype.names)}"
            )
        return np.asarray(self._data[name].item())


def _raw_entries(root: Path) -> dict[str, _Raw | _Mat]:
    for folder in (root, root / _RAW):
        names = [Path(name).stem for name in names_in(folder / "rgb") if name.endswith(".png")]
        if (folder / "depth").is_dir() and names:
            return {
                name: _Raw(
                    image=folder / "rgb" / f"{name}.png",
                    depth=folder / "depth" / f"{name}.png",
                    invalid=folder / "mask_invalid" / f"{name}.png",
                    transparent=folder / "mask_transp" / f"{name}.png",
                    calibration=folder / "calib" / f"{name}.txt",
                )
                for name in _listed(folder, names)
            }
    return {}


def _mat_entries(root: Path) -> dict[str, _Raw | _Mat]:
    for folder in (root / _MAT, root):
        names = [Path(name).stem for name in names_in(folder) if name.endswith(".mat")]
        if names:
            return {name: _Mat(file=folder / f"{name}.mat") for name in _listed(folder, names)}
    return {}


def _listed(folder: Path, there: list[str]) -> tuple[str, ...]:
    """Names from the list in or beside the folder; without a list, the names that exist."""
    for place in (folder, folder.parent):
        if (place / "imagelist.txt").is_file():
            lines = text_lines(place / "imagelist.txt")
            names = [line.text.removesuffix(".png").removesuffix(".mat") for line in lines]
            return checked_ids(names, printable(place / "imagelist.txt"))
    return tuple(sorted(there))


def _measured(
    mask: Shaped[np.ndarray, "..."], size: tuple[int, ...], path: Path
) -> Bool[np.ndarray, "h w"]:
    if mask.shape != size:
        raise InputError(f"{path}: a mask is {mask.shape}, the depth {size}")
    return mask > 0


def _upright_K(calib: Shaped[np.ndarray, "..."], path: Path) -> Float64[np.ndarray, "3 3"]:
    """Transpose K where needed, since MATLAB stores the transpose of K."""
    if calib.shape != (3, 3):
        raise InputError(f"{path}: its calib is {calib.shape}, expected (3, 3)")
    K = calib.astype(np.float64)
    return K.T.copy() if K[2, 0] or K[2, 1] else K
