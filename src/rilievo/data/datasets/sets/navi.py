"""NAVI: scanned objects with manual poses (Jampani et al., NeurIPS 2023)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Matrix, Pixels
from rilievo.data.datasets.dataset import Absent, Request, own_card
from rilievo.data.datasets.loaders import FileList
from rilievo.data.datasets.sets.navi_crop import ObjectCrop, object_crop
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import K_from_focal, resize_K
from rilievo.geometry.normals import normals_from_depth
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.numbers import read_map
from rilievo.io.photographs.photo import read_photo
from rilievo.records.sample import Truth

_METRES_TIMES_NUMBER = 65535 * 10 / 1000
"""Depth times a stored number, which is inverse depth (decode_depth in NAVI's tutorial)."""
_WILD_SCENE = "wild_set"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """Scenes and views that a split takes.

    Attributes:
        kind: What the names of the scenes begin with.
        first: Where the range of an object's scenes begins, as a fraction of their number.
        last: Where it ends.
        posed_twice: Whether objects need both multiview and wild scenes, as Probe3D's do.
        step: Step between views that are taken.
    """

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
    """Photographs of objects with their depth, of NAVI 1.0 and 1.5."""

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
        """Read the photograph, or its part around the object in variants with ``-crop``."""
        view = self._entry(id)
        pixels = read_photo(view.image, own_depth=False).pixels
        if not self.request.variant.endswith("-crop"):
            return pixels
        depth = _read_depth(view)
        if depth.shape != pixels.shape[:2]:
            raise InputError(f"{view.depth}: is {depth.shape}, the photograph {pixels.shape[:2]}")
        return _crop_around_object(depth, view).crop_photo(pixels)

    def photo_file(self, id: str) -> Path | None:
        """File of the photograph; None if a crop of it is read."""
        return None if self.request.variant.endswith("-crop") else self._entry(id).image

    def truth(self, id: str) -> Truth:
        """Read depth [m] (relative depth in its variants), K, and normals in ``normals-crop``."""
        view = self._entry(id)
        whole = _read_depth(view)
        nearest_depth = whole[whole > 0].min(initial=np.inf)
        depth, K = whole, _intrinsics_at_size(view, whole.shape)
        if self.request.variant.endswith("-crop"):
            crop = _crop_around_object(whole, view)
            depth, K = crop.crop_map(whole), crop.K(K)
            nearest_depth = crop.least_depth(whole)

        valid = depth > 0
        if self.request.variant.startswith("relative"):
            depth = _relative_depth(depth, valid, nearest_depth)
        depth = depth.astype(np.float32)
        normals, normals_valid = None, None
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
    """Folders of the scenes of a split, object by object."""
    folders = root.iterdir() if root.is_dir() else ()
    objects = sorted(folder for folder in folders if folder.is_dir())
    scenes: list[Path] = []
    has_any_scene = False
    for folder in objects:
        names = sorted(
            name for name in names_in(folder) if (folder / name / "annotations.json").is_file()
        )
        has_any_scene = has_any_scene or bool(names)
        has_multiview = any(name.startswith("multiview") for name in names)
        if split.posed_twice and not (has_multiview and _WILD_SCENE in names):
            continue
        candidates = [name for name in names if name.startswith(split.kind)]
        first, last = int(split.first * len(candidates)), int(split.last * len(candidates))
        scenes += [folder / name for name in candidates[first:last]]
    if not has_any_scene:
        raise InputError(
            f"{root}: expected folders of objects with multiview_*/, multiview-*/ or "
            f"{_WILD_SCENE}/ and annotations.json inside, found {contents_text(root)}"
        )
    return scenes


def _views_by_id(scene: Path, root: Path) -> dict[str, _View]:
    """Views that the annotations of a scene list."""
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
    """Photographs of a scene that its annotations do not list."""
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
    """Read depth [m]; 0 is unknown."""
    stored = read_map(view.depth)
    if stored.dtype != np.uint16:
        raise InputError(f"{view.depth}: is {stored.dtype}, expected 16 bits of disparity")
    return np.where(stored > 0, _METRES_TIMES_NUMBER / np.maximum(stored, 1), 0.0)


def _intrinsics_at_size(view: _View, size: tuple[int, ...]) -> Matrix:
    """K of the annotation, at the size of the depth map."""
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
    depth: Float64[np.ndarray, "h w"], valid: Mask, nearest_depth: float
) -> Float64[np.ndarray, "h w"]:
    """Probe3D's relative depth: 0.01 at the nearest depth, 1 at the farthest, 0 if unknown."""
    spread = max(0.01, depth.max() - nearest_depth)
    return np.where(valid, (depth - nearest_depth) / spread * 0.99 + 0.01, 0.0)
