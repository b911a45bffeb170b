"""DSINE's evaluation zip: ScanNet, iBims-1, Sintel, OASIS and NYUv2.

The files hold normals that point away from the camera: as colours, as floats, or (OASIS) as a
pickled rectangle of the picture.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float32, Mask, Shaped
from rilievo.data.datasets.dataset import DatasetCard, Request
from rilievo.data.datasets.loaders import PhotoFiles
from rilievo.data.datasets.pickled_arrays import read_pickle
from rilievo.data.datasets.text_files import contents_text, walk
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.cameras.lens_files import read_K
from rilievo.io.numbers import read_numbers
from rilievo.records.sample import Truth

_CARD = DatasetCard(
    name="dsine",
    title="Evaluation sets of DSINE (Bae and Davison 2024)",
    summary=(
        "normals of ScanNet, iBims-1, Sintel, OASIS and NYUv2, as papers on normals score them"
    ),
    homepage="https://github.com/baegwangbin/DSINE",
    licence="that of each set",
    commercial=False,
    layout="""\
dsine_eval/ or one of its folders
  scannet/SCENE/NAME_img.png     also nyuv2, ibims, sintel, oasis
  scannet/SCENE/NAME_normal.png  colours; ibims and sintel: .exr; oasis: .pkl
  scannet/SCENE/NAME_intrins.npy K""",
    splits=("scannet", "ibims", "sintel", "oasis", "nyuv2"),
    normals="its own files",
    extra="formats",
    caveats=(
        "The ground-truth normals of iBims-1 and Sintel were fitted to depth by DSINE's authors.",
        "OASIS has normals annotated by people, for one object or surface per image.",
    ),
)

_FOLDER = "dsine_eval"
_MIN_LENGTH = 0.5  # of a stored vector that is a normal
_WITH_SCENES = frozenset({"scannet", "sintel"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    image: Path
    normals: Path
    intrinsics: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _NormalsFormat:
    """How a set stores normals.

    Attributes:
        suffix: Suffix of the files.
        read: Function of a file and the photograph's size. It returns normals that point away from
            the camera, and the mask of pixels that have them.
    """

    suffix: str
    read: Callable[[Path, tuple[int, int]], tuple[np.ndarray, np.ndarray]]


class Dsine(PhotoFiles[_Entry]):
    """Files NAME_img, NAME_normal and NAME_intrins.npy. A split is one of the five sets."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        self._format = _FORMATS[request.split]
        folder = _folder_of_split(request)
        files_by_id = {
            image_id: _Entry(
                image=image,
                normals=image.with_name(f"{stem}_normal{self._format.suffix}"),
                intrinsics=image.with_name(f"{stem}_intrins.npy"),
            )
            for image_id, stem, image in _find_photographs(folder)
        }
        if not files_by_id:
            raise InputError(
                f"{folder}: contains no photographs called NAME_img.png or NAME_img.jpg"
            )
        self._set_listed_images(files_by_id, request.list_file)

    def truth(self, id: str) -> Truth:
        """Read the normals and the camera."""
        entry = self._entry(id)
        height, width, _ = self.image(id).shape
        outward, valid = self._format.read(entry.normals, (height, width))
        if outward.shape != (height, width, 3):
            raise InputError(
                f"{entry.normals}: has shape {outward.shape}, but the photograph has "
                f"{(height, width, 3)}"
            )
        inward = -np.moveaxis(outward, 2, 0).astype(np.float32)
        length = np.sqrt(np.square(inward).sum(axis=0))
        valid = valid & np.isfinite(length) & (length > 0)
        # Invalid vectors are divided by 1, so that nothing is divided by 0; they become 0.
        unit_normals = np.where(valid, inward / np.where(valid, length, 1), 0)
        return Truth(
            id=id,
            normals=unit_normals.astype(np.float32),
            normals_valid=valid,
            camera=Camera(K=read_K(entry.intrinsics)),
            scene=id.rpartition("/")[0] if self.request.split in _WITH_SCENES else None,
        )


def _folder_of_split(request: Request) -> Path:
    """Find the folder of a split at or below the root."""
    root, split = request.root, request.split
    for folder in (root / _FOLDER / split, root / split):
        if folder.is_dir():
            return folder
    # A user may have renamed the folder of a split. A folder called like another set is not one.
    is_renamed_folder = root.name not in _FORMATS and bool(_find_photographs(root))
    if root.name == split or is_renamed_folder:
        return root
    raise InputError(
        f"{request.root}: expected {_FOLDER}/{request.split}/ with NAME_img.png, found "
        f"{contents_text(request.root)}"
    )


def _find_photographs(folder: Path) -> list[tuple[str, str, Path]]:
    """List (id, name without "_img", path) of the photographs below a folder, sorted by id."""
    photographs = []
    for parent, _, names in walk(folder):
        for name in names:
            stem, separator, suffix = name.rpartition("_img")
            if separator and suffix.lower() in (".png", ".jpg", ".jpeg"):
                path = Path(parent) / name
                image_id = (path.parent.relative_to(folder) / stem).as_posix()
                photographs.append((image_id, stem, path))
    return sorted(photographs)


def _read_colours(path: Path, size: tuple[int, int]) -> tuple[Float32[np.ndarray, "h w 3"], Mask]:
    stored = _require_three_channels(path, read_numbers(path))
    if stored.dtype != np.uint8:
        raise InputError(f"{path}: has {stored.dtype} values, expected 8-bit colours")
    normals = stored.astype(np.float32) / np.float32(255) * np.float32(2) - np.float32(1)
    return normals, stored.sum(axis=2) > 0


def _read_floats(path: Path, size: tuple[int, int]) -> tuple[Float32[np.ndarray, "h w 3"], Mask]:
    stored = _require_three_channels(path, read_numbers(path)).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        return stored, np.sqrt(np.square(stored).sum(axis=2)) > _MIN_LENGTH


def _read_rectangle(path: Path, size: tuple[int, int]) -> tuple[Float32[np.ndarray, "h w 3"], Mask]:
    """Read a pickle of normals in a rectangle of the picture; they are 0 outside of it.

    The axes x and y of the stored normals are opposite to those of the other sets.
    """
    content = read_pickle(path)
    try:
        top, bottom, left, right = (
            int(content[name]) for name in ("min_y", "max_y", "min_x", "max_x")
        )
        rectangle = (slice(top, bottom + 1), slice(left, right + 1))
        stored = np.asarray(content["normal"], np.float32)
        normals = np.zeros((*size, 3), np.float32)
        if min(top, left) < 0 or stored.shape != normals[rectangle].shape:
            raise ValueError(
                f"normals of shape {stored.shape} do not fit rows {top} to {bottom} and columns "
                f"{left} to {right}"
            )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: is not a dictionary with min_y, max_y, min_x, max_x and normal ({error})"
        ) from error
    normals[rectangle] = stored * np.array([-1, -1, 1], np.float32)
    return normals, (normals != 0).any(axis=2)


def _require_three_channels(
    path: Path, stored: Shaped[np.ndarray, "..."]
) -> Shaped[np.ndarray, "h w 3"]:
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise InputError(
            f"{path}: has shape {stored.shape}, expected normals of shape (height, width, 3)"
        )
    return stored


_FORMATS: Mapping[str, _NormalsFormat] = {
    "scannet": _NormalsFormat(suffix=".png", read=_read_colours),
    "nyuv2": _NormalsFormat(suffix=".png", read=_read_colours),
    "ibims": _NormalsFormat(suffix=".exr", read=_read_floats),
    "sintel": _NormalsFormat(suffix=".exr", read=_read_floats),
    "oasis": _NormalsFormat(suffix=".pkl", read=_read_rectangle),
}
