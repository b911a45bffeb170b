"""Layouts with normals: the evaluation set of DSINE and the training set of GeoNet."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rilievo.datasets.base import Absent
from rilievo.datasets.files import find_entry, names_in
from rilievo.datasets.intrinsics_file import read_K
from rilievo.datasets.mat_file import read_mat
from rilievo.datasets.nyuv2.layout import (
    SIZE,
    DepthTruth,
    Layout,
    Listing,
    NormalsTruth,
    PairedLayout,
    listed,
    of_metres,
)
from rilievo.datasets.nyuv2.normals_files import inward
from rilievo.datasets.nyuv2.pairs import Pair, Pairs
from rilievo.errors import InputError
from rilievo.io.limits import printable
from rilievo.io.numbers import read_numbers
from rilievo.types import Camera

_PHOTO_ENDS = ("_img.png", "_img.jpg")
_NORMAL_ENDS = ("_normal.png", "_normal.exr")
_SPLITS = ("test", "train")
# GeoNet's files hold the image minus twice its mean.
_GEONET_SHIFT = 2 * np.array([122.175, 116.169, 103.508], np.float32)
_ROUNDING = 2.0


class DsineFolders(PairedLayout):
    """``test/NNNNNN_img.png`` with ``_normal.png`` (or .exr) and ``_intrins.npy``.

    These are the evaluation files of DSINE (Bae and Davison 2024). Normals are stored as
    (n + 1) / 2 * 255 in 8 bits, black where unknown, and point away from the camera. NNNNNN is the
    labelled index from 0.
    """

    what = "the evaluation files of DSINE (NNNNNN_img.png with NNNNNN_normal.png)"
    variants = ("normals",)

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """Images of a split, by folder; pictures without a folder belong to the test split."""
        found, absent = self._pairs.found, self._pairs.absent
        if list_file is not None:
            words = {f"{id}{end}": id for id in found for end in ("", *_PHOTO_ENDS)}
            return listed(list_file, words, absent, "ids are as test/000045")
        chosen = [id for id in found if split in ("all", _split_of(id))]
        gone = [absent[id] for id in absent if split in ("all", _split_of(id))]
        if not chosen:
            raise InputError(
                f"{self.root}: holds no images of the split '{split}' in the layout of DSINE's "
                "evaluation files"
            )
        return Listing(ids=tuple(chosen), absent=tuple(gone))

    def depth(self, id: str, variant: str) -> DepthTruth | None:
        """None: these files hold no depth."""
        return None

    def normals(self, id: str) -> NormalsTruth:
        """True normals from 8 bits or floats."""
        path = self._pair(id).truth
        stored = read_numbers(path)
        if stored.ndim != 3 or stored.shape[2] != 3:
            raise InputError(
                f"{path}: has numbers of shape {stored.shape}, expected normals (height, width, 3)"
            )
        mask = (stored != 0).any(axis=2, keepdims=True)[..., 0]
        if stored.dtype == np.uint8:
            stored = stored.astype(np.float32) / np.float32(127.5) - 1
        elif not np.issubdtype(stored.dtype, np.floating):
            raise InputError(
                f"{path}: has numbers of type {stored.dtype}, expected 8 bits or floats"
            )
        camera = self.camera(id, stored.shape[:2])
        K = None if camera is None else camera.K
        return inward(np.moveaxis(stored, -1, 0).astype(np.float32), mask, path, K)

    def camera(self, id: str, size: tuple[int, int]) -> Camera | None:
        """Intrinsics from ``_intrins.npy``, else the dataset's."""
        photo = self._pair(id).photo
        path = photo.with_name(photo.name.rpartition("_img")[0] + "_intrins.npy")
        return Camera(K=read_K(path)) if path.is_file() else super().camera(id, size)


class GeoNetFolder(Layout):
    """GeoNet's training files: one .mat per image with ``img``, ``depth``, ``norm`` and ``mask``.

    Qi et al. (2018): 481 x 641 pixels, of which the last row and column are dropped; normals point
    away from the camera; the image is stored minus twice its mean. The images are frames of the raw
    recordings, and GeoNet has no list that splits them.
    """

    what = "the training files of GeoNet (.mat with img, depth, norm)"
    variants = ("normals", "raw", "depth_normals")

    def __init__(self, root: Path, files: dict[str, Path]) -> None:
        self.root, self._files = root, files

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """All images: the files have no test split."""
        if list_file is not None:
            words = {f"{id}{end}": id for id in self._files for end in ("", ".mat")}
            return listed(list_file, words, {}, "ids are the files' names")
        if split not in ("all", "train"):
            raise InputError(
                f"{self.root}: GeoNet's files are for training and hold no '{split}'; take the "
                "split 'train' or 'all'"
            )
        return Listing(ids=tuple(self._files))

    def image(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph, RGB, with the mean added back."""
        path = find_entry(self._files, id, self.root)
        shifted = _cut(path, "img", read_mat(path, "img")["img"], axes=3)
        values = np.rint(shifted.astype(np.float32) + _GEONET_SHIFT)
        if values.min() < -_ROUNDING or values.max() > 255 + _ROUNDING:
            raise InputError(
                f"{path}: 'img' and twice the mean make {values.min():g} to {values.max():g}, "
                "expected 0 to 255: is it one of GeoNet's files?"
            )
        # The mean used by GeoNet differs in the last digit, so black and white leave the range.
        return np.clip(values, 0, 255).astype(np.uint8)

    def depth(self, id: str, variant: str) -> DepthTruth:
        """Depth [m]; zero where unknown."""
        path = find_entry(self._files, id, self.root)
        return of_metres(_cut(path, "depth", read_mat(path, "depth")["depth"], axes=2))

    def normals(self, id: str) -> NormalsTruth:
        """True normals within the file's mask, if it has one."""
        path = find_entry(self._files, id, self.root)
        arrays = read_mat(path)
        if "norm" not in arrays:
            raise InputError(f"{path}: has no variable 'norm'")
        normals = np.moveaxis(_cut(path, "norm", arrays["norm"], axes=3), -1, 0)
        mask = None
        if "mask" in arrays:
            mask = _cut(path, "mask", arrays["mask"], axes=2) != 0
        return inward(normals.astype(np.float32), mask, path)


def find_dsine(root: Path) -> Pairs | None:
    """Find pictures with normals in the folder, ``test`` or ``train``; None if there are none."""
    found: dict[str, Pair] = {}
    absent: dict[str, Absent] = {}
    for prefix in ("", *(f"{split}/" for split in _SPLITS)):
        folder = root / prefix
        names = names_in(folder)
        for name in sorted(names):
            end = next((end for end in _PHOTO_ENDS if name.endswith(end)), None)
            if end is None:
                continue
            stem = name.removesuffix(end)
            normal = next((f"{stem}{end}" for end in _NORMAL_ENDS if f"{stem}{end}" in names), None)
            id = prefix + stem
            if normal is None:
                reason = f"{printable(folder / name)} has no {stem}_normal.png beside it"
                absent[id] = Absent(id=id, reason=reason)
            else:
                found[id] = Pair(photo=folder / name, truth=folder / normal)
    return Pairs(found=found, absent=absent) if found else None


def find_geonet(root: Path) -> dict[str, Path] | None:
    """Find GeoNet's files, by stem; None where there are none."""
    names = sorted(name for name in names_in(root) if name.endswith(".mat"))
    if not names or not {"img", "norm"} <= set(read_mat(root / names[0])):
        return None
    return {Path(name).stem: root / name for name in names}


def _cut(path: Path, name: str, array: np.ndarray, *, axes: int) -> np.ndarray:
    if array.ndim != axes or array.shape[0] < SIZE[0] or array.shape[1] < SIZE[1]:
        raise InputError(f"{path}: '{name}' is {array.shape}, expected 481 x 641 pixels")
    return array[: SIZE[0], : SIZE[1]]


def _split_of(id: str) -> str:
    split, slash, _ = id.partition("/")
    return split if slash else "test"
