"""The bundle of ten evaluation sets that MoGe's authors published."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, Int64, Matrix, Pixels, UInt
from rilievo.data.datasets.dataset import DatasetCard, Request
from rilievo.data.datasets.loaders import FileList
from rilievo.data.datasets.sets.moge_view import (
    CentredView,
    centred_view,
    view_depth,
    view_labels,
    view_photo,
)
from rilievo.data.datasets.text_files import contents_text, text_lines
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.depth_metadata import read_depth_metadata
from rilievo.io.depth.stored_depth import decode_depth
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import InvalidRecordError, parse_json
from rilievo.io.numbers import read_map
from rilievo.io.photographs.photo import read_photo, read_png_texts
from rilievo.records.sample import Truth

_CARD = DatasetCard(
    name="moge-bundle",
    title="Evaluation sets of MoGe (Wang et al. 2025)",
    summary=(
        "ten datasets by other authors, warped to centred cameras, with depth stored as logarithms"
    ),
    homepage="https://huggingface.co/datasets/Ruicheng/monocular-geometry-evaluation",
    licence="that of each set",
    commercial=False,
    layout="""\
NYUv2/ KITTI/ ETH3D/ iBims-1/ GSO/ Sintel/ DDAD/ DIODE/ Spring/ HAMMER/, or one
  .index.txt              folders of the images, one per line
  FOLDER/image.jpg
  FOLDER/depth.png        16 bits: 0 unknown, 65535 infinite, else near to far,
                          evenly in the logarithm; both are in the file's text
  FOLDER/meta.json        intrinsics as fractions of the sides
  FOLDER/segmentation.png objects, named in the file's text""",
    splits=(
        "NYUv2",
        "KITTI",
        "ETH3D",
        "iBims-1",
        "GSO",
        "Sintel",
        "DDAD",
        "DIODE",
        "Spring",
        "HAMMER",
    ),
    counts={"NYUv2": 654, "KITTI": 652, "iBims-1": 100, "DIODE": 771},
    caveats=(
        "The depth of GSO, Sintel and Spring has no unit, so these cannot be scored in metres.",
        "Images are rotated so that their centre is on the optical axis, then cropped and resized.",
        "Depth beyond 1000 times the nearest percentile is not scored.",
    ),
)

_INDEX_FILE = ".index.txt"
_MAX_DEPTH_RATIO = 1000.0
"""Largest depth that counts, relative to the first percentile of depth."""
_MAX_OBJECTS = 100  # in an image; the largest are kept
_MIN_OBJECT_PIXELS = 1000
_BACKGROUND_NAMES = frozenset({"undefined", "unannotated", "background", "sky"})
"""Labels that name no object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSet:
    """One set of the bundle, as in MoGe's configuration.

    Attributes:
        shape: Size in which its images are scored.
        is_metric: Whether its depth is in metres.
        has_objects: Whether depth is also scored for each object.
    """

    shape: tuple[int, int]
    is_metric: bool = True
    has_objects: bool = False


SETS: Mapping[str, BundleSet] = {
    "NYUv2": BundleSet(shape=(480, 640)),
    "KITTI": BundleSet(shape=(375, 750)),
    "ETH3D": BundleSet(shape=(1365, 2048), has_objects=True),
    "iBims-1": BundleSet(shape=(480, 640), has_objects=True),
    "GSO": BundleSet(shape=(512, 512), is_metric=False),
    "Sintel": BundleSet(shape=(436, 872), is_metric=False, has_objects=True),
    "DDAD": BundleSet(shape=(700, 1400), has_objects=True),
    "DIODE": BundleSet(shape=(768, 1024), has_objects=True),
    "Spring": BundleSet(shape=(1080, 1920), is_metric=False),
    "HAMMER": BundleSet(shape=(832, 1664)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """Files of one image."""

    image: Path
    depth: Path
    meta: Path


class MogeBundle(FileList[_Entry]):
    """Images with depth, camera and objects. A split is one of the ten sets."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        self._set = SETS[request.split]
        folder = request.root / request.split
        if not (folder / _INDEX_FILE).is_file():
            folder = request.root
        if not (folder / _INDEX_FILE).is_file():
            raise InputError(
                f"{request.root}: expected {request.split}/{_INDEX_FILE} or {_INDEX_FILE}, found "
                f"{contents_text(request.root)}"
            )
        files_by_id = {
            line.text.strip("/"): _Entry(
                image=folder / line.text / "image.jpg",
                depth=folder / line.text / "depth.png",
                meta=folder / line.text / "meta.json",
            )
            for line in text_lines(folder / _INDEX_FILE)
        }
        self._set_listed_images(files_by_id, request.list_file)

    def image(self, id: str) -> Pixels:
        """Read the photograph in the view that is scored."""
        entry = self._entry(id)
        photo = read_photo(entry.image, own_depth=False).pixels
        view = self._view_of_entry(entry, (photo.shape[0], photo.shape[1]))
        return view_photo(view, photo)

    def truth(self, id: str) -> Truth:
        """Read depth, camera and objects in the view that is scored."""
        entry = self._entry(id)
        photo_depth = read_log_depth(entry.depth)
        view = self._view_of_entry(entry, (photo_depth.shape[0], photo_depth.shape[1]))
        depth, valid = view_depth(view, photo_depth, np.isfinite(photo_depth))
        if valid.any():
            near_depth = np.quantile(depth[valid].astype(np.float64), 0.01)
            valid &= depth <= near_depth * _MAX_DEPTH_RATIO  # as MoGe's program does
        return Truth(
            id=id,
            depth=np.where(valid, depth, np.float32(0)),
            depth_valid=valid,
            objects=self._number_largest_objects(entry, view),
            camera=Camera(K=view.K),
            is_metric=self._set.is_metric,
        )

    def _view_of_entry(self, entry: _Entry, size: tuple[int, int]) -> CentredView:
        """Find the scored view in a photograph of a size, by the intrinsics in ``meta.json``."""
        try:
            return centred_view(read_intrinsics(entry.meta), size, self._set.shape)
        except InputError:
            raise
        except (np.linalg.LinAlgError, ZeroDivisionError, OverflowError, ValueError) as error:
            raise InputError(
                f"{entry.meta}: its intrinsics do not fit the image ({error})"
            ) from error

    def _number_largest_objects(
        self, entry: _Entry, view: CentredView
    ) -> Int64[np.ndarray, "h w"] | None:
        """Number the objects in the view by size, from 1 for the largest; 0 means no object.

        Returns:
            The numbers, or None if the set or the image has no objects.
        """
        segmentation_file = entry.meta.with_name("segmentation.png")
        if not (self._set.has_objects and segmentation_file.is_file()):
            return None
        segmentation = read_segmentation(segmentation_file)
        labels = view_labels(view, segmentation.mask)
        visible_labels, pixel_counts = np.unique(labels, return_counts=True)
        pixels_by_label = dict(zip(visible_labels.tolist(), pixel_counts.tolist(), strict=True))

        object_labels = [
            label for name, label in segmentation.labels.items() if name not in _BACKGROUND_NAMES
        ]
        object_labels.sort(key=lambda label: -pixels_by_label.get(label, 0))
        large_labels = [
            label
            for label in object_labels[:_MAX_OBJECTS]
            if pixels_by_label.get(label, 0) >= _MIN_OBJECT_PIXELS
        ]
        objects = np.zeros(labels.shape, np.int64)
        for object_number, label in enumerate(large_labels, start=1):
            objects[labels == label] = object_number
        return objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """Label of each pixel, and the labels of objects by name."""

    mask: UInt[np.ndarray, "h w"]
    labels: Mapping[str, int]


def read_log_depth(path: Path) -> Field:
    """Read depth from a PNG file that stores its logarithm: NaN where unknown, infinite for sky."""
    stored, statement = _read_sixteen_bits(path), read_depth_metadata(path)
    if not statement.stores_logarithms:
        raise InputError(
            f"{path}: its PNG text must contain the numbers 'near' and 'far', with which MoGe's "
            "bundle encodes depth"
        )
    return decode_depth(stored, statement).astype(np.float32)


def read_segmentation(path: Path) -> Segmentation:
    """Read a PNG file of labels, whose text ``labels`` names the objects."""
    stored = read_map(path)
    if stored.dtype.kind != "u":
        raise InputError(f"{path}: has {stored.dtype} values, expected integer labels")
    text = read_png_texts(path).get("labels", "{}")
    try:
        labels = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: its labels are not JSON: {error}") from error
    if not isinstance(labels, dict) or not all(type(label) is int for label in labels.values()):
        raise InputError(f"{path}: its labels must map names to integers")
    return Segmentation(mask=stored, labels=labels)


def read_intrinsics(path: Path) -> Matrix:
    """Read K from ``meta.json``, as fractions of the sides; the middle is (0.5, 0.5)."""
    try:
        meta = parse_json(read_text(path))
    except InvalidRecordError as error:
        raise InputError(f"is {error}", path=path) from error
    if not isinstance(meta, dict) or "intrinsics" not in meta:
        raise InputError(
            "has no 'intrinsics'; expected a JSON object with a 3x3 matrix under this key",
            path=path,
        )
    rows = meta["intrinsics"]
    intrinsics = _matrix_or_none(rows)
    if intrinsics is None or not (intrinsics[0, 0] and intrinsics[1, 1]):
        raise InputError(
            "its intrinsics must be a finite 3x3 matrix with focal lengths, got "
            f"{json.dumps(rows)[:200]}",
            path=path,
        )
    return intrinsics


def _matrix_or_none(rows: object) -> Matrix | None:
    """Return a finite 3x3 matrix from rows of numbers; None if ``rows`` is anything else."""
    try:
        matrix = np.array(rows, np.float64)
    except (TypeError, ValueError):  # words, or rows of several lengths
        return None
    return matrix if matrix.shape == (3, 3) and np.isfinite(matrix).all() else None


def _read_sixteen_bits(path: Path) -> UInt[np.ndarray, "h w"]:
    stored = read_map(path)
    if stored.dtype != np.uint16:
        raise InputError(f"{path}: has {stored.dtype} values, expected a 16-bit PNG file")
    return stored
