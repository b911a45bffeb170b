"""NAVI: scanned objects with manual poses (Jampani et al., NeurIPS 2023)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Matrix, Pixels, Transform
from rilievo.data.datasets.dataset import Absent, DatasetCard, Request, ViewPair, ViewPairs
from rilievo.data.datasets.loaders import FileList
from rilievo.data.datasets.sets.navi_crop import ObjectCrop, object_crop
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import K_from_focal, resize_K
from rilievo.geometry.normals import normals_from_depth
from rilievo.geometry.transforms import invert, rigid, rotation_from_quaternion
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, from_json
from rilievo.io.numbers import read_map
from rilievo.io.photographs.photo import read_photo
from rilievo.records.sample import Truth

_CARD = DatasetCard(
    name="navi",
    title="NAVI, category-agnostic image collections with 3D shape and pose (2023)",
    summary=(
        "36 scanned objects, in the hand and on tables, with poses annotated to about a millimetre"
    ),
    homepage="https://navidataset.github.io/",
    licence="as its page states (the code is Apache-2.0)",
    commercial=False,
    gigabytes=30.0,
    layout="""\
OBJECT/multiview_00_CAMERA/   v1.0; v1.5 writes multiview-00-CAMERA
OBJECT/video-00-CAMERA/       v1.5
OBJECT/wild_set/
  annotations.json            focal length, image size and pose of every image
  images/000.jpg              turned by their EXIF orientation
  depth/000.png               16 bits of disparity: 655350 / v mm, 0 is unknown""",
    splits=(
        "test",
        "train",
        "valid",
        "probe3d-test",
        "probe3d-train",
        "probe3d-valid",
        "probe3d-trainval",
        "multiview",
        "wild",
        "video",
    ),
    counts={"wild": 2298, "multiview": 8217, "video": 18406},
    variants=("metric", "relative", "metric-crop", "relative-crop", "normals-crop"),
    normals="variant 'normals-crop': plane fits over 3 x 3 pixels of the depth",
    caveats=(
        "Only the object has depth; the depth of its surroundings is unknown.",
        (
            "The variant 'relative' has no unit: 0.01 is the nearest point of the object and 1 "
            "its farthest (Probe3D's 'navi_reldepth')."
        ),
        (
            "The variants '-crop' are 512x512 crops around the object, sampled as in Probe3D: the "
            "nearest pixel, also for colours."
        ),
        (
            "The splits test, train and valid skip objects without a wild set or multiview "
            "scenes, as Probe3D does. Probe3D takes every 4th file in an order that is not "
            "documented; rilievo's order is alphabetic."
        ),
    ),
)

_METRES_TIMES_NUMBER = 65535 * 10 / 1000
"""Depth [m] times a stored number of inverse depth (decode_depth in NAVI's tutorial)."""
_WILD_SCENE = "wild_set"
_MAX_PAIR_ANGLE = 120  # [degrees], as in Probe3D
_PAIR_SEED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """Scenes and views of a split.

    Attributes:
        kind: Word with which the names of the scenes begin.
        first: Start of the range of an object's scenes, as a fraction of their number.
        last: End of that range.
        needs_both_kinds: Whether an object must have multiview and wild scenes, as Probe3D's do.
        step: Step between the views of the split.
    """

    kind: str
    first: float = 0.0
    last: float = 1.0
    needs_both_kinds: bool = False
    step: int = 1


_SPLITS: Mapping[str, _Split] = {
    "test": _Split(kind="wild", needs_both_kinds=True),
    "train": _Split(kind="multiview", last=0.9, needs_both_kinds=True),
    "valid": _Split(kind="multiview", first=0.9, needs_both_kinds=True),
    "probe3d-test": _Split(kind="wild", needs_both_kinds=True, step=4),
    "probe3d-train": _Split(kind="multiview", last=0.9, needs_both_kinds=True, step=4),
    "probe3d-valid": _Split(kind="multiview", first=0.9, needs_both_kinds=True, step=4),
    "probe3d-trainval": _Split(kind="multiview", needs_both_kinds=True, step=4),
    "multiview": _Split(kind="multiview"),
    "wild": _Split(kind="wild"),
    "video": _Split(kind="video"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _AnnotatedCamera:
    """Camera of an image; ``q`` (w, x, y, z) and ``t`` [mm] take the object to its frame."""

    focal_length: float
    q: tuple[float, float, float, float] | None = None
    t: tuple[float, float, float] | None = None


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

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        split = _SPLITS[request.split]
        all_views: dict[str, _View] = {}
        unlisted: list[Absent] = []
        for scene in _scenes_of_split(request.root, split):
            views = _read_views(scene, request.root)
            all_views |= views
            unlisted += _photographs_without_annotation(scene, views, request.root)
        # Both views of a pair may be any of these, also those that the split leaves out.
        self._views_of_scenes = all_views
        if request.list_file is None:
            all_views = dict(list(all_views.items())[:: split.step])
        self._set_listed_images(all_views, request.list_file)
        self.absent += tuple(unlisted)

    def _entry(self, image_id: str) -> _View:
        return self._views_of_scenes.get(image_id) or super()._entry(image_id)

    def image(self, id: str) -> Pixels:
        """Read the photograph, or its part around the object in variants with ``-crop``."""
        view = self._entry(id)
        pixels = read_photo(view.image, own_depth=False).pixels
        if not self.request.variant.endswith("-crop"):
            return pixels
        depth = _read_depth(view)
        if depth.shape != pixels.shape[:2]:
            raise InputError(
                f"{view.depth}: has {_size_text(depth.shape)} pixels, but the photograph has "
                f"{_size_text(pixels.shape)}"
            )
        return _find_object_crop(depth, view).crop_photo(pixels)

    def photo_file(self, id: str) -> Path | None:
        """File of the photograph; None if a crop of it is read."""
        return None if self.request.variant.endswith("-crop") else self._entry(id).image

    def truth(self, id: str) -> Truth:
        """Read depth [m] (relative depth in its variants), K, and normals in ``normals-crop``."""
        view = self._entry(id)
        photo_depth = _read_depth(view)
        nearest_depth = photo_depth[photo_depth > 0].min(initial=np.inf)
        depth, K = photo_depth, _intrinsics_at_size(view, photo_depth.shape)
        if self.request.variant.endswith("-crop"):
            crop = _find_object_crop(photo_depth, view)
            depth, K = crop.crop_map(photo_depth), crop.K(K)
            nearest_depth = crop.least_depth(photo_depth)

        valid = depth > 0
        if self.request.variant.startswith("relative"):
            depth = _normalise_depth(depth, valid, nearest_depth)
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
            world_T_cam=_object_T_camera(view),
            scene=id.partition("/")[0],
        )

    def view_pairs(self) -> ViewPairs:
        """Pair each image with another one of its scene, up to 120 degrees from it.

        As in Probe3D, the second image is drawn at random. Probe3D draws in the order in which the
        file system lists the files, and sometimes draws the first image again, because its angle to
        itself is not exactly 0 in 32-bit floats. Here, the order is alphabetic, and an image is
        never its own partner.
        """
        partners = self._draw_partners()
        reason = f"no other image of its scene is within {_MAX_PAIR_ANGLE} degrees"
        pairs: list[ViewPair] = []
        absent: list[Absent] = []
        for image_id in self.ids:
            if image_id in partners:
                pairs.append(ViewPair(first=image_id, second=partners[image_id]))
            else:
                absent.append(Absent(id=image_id, reason=reason))
        return ViewPairs(pairs=tuple(pairs), absent=tuple(absent))

    def _draw_partners(self) -> dict[str, str]:
        """Draw the second image of a pair for each image; an image without candidates has none."""
        generator = np.random.default_rng(_PAIR_SEED)
        ids_by_scene: dict[str, list[str]] = {}
        for image_id, view in self._views_of_scenes.items():
            if view.image.is_file() and view.depth.is_file():
                scene = image_id.rpartition("/")[0]
                ids_by_scene.setdefault(scene, []).append(image_id)

        partners: dict[str, str] = {}
        for image_ids in ids_by_scene.values():
            angles = _angles_between([self._views_of_scenes[image_id] for image_id in image_ids])
            np.fill_diagonal(angles, np.inf)  # an image is not its own partner
            for image_id, angles_of_image in zip(image_ids, angles, strict=True):
                (candidates,) = np.nonzero(angles_of_image <= _MAX_PAIR_ANGLE)
                if candidates.size:
                    partner = candidates[generator.integers(candidates.size)]
                    partners[image_id] = image_ids[partner]
        return partners


def _scenes_of_split(root: Path, split: _Split) -> list[Path]:
    """List the folders of a split's scenes, object by object."""
    folders = root.iterdir() if root.is_dir() else ()
    objects = sorted(folder for folder in folders if folder.is_dir())
    scenes: list[Path] = []
    has_any_scene = False
    for folder in objects:
        names = sorted(
            name for name in names_in(folder) if (folder / name / "annotations.json").is_file()
        )
        has_any_scene = has_any_scene or bool(names)
        has_both_kinds = _WILD_SCENE in names and any(
            name.startswith("multiview") for name in names
        )
        if split.needs_both_kinds and not has_both_kinds:
            continue
        candidates = [name for name in names if name.startswith(split.kind)]
        first, last = int(split.first * len(candidates)), int(split.last * len(candidates))
        scenes += [folder / name for name in candidates[first:last]]
    if not has_any_scene:
        raise InputError(
            f"{root}: expected object folders with multiview_*/, multiview-*/ or {_WILD_SCENE}/ "
            f"and annotations.json inside, found {contents_text(root)}"
        )
    return scenes


def _read_views(scene: Path, root: Path) -> dict[str, _View]:
    """Read the views that the annotations of a scene list, by id."""
    path = scene / "annotations.json"
    check_regular(path)
    try:
        # The file is a bare list, but records are read from JSON objects.
        text = f'{{"images": {path.read_text(encoding="utf-8")}}}'
        annotations = from_json(_Annotations, text).images
    except (InvalidRecordError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}; download it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    views = {}
    for annotation in sorted(annotations, key=lambda annotation: annotation.filename):
        stem = Path(annotation.filename).stem
        image_id = f"{scene.relative_to(root).as_posix()}/{stem}"
        if image_id in views:
            raise InputError(f"{path}: lists '{annotation.filename}' twice")
        views[image_id] = _View(
            image=scene / "images" / annotation.filename,
            depth=scene / "depth" / f"{stem}.png",
            annotation=annotation,
        )
    return views


def _photographs_without_annotation(
    scene: Path, views: Mapping[str, _View], root: Path
) -> Sequence[Absent]:
    """List the photographs of a scene that its annotations do not list."""
    listed = {view.image.name for view in views.values()}
    return [
        Absent(
            id=f"{scene.relative_to(root).as_posix()}/{Path(name).stem}",
            reason=f"{printable(scene / 'annotations.json')} does not list this photograph",
        )
        for name in sorted(names_in(scene / "images") - listed)
        if name.endswith(".jpg") and not name.startswith((".", "downsampled_"))
    ]


def _object_T_camera(view: _View) -> Transform | None:
    """Pose [m] in the frame of the object; None if the annotation has none."""
    camera = view.annotation.camera
    if camera.q is None or camera.t is None:
        return None
    quaternion, translation = np.array(camera.q), np.array(camera.t)
    if not (np.isfinite(translation).all() and np.linalg.norm(quaternion) > 0):
        raise InputError(
            f"{view.image}: its annotation has no valid pose: q is {camera.q} and t is {camera.t}"
        )
    return invert(rigid(rotation_from_quaternion(quaternion), translation / 1000))


def _angles_between(views: Sequence[_View]) -> Float64[np.ndarray, "n n"]:
    """Angles of rotation between the cameras of views [degrees]; infinite without a pose."""
    poses = [_object_T_camera(view) for view in views]
    unknown = np.array([pose is None for pose in poses])
    rotations = np.stack([np.eye(3) if pose is None else pose[:3, :3] for pose in poses])
    # The trace of Rᵢ Rⱼᵀ is the sum of the products of their entries.
    traces = np.einsum("iab,jab->ij", rotations, rotations)
    angles = np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1)))
    return np.where(unknown[:, None] | unknown[None, :], np.inf, angles)


def _read_depth(view: _View) -> Float64[np.ndarray, "h w"]:
    """Read depth [m]; 0 is unknown."""
    stored = read_map(view.depth)
    if stored.dtype != np.uint16:
        raise InputError(f"{view.depth}: has {stored.dtype} values, expected 16-bit disparity")
    return np.where(stored > 0, _METRES_TIMES_NUMBER / np.maximum(stored, 1), 0.0)


def _intrinsics_at_size(view: _View, size: tuple[int, ...]) -> Matrix:
    """Intrinsics of the annotation, scaled to the size of the depth map."""
    annotated_size = view.annotation.image_size
    if min(annotated_size) < 1:
        raise InputError(
            f"{view.depth}: its annotation states an image size of "
            f"{_size_text(annotated_size)} pixels, "
            "expected positive numbers"
        )
    is_annotated_upright = annotated_size[0] > annotated_size[1]
    is_square = annotated_size[0] == annotated_size[1]
    if is_annotated_upright != (size[0] > size[1]) and not is_square:
        raise InputError(
            f"{view.depth}: has {_size_text(size)} pixels, but its annotation states "
            f"{_size_text(annotated_size)}, so one of the two is rotated by 90 degrees"
        )
    focal = view.annotation.camera.focal_length
    K = K_from_focal(focal, focal, annotated_size)
    return resize_K(K, size=annotated_size, new_size=(size[0], size[1]))


def _size_text(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _find_object_crop(depth: Float64[np.ndarray, "h w"], view: _View) -> ObjectCrop:
    """Find the square around the object, whose pixels are those that have depth."""
    if not (depth > 0).any():
        raise InputError(f"{view.depth}: no pixel has depth, so there is no object")
    crop = object_crop(depth > 0)
    if crop is None:
        raise InputError(f"{view.depth}: the object is outside the central square of the image")
    return crop


def _normalise_depth(
    depth: Float64[np.ndarray, "h w"], valid: Mask, nearest_depth: float
) -> Float64[np.ndarray, "h w"]:
    """Compute Probe3D's relative depth: 0.01 at the nearest, 1 at the farthest, 0 if unknown."""
    depth_range = max(0.01, depth.max() - nearest_depth)
    return np.where(valid, (depth - nearest_depth) / depth_range * 0.99 + 0.01, 0.0)
