"""NAVI: scanned objects with manual poses (Jampani et al., NeurIPS 2023), and Probe3D's crop.

The crop selects whole pixels (El Banani et al., CVPR 2024).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float64, Int, Mask, Matrix, Pixels, Shaped, UInt8
from rilievo.data.datasets.loaders import (
    Absent,
    FileList,
    Request,
    contents_text,
    names_in,
    own_card,
)
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import K_from_focal, crop_K, resize_K
from rilievo.geometry.normals import normals_from_depth
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.numbers import read_map
from rilievo.io.photographs.photo import read_photo
from rilievo.records.sample import Truth

_KEPT, _SIDE = 1024, 512

Grid = tuple[Int[np.ndarray, "rows 1"], Int[np.ndarray, "1 columns"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectCrop:
    """Crop around an object of Probe3D's copy ``kept``, ``half`` of which is 512 px."""

    size: tuple[int, int]
    kept: tuple[int, int]
    half: tuple[int, int]
    top: int
    left: int
    side: int

    def crop_map(self, whole: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "512 512"]:
        """Nearest pixels, without interpolation."""
        part = whole[self._original_pixels_of_copy()]
        return part[self._copy_pixels_of_crop()]

    def crop_photo(self, pixels: Pixels) -> UInt8[np.ndarray, "512 512 3"]:
        """Resize bilinearly to the copy, then take nearest pixels."""
        height, width = self.kept
        copy = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(copy)[self._copy_pixels_of_crop()]

    def least_depth(self, whole: Float64[np.ndarray, "h w"]) -> float:
        """Least depth in the copy, also outside the crop."""
        depths = whole[self._original_pixels_of_copy()]
        return float(depths[depths > 0].min())

    def K(self, K: Matrix) -> Matrix:
        """K of the crop."""
        half = resize_K(K, size=self.size, new_size=self.half)
        square = crop_K(half, top=self.top, left=self.left)
        return resize_K(square, size=(self.side, self.side), new_size=(_SIDE, _SIDE))

    def _original_pixels_of_copy(self) -> Grid:
        return _pixel_grid(_nearest_indices_by_centres, self.kept, self.size)

    def _copy_pixels_of_crop(self) -> Grid:
        inside = _nearest_indices_by_corners(_SIDE, self.side)
        rows, columns = _pixel_grid(_nearest_indices_by_corners, self.half, self.kept)
        return rows[self.top + inside], columns[:, self.left + inside]


def object_crop(mask: Mask) -> ObjectCrop | None:
    """Crop around the object, if the centre square has any."""
    size = (mask.shape[0], mask.shape[1])
    factor = float(_KEPT) / min(size)
    copy_size = (int(size[0] * factor), int(size[1] * factor))
    half = (_side_at_512(copy_size[0], min(copy_size)), _side_at_512(copy_size[1], min(copy_size)))
    small = mask[_pixel_grid(_nearest_indices_by_centres, copy_size, size)][
        _pixel_grid(_nearest_indices_by_corners, half, copy_size)
    ]
    # The centre square; Python rounds halves to even, as torchvision does.
    top, left = (round((space - _SIDE) / 2) for space in half)
    rows, columns = np.nonzero(small[top : top + _SIDE, left : left + _SIDE])
    if not rows.size:
        return None
    first, side = _square_around(rows, columns)
    return ObjectCrop(
        size=size,
        kept=copy_size,
        half=half,
        top=top + first[0],
        left=left + first[1],
        side=side,
    )


def _square_around(
    rows: Shaped[np.ndarray, "n"], columns: Shaped[np.ndarray, "n"]
) -> tuple[tuple[int, int], int]:
    """(top, left) and side, without the last row and column."""
    first = np.array([rows.min(), columns.min()])
    box = np.array([rows.max(), columns.max()]) - first
    side = max(int(box.max()), 1)
    spare = side - box
    centred = first - spare // 2
    if (centred < 0).any() or (centred + side > _SIDE).any():
        centred = np.maximum(first - spare, 0)
    return (int(centred[0]), int(centred[1])), side


def _side_at_512(side: int, shorter: int) -> int:
    """Side after a resize to 512, rounded down as in torchvision."""
    return _SIDE if side == shorter else int(_SIDE * side / shorter)


def _pixel_grid(
    choose: Callable[[int, int], np.ndarray], new: tuple[int, int], old: tuple[int, int]
) -> Grid:
    rows, columns = choose(new[0], old[0]), choose(new[1], old[1])
    return rows[:, None], columns[None, :]


def _nearest_indices_by_centres(new: int, old: int) -> Int[np.ndarray, "{new}"]:
    """Indices from Pillow, for its rounding."""
    indices = Image.fromarray(np.arange(old, dtype=np.int32)[None])
    return np.asarray(indices.resize((new, 1), Image.Resampling.NEAREST))[0]


def _nearest_indices_by_corners(new: int, old: int) -> Int[np.ndarray, "{new}"]:
    """Indices as in PyTorch and OpenCV."""
    return np.minimum((np.arange(new) * (old / new)).astype(np.int64), old - 1)


# Files hold disparity: v = 65535 * 10 / millimetres (decode_depth in NAVI's tutorial).
_METRES = 65535 * 10 / 1000
_WILD = "wild_set"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """Share of scenes; Probe3D needs objects posed twice."""

    kind: str
    first: float = 0.0
    last: float = 1.0
    posed_twice: bool = False
    step: int = 1


_SPLITS: Mapping[str, _Split] = {
    "test": _Split(kind="wild", posed_twice=True),
    "train": _Split(kind="multiview", last=0.9, posed_twice=True),
    "valid": _Split(kind="multiview", first=0.9, posed_twice=True),
    "probe3d-test": _Split(kind="wild", posed_twice=True, step=4),
    "probe3d-train": _Split(kind="multiview", last=0.9, posed_twice=True, step=4),
    "probe3d-valid": _Split(kind="multiview", first=0.9, posed_twice=True, step=4),
    "probe3d-trainval": _Split(kind="multiview", posed_twice=True, step=4),
    "multiview": _Split(kind="multiview"),
    "wild": _Split(kind="wild"),
    "video": _Split(kind="video"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _AnnotatedCamera:
    focal_length: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Annotation:
    filename: str
    image_size: tuple[int, int]
    camera: _AnnotatedCamera


@dataclass(frozen=True, slots=True, kw_only=True)
class _Annotations:
    images: tuple[_Annotation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    image: Path
    depth: Path
    annotation: _Annotation


class Navi(FileList[_View]):
    """NAVI 1.0 and 1.5."""

    card = own_card("navi")

    def __init__(self, request: Request) -> None:
        self.request = request
        split = _SPLITS[request.split]
        all_views: dict[str, _View] = {}
        unlisted: list[Absent] = []
        for scene in _scenes_of_split(request.root, split):
            views = _views_by_id(scene, request.root)
            all_views |= views
            unlisted += _photographs_without_annotation(scene, views, request.root)
        if request.list_file is None:
            all_views = dict(list(all_views.items())[:: split.step])
        self._set_entries_of_list(all_views, request.list_file)
        self.absent += tuple(unlisted)

    def image(self, id: str) -> Pixels:
        """Read the photograph, or its crop."""
        view = self._entry(id)
        pixels = read_photo(view.image, own_depth=False).pixels
        if not self.request.variant.endswith("-crop"):
            return pixels
        depth = _read_depth(view)
        if depth.shape != pixels.shape[:2]:
            raise InputError(f"{view.depth}: is {depth.shape}, the photograph {pixels.shape[:2]}")
        return _crop_around_object(depth, view).crop_photo(pixels)

    def photo_file(self, id: str) -> Path | None:
        """File of the photograph, unless cropped."""
        return None if self.request.variant.endswith("-crop") else self._entry(id).image

    def truth(self, id: str) -> Truth:
        """Read depth [m] or relative depth, K, and normals in ``normals-crop``."""
        view = self._entry(id)
        whole = _read_depth(view)
        nearest = whole[whole > 0].min(initial=np.inf)
        depth, K = whole, _intrinsics_at_size(view, whole.shape)
        if self.request.variant.endswith("-crop"):
            crop = _crop_around_object(whole, view)
            depth, K = crop.crop_map(whole), crop.K(K)
            nearest = crop.least_depth(whole)
        valid = depth > 0
        if self.request.variant.startswith("relative"):
            depth = _relative_depth(depth, valid, nearest)
        depth = depth.astype(np.float32)
        normals = normals_valid = None
        if self.request.variant == "normals-crop":
            normals, normals_valid = normals_from_depth(depth, K, valid)
        return Truth(
            id=id,
            depth=depth,
            depth_valid=valid,
            normals=normals,
            normals_valid=normals_valid,
            camera=Camera(K=K),
            scene=id.partition("/")[0],
        )


def _scenes_of_split(root: Path, split: _Split) -> list[Path]:
    objects = (
        sorted(object_folder for object_folder in root.iterdir() if object_folder.is_dir())
        if root.is_dir()
        else []
    )
    scenes: list[Path] = []
    any_scene = False
    for object_folder in objects:
        names = sorted(
            n for n in names_in(object_folder) if (object_folder / n / "annotations.json").is_file()
        )
        any_scene = any_scene or bool(names)
        multiview = [name for name in names if name.startswith("multiview")]
        if split.posed_twice and not (multiview and _WILD in names):
            continue
        chosen = [name for name in names if name.startswith(split.kind)]
        first, last = (int(share * len(chosen)) for share in (split.first, split.last))
        scenes += [object_folder / name for name in chosen[first:last]]
    if not any_scene:
        raise InputError(
            f"{root}: expected folders of objects with multiview_*/, multiview-*/ or {_WILD}/ and "
            f"annotations.json inside, found {contents_text(root)}"
        )
    return scenes


def _views_by_id(scene: Path, root: Path) -> dict[str, _View]:
    path = scene / "annotations.json"
    check_regular(path)
    try:
        # The file is a bare list, but records are read from JSON objects.
        text = f'{{"images": {path.read_text(encoding="utf-8")}}}'
        annotations = from_json(_Annotations, text).images
    except (NotThisRecord, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}; fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    views = {}
    for annotation in sorted(annotations, key=lambda annotation: annotation.filename):
        stem = Path(annotation.filename).stem
        id = f"{scene.relative_to(root).as_posix()}/{stem}"
        if id in views:
            raise InputError(f"{path}: lists '{annotation.filename}' twice")
        views[id] = _View(
            image=scene / "images" / annotation.filename,
            depth=scene / "depth" / f"{stem}.png",
            annotation=annotation,
        )
    return views


def _photographs_without_annotation(
    scene: Path, views: Mapping[str, _View], root: Path
) -> Sequence[Absent]:
    listed = {view.image.name for view in views.values()}
    return [
        Absent(
            id=f"{scene.relative_to(root).as_posix()}/{Path(name).stem}",
            reason=f"{printable(scene / 'annotations.json')} does not list it",
        )
        for name in sorted(names_in(scene / "images") - listed)
        if name.endswith(".jpg") and not name.startswith((".", "downsampled_"))
    ]


def _read_depth(view: _View) -> Float64[np.ndarray, "h w"]:
    stored = read_map(view.depth)
    if stored.dtype != np.uint16:
        raise InputError(f"{view.depth}: is {stored.dtype}, expected 16 bits of disparity")
    return np.where(stored > 0, _METRES / np.maximum(stored, 1), 0.0)


def _intrinsics_at_size(view: _View, size: tuple[int, ...]) -> Matrix:
    shape = view.annotation.image_size
    if min(shape) < 1:
        raise InputError(f"{view.depth}: the annotations say that its picture is {shape} pixels")
    if (shape[0] > shape[1]) != (size[0] > size[1]) and shape[0] != shape[1]:
        raise InputError(
            f"{view.depth}: is {size}, but the annotations say {shape}: one of them lies on its "
            "side"
        )
    focal = view.annotation.camera.focal_length
    K = K_from_focal(focal, focal, shape)
    return resize_K(K, size=shape, new_size=(size[0], size[1]))


def _crop_around_object(depth: Float64[np.ndarray, "h w"], view: _View) -> ObjectCrop:
    if not (depth > 0).any():
        raise InputError(f"{view.depth}: no pixel has depth, so there is no object")
    crop = object_crop(depth > 0)
    if crop is None:
        raise InputError(f"{view.depth}: the object is outside of the middle square of the image")
    return crop


def _relative_depth(
    depth: Float64[np.ndarray, "h w"], valid: Mask, nearest: float
) -> Float64[np.ndarray, "h w"]:
    """Probe3D's depth: 0.01 nearest, 1 farthest, 0 unknown."""
    spread = max(0.01, depth.max() - nearest)
    return np.where(valid, (depth - nearest) / spread * 0.99 + 0.01, 0.0)
