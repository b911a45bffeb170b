"""DIODE: indoor and outdoor laser scans."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, Mask, Vectors
from rilievo.data.datasets.dataset import Request, own_card
from rilievo.data.datasets.loaders import DepthPatterns, DepthSet, MaskedValues, masked_metres
from rilievo.data.datasets.stored_normals import NormalAxes, normals_of_stored
from rilievo.data.datasets.text_files import contents_text, walk
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.geometry.normals import normals_from_depth
from rilievo.io.numbers import read_map, read_numbers
from rilievo.records.sample import Truth

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


_FILES = DepthPatterns(
    image="{id}.png",
    depth="{id}_depth.npy",
    read=_read_depth,
    masks=("{id}_depth_mask.npy",),
    camera=Camera(K=_K),
)


class Diode(DepthSet):
    """Photographs with laser depth, indoors, outdoors or both."""

    card = own_card("diode")

    def __init__(self, request: Request) -> None:
        self.request = request
        part, _, only_place = request.split.partition("-")
        folder = request.root / part if (request.root / part).is_dir() else request.root
        places = [only_place] if only_place else list(_PLACES)
        if not any((folder / place).is_dir() for place in places):
            raise InputError(
                f"{request.root}: expected {part}/ with {' and '.join(places)} inside, found "
                f"{contents_text(request.root)}"
            )
        entries = {}
        ids = [id for place in places for id in _ids_below(folder, place)]
        for id in ids:
            scene = _SCENE.search(id)
            files = _FILES.files_of_image(id, folder, scene[0] if scene else None)
            if request.variant == "normals":
                files = replace(files, needs=(folder / f"{id}_normal.npy",))
            entries[id] = files
        self._set_entries_of_list(entries, request.list_file)

    def truth(self, id: str) -> Truth:
        """Read depth [m] inside the mask, and normals in the variant ``normals``."""
        truth = super().truth(id)
        for path in self._entry(id).needs:
            assert truth.depth is not None, "every image has depth"
            assert truth.depth_valid is not None, "depth comes with a mask"
            normals, valid = _signed_normals(path, truth.depth, truth.depth_valid)
            truth = replace(truth, normals=normals, normals_valid=valid)
        return truth


def _ids_below(folder: Path, place: str) -> list[str]:
    """Ids of the photographs and depth files below a subfolder."""
    ids = set()
    for parent, _, names in walk(folder / place):
        for name in names:
            stem = name.removesuffix(".png").removesuffix("_depth.npy")
            if stem != name and not name.startswith("."):
                ids.add(Path(parent, stem).relative_to(folder).as_posix())
    return sorted(ids)


def _signed_normals(path: Path, depth: Field, depth_valid: Mask) -> tuple[Vectors, Mask]:
    """Read normals, and choose the signs of their axes that agree best with depth."""
    stored, valid = normals_of_stored(read_numbers(path), NormalAxes.OPENCV, path)
    if valid.shape != depth.shape:
        raise InputError(f"{path}: is {valid.shape}, the depth {depth.shape}")
    fitted, has_fit = normals_from_depth(depth, _K, depth_valid, window=7)
    both = has_fit & valid
    if not both.any():
        raise InputError(
            f"{path}: no pixel has both depth and a normal, so that its axes cannot be told"
        )
    agreement = np.mean(stored[:, both] * fitted[:, both], axis=1)
    signs = max(
        itertools.product((1, -1), repeat=3), key=lambda signs: float(np.dot(signs, agreement))
    )
    best = float(np.dot(signs, agreement))
    if best < _MIN_AGREEMENT:
        raise InputError(
            f"{path}: agrees with the normals of its depth to a mean cosine of {best:.2f} at best, "
            f"expected {_MIN_AGREEMENT}: are they of another image?"
        )
    return stored * np.array(signs, np.float32)[:, None, None], valid
