"""DIODE: indoor and outdoor laser scans from one sensor."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from rilievo.data.datasets.base import Request, own_card
from rilievo.data.datasets.files import found_in, walk
from rilievo.data.datasets.photo_files import PhotoFiles
from rilievo.data.datasets.stored import NormalAxes, normals_of_stored
from rilievo.errors import InputError
from rilievo.geometry.normals import normals_from_depth
from rilievo.io.camera_file import pinhole_K
from rilievo.io.numbers import read_map, read_numbers
from rilievo.types import Camera, Truth

# intrinsics.txt of the development kit, whose principal point (512, 384) has its origin at the
# corner of the first pixel: the centre of 1024 x 768.
_K = pinhole_K(886.81, 927.06, 511.5, 383.5)
_PLACES = ("indoors", "outdoor")
_LEAST_AGREEMENT = 0.7
_SCENE = re.compile(r"scene_\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Files of one image; normals only if requested."""

    image: Path
    depth: Path
    mask: Path
    normals: Path | None


class Diode(PhotoFiles[_View]):
    """Validation or training split of DIODE: indoors, outdoors or both."""

    card = own_card("diode")

    def __init__(self, request: Request) -> None:
        self.request = request
        part, _, place = request.split.partition("-")
        folder = request.root / part if (request.root / part).is_dir() else request.root
        places = [place] if place else list(_PLACES)
        if not any((folder / each).is_dir() for each in places):
            raise InputError(
                f"{request.root}: expected {part}/ with {' and '.join(places)} inside, found "
                f"{found_in(request.root)}"
            )
        found: dict[str, _View] = {}
        for each in places:
            found |= _views(folder, each, with_normals=request.variant == "normals")
        self._choose(found, request.list_file)

    def truth(self, id: str) -> Truth:
        """Depth where the mask is 1, and normals in the variant ``normals``."""
        view = self._entry(id)
        with np.errstate(over="ignore", invalid="ignore"):
            depth = read_map(view.depth).astype(np.float32)
        mask = read_map(view.mask)
        if mask.shape != depth.shape:
            raise InputError(f"{view.mask}: the mask is {mask.shape}, the depth {depth.shape}")
        valid = (mask > 0) & np.isfinite(depth) & (depth > 0)
        depth = np.where(valid, depth, np.float32(0))
        normals = normals_valid = None
        if view.normals is not None:
            normals, normals_valid = _signed_normals(view.normals, depth, valid)
        return Truth(
            id=id,
            depth=depth,
            depth_valid=valid,
            scene=scene[0] if (scene := _SCENE.search(id)) else None,
            normals=normals,
            normals_valid=normals_valid,
            camera=Camera(K=_K),
        )


def _views(folder: Path, place: str, *, with_normals: bool) -> dict[str, _View]:
    """Files of every photograph and every depth map below ``place``, by stem."""
    stems = set()
    for where, _, names in walk(folder / place):
        for name in names:
            stem = name.removesuffix(".png").removesuffix("_depth.npy")
            if stem != name and not name.startswith("."):
                stems.add(Path(where, stem).relative_to(folder).as_posix())
    return {
        stem: _View(
            image=folder / f"{stem}.png",
            depth=folder / f"{stem}_depth.npy",
            mask=folder / f"{stem}_depth_mask.npy",
            normals=folder / f"{stem}_normal.npy" if with_normals else None,
        )
        for stem in sorted(stems)
    }


def _signed_normals(
    path: Path, depth: Float32[np.ndarray, "h w"], depth_valid: Bool[np.ndarray, "h w"]
) -> tuple[Float32[np.ndarray, "3 h w"], Bool[np.ndarray, "h w"]]:
    """Stored normals with the signs of x, y and z that agree best with normals of the depth."""
    stored, valid = normals_of_stored(read_numbers(path), NormalAxes.OPENCV, path)
    if valid.shape != depth.shape:
        raise InputError(f"{path}: is {valid.shape}, the depth {depth.shape}")
    fitted, known = normals_from_depth(depth, _K, depth_valid, window=7)
    both = known & valid
    if not both.any():
        raise InputError(
            f"{path}: no pixel has both depth and a normal, so that its axes cannot be told"
        )
    agreement = np.mean(stored[:, both] * fitted[:, both], axis=1)
    signs = max(
        itertools.product((1, -1), repeat=3), key=lambda each: float(np.dot(each, agreement))
    )
    best = float(np.dot(signs, agreement))
    if best < _LEAST_AGREEMENT:
        raise InputError(
            f"{path}: agrees with the normals of its depth to a mean cosine of {best:.2f} at best, "
            f"expected {_LEAST_AGREEMENT}: are they of another image?"
        )
    return stored * np.array(signs, np.float32)[:, None, None], valid
