"""DIODE: indoor and outdoor laser scans."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, Mask, Vectors
from rilievo.data.datasets.dataset import DatasetCard, Request
from rilievo.data.datasets.loaders import (
    DepthFiles,
    DepthPatterns,
    DepthSet,
    MaskedValues,
    masked_metres,
)
from rilievo.data.datasets.stored_normals import NormalAxes, decode_normals
from rilievo.data.datasets.text_files import contents_text, walk
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.geometry.normals import normals_from_depth
from rilievo.io.numbers import read_map, read_numbers
from rilievo.records.sample import Truth

_CARD = DatasetCard(
    name="diode",
    title="DIODE, dense indoor and outdoor depth (2019)",
    summary="1024x768 views of laser scans, indoors to 50 m, outdoors to 300 m",
    homepage="https://diode-dataset.org",
    licence="MIT",
    commercial=True,
    gigabytes=2.6,
    layout="""\
val/indoors/scene_00019/scan_00183/  and val/outdoor/..., train/ the same
  NAME.png                 photograph
  NAME_depth.npy           float32 [m], (768, 1024, 1)
  NAME_depth_mask.npy      1 where the scanner measured depth
  NAME_normal.npy          float32, (768, 1024, 3), 0 is unknown; a separate
                           download, unpacked into the same tree""",
    splits=("val", "val-indoors", "val-outdoor", "train", "train-indoors", "train-outdoor"),
    counts={
        "val": 771,
        "val-indoors": 325,
        "val-outdoor": 446,
        "train": 25458,
        "train-indoors": 8574,
        "train-outdoor": 16884,
    },
    variants=("depth", "normals"),
    normals="its own files (variant 'normals')",
    caveats=(
        "Indoor and outdoor scenes differ so much that one mean over both means little.",
        (
            "Depth smears over the edges of objects, and the results of different programs differ "
            "most on this dataset, because each clips and masks the depth in its own way."
        ),
        (
            "The axes of its normals are not documented: rilievo finds their signs in each image "
            "by comparing them with the normals of the depth."
        ),
    ),
)

# intrinsics.txt of the development kit, whose principal point (512, 384) has its origin at the
# corner of the first pixel: the centre of 1024 x 768.
_K = pinhole_K(886.81, 927.06, 511.5, 383.5)
_PLACES = ("indoors", "outdoor")
_MIN_AGREEMENT = 0.7
"""Least mean cosine between stored normals and those that follow from depth."""
_SCENE = re.compile(r"scene_\d+")


def _read_depth(path: Path) -> MaskedValues:
    with np.errstate(over="ignore", invalid="ignore"):
        return masked_metres(read_map(path).astype(np.float32))


_FILE_PATTERNS = DepthPatterns(
    image="{id}.png",
    depth="{id}_depth.npy",
    read_depth=_read_depth,
    masks=("{id}_depth_mask.npy",),
    camera=Camera(K=_K),
)


class Diode(DepthSet):
    """Photographs with laser depth, indoors, outdoors or both."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        # A split is "val", or "val-indoors" for one of the two places.
        split_folder, _, chosen_place = request.split.partition("-")
        folder = request.root / split_folder
        if not folder.is_dir():
            folder = request.root
        places = [chosen_place] if chosen_place else list(_PLACES)
        if not any((folder / place).is_dir() for place in places):
            raise InputError(
                f"{request.root}: expected {split_folder}/ with {' or '.join(places)} inside, "
                f"found {contents_text(request.root)}"
            )
        files_by_id: dict[str, DepthFiles] = {}
        ids = [image_id for place in places for image_id in _ids_below(folder, place)]
        for image_id in ids:
            scene_match = _SCENE.search(image_id)
            scene = scene_match[0] if scene_match else None
            files = _FILE_PATTERNS.insert_id(image_id, folder, scene)
            if request.variant == "normals":
                files = replace(files, required_files=(folder / f"{image_id}_normal.npy",))
            files_by_id[image_id] = files
        self._set_listed_images(files_by_id, request.list_file)

    def truth(self, id: str) -> Truth:
        """Read depth [m] inside the mask, and normals in the variant ``normals``."""
        truth = super().truth(id)
        if self.request.variant != "normals":
            return truth
        [normals_file] = self._entry(id).required_files
        assert truth.depth is not None, "every image has depth"
        assert truth.depth_valid is not None, "depth comes with a mask"
        normals, valid = _read_normals(normals_file, truth.depth, truth.depth_valid)
        return replace(truth, normals=normals, normals_valid=valid)


def _ids_below(folder: Path, place: str) -> list[str]:
    """List the ids of the photographs and depth files below a subfolder."""
    ids = set()
    for parent, _, names in walk(folder / place):
        for name in names:
            stem = name.removesuffix(".png").removesuffix("_depth.npy")
            if stem != name and not name.startswith("."):
                ids.add(Path(parent, stem).relative_to(folder).as_posix())
    return sorted(ids)


def _read_normals(path: Path, depth: Field, depth_valid: Mask) -> tuple[Vectors, Mask]:
    """Read normals, and choose the signs of their axes that agree best with depth."""
    stored, valid = decode_normals(read_numbers(path), NormalAxes.OPENCV, path)
    if valid.shape != depth.shape:
        raise InputError(
            f"{path}: its normals have the shape {valid.shape}, but the depth has {depth.shape}"
        )
    depth_normals, has_depth_normal = normals_from_depth(depth, _K, depth_valid, window=7)
    is_compared = has_depth_normal & valid
    if not is_compared.any():
        raise InputError(
            f"{path}: no pixel has both depth and a normal, so the axes of its normals cannot be "
            "determined"
        )
    # The mean cosine is a sum over the axes, in which the sign of each axis is a factor.
    axis_agreement = np.mean(stored[:, is_compared] * depth_normals[:, is_compared], axis=1)
    signs = max(
        itertools.product((1, -1), repeat=3), key=lambda signs: float(np.dot(signs, axis_agreement))
    )
    mean_cosine = float(np.dot(signs, axis_agreement))
    if mean_cosine < _MIN_AGREEMENT:
        raise InputError(
            f"{path}: the mean cosine between its normals and those of the depth is only "
            f"{mean_cosine:.2f}, expected at least {_MIN_AGREEMENT}; check that both files belong "
            "to the same image"
        )
    return stored * np.array(signs, np.float32)[:, None, None], valid
