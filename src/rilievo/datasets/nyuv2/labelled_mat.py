"""``nyu_depth_v2_labeled.mat`` as published by its authors: the official benchmark."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rilievo.datasets.mat_file import MatSlices
from rilievo.datasets.nyuv2.layout import (
    LABELLED,
    DepthTruth,
    Layout,
    Listing,
    NormalsTruth,
    listed,
    of_metres,
    official_indices,
    split_indices,
)
from rilievo.datasets.nyuv2.normals_files import NormalsSource
from rilievo.errors import InputError

_DEPTH = {"raw": "rawDepths", "filled": "depths"}


class LabelledMat(Layout):
    """The labelled images in one MATLAB file of version 7.3; an id is the index from 0.

    HDF5 holds MATLAB's axes in reverse order: images (N, 3, width, height), depth (N, width,
    height). Each picture is read on its own and transposed.
    """

    what = "the labelled set as published (nyu_depth_v2_labeled.mat)"

    def __init__(self, root: Path, normals: NormalsSource | None) -> None:
        self.root = root
        self._file, self._normals = MatSlices(root), normals
        self._count = self._checked_count()
        splits = root.with_name("splits.mat")
        self._splits = splits if splits.is_file() else None
        self.variants = ("raw", "filled", "depth_normals")
        if normals is not None:
            self.variants += ("normals",)

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """Images of a split, by ``splits.mat`` beside the file, else by the official list."""
        if list_file is not None:
            names = {f"{index:04d}": f"{index:04d}" for index in range(self._count)}
            return listed(list_file, names, {}, f"ids are 0000 to {self._count - 1:04d}")
        if self._splits is not None:
            indices = split_indices(self._splits, split, self._count)
        elif split == "all":
            indices = tuple(range(self._count))
        elif self._count == LABELLED:
            indices = official_indices(split)
        else:
            raise InputError(
                f"{self.root}: has {self._count} images, not the official {LABELLED}, so which are "
                f"'{split}' is not known: put its splits.mat beside it, give a list, or take the "
                "split 'all'"
            )
        ids = tuple(f"{index:04d}" for index in indices)
        return Listing(ids=ids)

    def image(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph: one image of the array, transposed."""
        return np.ascontiguousarray(self._file.slice("images", int(id)).transpose(2, 1, 0))

    def depth(self, id: str, variant: str) -> DepthTruth:
        """Depth from ``rawDepths`` with holes, or from ``depths`` without."""
        return of_metres(self._file.slice(_DEPTH.get(variant, "rawDepths"), int(id)).T)

    def normals(self, id: str) -> NormalsTruth | None:
        """True normals from a file beside this one."""
        return None if self._normals is None else self._normals.read(int(id))

    def scene(self, id: str) -> str | None:
        """Scene from the file's ``scenes``, such as ``kitchen_0004``."""
        return self._file.text("scenes", int(id))

    def _checked_count(self) -> int:
        arrays = self._file.arrays()
        shapes = {
            name: arrays[name].shape if name in arrays else ()
            for name in ("images", "depths", "rawDepths")
        }
        images = shapes["images"]
        if len(images) == 4 and images[1] == 3:
            count, _, width, height = images
            if shapes["depths"] == shapes["rawDepths"] == (count, width, height):
                return count
        raise InputError(
            f"{self.root}: holds images {shapes['images']}, depths {shapes['depths']} and "
            f"rawDepths {shapes['rawDepths']}, expected (1449, 3, 640, 480) and twice (1449, 640, "
            "480): is it nyu_depth_v2_labeled.mat?"
        )
