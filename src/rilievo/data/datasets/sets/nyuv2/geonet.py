"""GeoNet's training files of NYU Depth V2, which have normals (Qi et al. 2018)."""

from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.data.datasets.loaders import MaskedValues, masked_metres
from rilievo.data.datasets.mat_file import read_mat
from rilievo.data.datasets.sets.nyuv2.layout import Listing, NyuLayout, read_image_list
from rilievo.data.datasets.sets.nyuv2.normals_files import SIZE, orient_normals_inward
from rilievo.data.datasets.text_files import find_entry, names_in
from rilievo.errors import InputError

_SUBTRACTED_COLOUR = 2 * np.array([122.175, 116.169, 103.508], np.float32)
"""Colour that was subtracted from the stored photographs: twice the mean colour."""
_MAX_OVERSHOOT = 2.0
"""How far restored colours may leave 0 to 255, since GeoNet's mean differs in the last digit."""


class GeoNetFolder(NyuLayout):
    """GeoNet's training files, one for each image, without a split.

    Arrays are 481 x 641, of which the last row and column are dropped.
    """

    description = "the training files of GeoNet (.mat with img, depth and norm)"
    variants = ("normals", "raw", "depth_normals")

    def __init__(self, root: Path, files: dict[str, Path]) -> None:
        self.root, self._files = root, files

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """List the images of the user's list, or all images."""
        if list_file is not None:
            ids_by_word = {f"{image_id}.mat": image_id for image_id in self._files}
            ids_by_word |= {image_id: image_id for image_id in self._files}
            return read_image_list(
                list_file, ids_by_word, {}, expected="ids are names of .mat files"
            )
        if split not in ("all", "train"):
            raise InputError(
                f"{self.root}: GeoNet's files are for training and do not contain the split "
                f"'{split}'; choose the split 'train' or 'all'"
            )
        return Listing(ids=tuple(self._files))

    def image(self, id: str) -> Pixels:
        """Read the photograph, to which its mean colour is added again."""
        path = find_entry(self._files, id, self.root)
        stored = _crop_array(path, "img", read_mat(path, "img")["img"], axes=3)
        values = np.rint(stored.astype(np.float32) + _SUBTRACTED_COLOUR)
        if values.min() < -_MAX_OVERSHOOT or values.max() > 255 + _MAX_OVERSHOOT:
            raise InputError(
                f"{path}: with the mean colour added, 'img' ranges from {values.min():g} to "
                f"{values.max():g}, expected 0 to 255: check that this is one of GeoNet's files"
            )
        return np.clip(values, 0, 255).astype(np.uint8)

    def depth(self, id: str, variant: str) -> MaskedValues:
        """Read depth [m]; zero is unknown."""
        path = find_entry(self._files, id, self.root)
        stored = read_mat(path, "depth")["depth"]
        return masked_metres(_crop_array(path, "depth", stored, axes=2))

    def normals(self, id: str) -> MaskedValues:
        """Read true normals, inside the mask if the file has one."""
        path = find_entry(self._files, id, self.root)
        arrays = read_mat(path)
        if "norm" not in arrays:
            raise InputError(f"{path}: has no variable 'norm'; download the file again")
        normals = np.moveaxis(_crop_array(path, "norm", arrays["norm"], axes=3), -1, 0)
        mask = None
        if "mask" in arrays:
            mask = _crop_array(path, "mask", arrays["mask"], axes=2) != 0
        return orient_normals_inward(normals.astype(np.float32), mask, path)


def find_geonet(root: Path) -> dict[str, Path] | None:
    """Find GeoNet's files by their stems; None if the first ``.mat`` file is another kind."""
    names = sorted(name for name in names_in(root) if name.endswith(".mat"))
    if not names or not {"img", "norm"} <= set(read_mat(root / names[0])):
        return None
    return {Path(name).stem: root / name for name in names}


def _crop_array(path: Path, name: str, array: np.ndarray, *, axes: int) -> np.ndarray:
    """Crop an array to its first 480 rows and 640 columns."""
    if array.ndim != axes or array.shape[0] < SIZE[0] or array.shape[1] < SIZE[1]:
        raise InputError(f"{path}: '{name}' has the shape {array.shape}, expected 481 x 641 pixels")
    return array[: SIZE[0], : SIZE[1]]
