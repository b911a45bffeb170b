"""The labelled set of NYU Depth V2 as published: one MATLAB file."""

from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.data.datasets.loaders import MaskedValues, masked_metres
from rilievo.data.datasets.mat_file import Hdf5MatFile
from rilievo.data.datasets.sets.nyuv2.layout import (
    LABELLED_IMAGES,
    Listing,
    NyuLayout,
    official_indices,
    read_image_list,
)
from rilievo.data.datasets.sets.nyuv2.normals_files import NormalsReader
from rilievo.errors import InputError

_DEPTH_ARRAYS = {"raw": "rawDepths", "filled": "depths"}


class LabelledMat(NyuLayout):
    """Labelled images in one MATLAB 7.3 file; ids are indices from 0."""

    description = "the labelled set as published (nyu_depth_v2_labeled.mat)"

    def __init__(self, root: Path, normals_reader: NormalsReader | None) -> None:
        self.root = root
        self._file, self._normals_reader = Hdf5MatFile(root), normals_reader
        self._count = self._check_shapes_and_count()
        self.variants = ("raw", "filled", "depth_normals")
        if normals_reader is not None:
            self.variants += ("normals",)

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """List the images of the user's list or of an official split."""
        if list_file is not None:
            all_ids = [f"{index:04d}" for index in range(self._count)]
            ids_by_word = {image_id: image_id for image_id in all_ids}
            expected = f"ids are 0000 to {self._count - 1:04d}"
            return read_image_list(list_file, ids_by_word, {}, expected=expected)
        if split == "all":
            indices = tuple(range(self._count))
        elif self._count == LABELLED_IMAGES:
            indices = official_indices(split)
        else:
            raise InputError(
                f"{self.root}: has {self._count} images, not the official {LABELLED_IMAGES}, so "
                f"rilievo does not know which of them are in the split '{split}'; give a list "
                "file, or choose the split 'all'"
            )
        return Listing(ids=tuple(f"{index:04d}" for index in indices))

    def image(self, id: str) -> Pixels:
        """Read the photograph, which is stored transposed."""
        return np.ascontiguousarray(self._file.slice("images", int(id)).transpose(2, 1, 0))

    def depth(self, id: str, variant: str) -> MaskedValues:
        """Read depth [m]: ``raw`` with holes, or ``filled``."""
        return masked_metres(self._file.slice(_DEPTH_ARRAYS.get(variant, "rawDepths"), int(id)).T)

    def normals(self, id: str) -> MaskedValues | None:
        """Read true normals from their own file; None if there is no such file."""
        return None if self._normals_reader is None else self._normals_reader(int(id))

    def scene(self, id: str) -> str | None:
        """Scene, such as "kitchen_0004"."""
        return self._file.text("scenes", int(id))

    def _check_shapes_and_count(self) -> int:
        """Check the shapes of the arrays, and return the number of images."""
        all_shapes = self._file.shapes()
        shapes = {name: all_shapes.get(name, ()) for name in ("images", "depths", "rawDepths")}
        images = shapes["images"]
        if len(images) == 4 and images[1] == 3:
            count, _, width, height = images
            if shapes["depths"] == shapes["rawDepths"] == (count, width, height):
                return count
        raise InputError(
            f"{self.root}: 'images' has the shape {shapes['images']}, 'depths' "
            f"{shapes['depths']} and 'rawDepths' {shapes['rawDepths']}, expected (1449, 3, 640, "
            "480) for 'images' and (1449, 640, 480) for 'depths' and 'rawDepths'; check that this "
            "is nyu_depth_v2_labeled.mat"
        )
