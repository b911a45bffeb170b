"""MoGe's bundle: ten evaluation sets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from rilievo.arrays.shapes import Field, Int64, Matrix, Pixels, UInt
from rilievo.data.datasets.dataset import Request, own_card
from rilievo.data.datasets.loaders import FileList
from rilievo.data.datasets.sets.moge_view import (
    CentredView,
    centred_view,
    view_depth,
    view_numbers,
    view_photo,
)
from rilievo.data.datasets.text_files import contents_text, text_lines
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.statements import read_depth_statement
from rilievo.io.depth.stored_depth import decode_numbers
from rilievo.io.files.limits import check_regular, read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.io.numbers import read_map
from rilievo.io.photographs.decode import one_line_errors
from rilievo.io.photographs.photo import read_photo
from rilievo.records.sample import Truth

INDEX = ".index.txt"
MOST_RANGE = 1000.0  # largest depth that counts, relative to the first percentile
MOST_OBJECTS, LEAST_OBJECT = 100, 1000  # objects of an image, and pixels of one
NO_OBJECTS = frozenset({"undefined", "unannotated", "background", "sky"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSet:
    """One set, as in MoGe's configuration."""

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
    image: Path
    depth: Path
    meta: Path


class MogeBundle(FileList[_Entry]):
    """Folders of an image, depth, camera and objects; the split is the set."""

    card = own_card("moge-bundle")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._set = SETS[request.split]
        folder = request.root / request.split
        if not (folder / INDEX).is_file():
            folder = request.root
        if not (folder / INDEX).is_file():
            raise InputError(
                f"{request.root}: expected {request.split}/{INDEX}, or {INDEX} in it, found "
                f"{contents_text(request.root)}"
            )
        entries = {
            line.text.strip("/"): _Entry(
                image=folder / line.text / "image.jpg",
                depth=folder / line.text / "depth.png",
                meta=folder / line.text / "meta.json",
            )
            for line in text_lines(folder / INDEX)
        }
        self._set_entries_of_list(entries, request.list_file)

    def image(self, id: str) -> Pixels:
        """Read the photograph in its view."""
        entry = self._entry(id)
        photo = read_photo(entry.image, own_depth=False).pixels
        return view_photo(self._view_of_entry(entry, (photo.shape[0], photo.shape[1])), photo)

    def truth(self, id: str) -> Truth:
        """Read depth, camera and objects in the view."""
        entry = self._entry(id)
        stored = read_log_depth(entry.depth)
        view = self._view_of_entry(entry, (stored.shape[0], stored.shape[1]))
        depth, valid = view_depth(view, stored, np.isfinite(stored))
        if valid.any():
            valid &= depth <= np.quantile(depth[valid].astype(np.float64), 0.01) * MOST_RANGE
        return Truth(
            id=id,
            depth=np.where(valid, depth, np.float32(0)),
            depth_valid=valid,
            objects=self._largest_object_numbers(entry, view),
            camera=Camera(K=view.K_px),
            is_metric=self._set.is_metric,
        )

    def _view_of_entry(self, entry: _Entry, size: tuple[int, int]) -> CentredView:
        try:
            return centred_view(read_intrinsics(entry.meta), size, self._set.shape)
        except (np.linalg.LinAlgError, ZeroDivisionError, OverflowError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{entry.meta}: its intrinsics give no view of the picture ({error})"
            ) from error

    def _largest_object_numbers(
        self, entry: _Entry, view: CentredView
    ) -> Int64[np.ndarray, "h w"] | None:
        path = entry.meta.with_name("segmentation.png")
        if not (self._set.has_objects and path.is_file()):
            return None
        stored = read_segmentation(path)
        view_objects = view_numbers(view, stored.mask)
        sizes = dict(
            zip(
                *(item.tolist() for item in np.unique(view_objects, return_counts=True)),
                strict=True,
            )
        )
        numbers = [item for name, item in stored.labels.items() if name not in NO_OBJECTS]
        numbers.sort(key=lambda item: -sizes.get(item, 0))
        objects = np.zeros(view_objects.shape, np.int64)
        largest = [item for item in numbers[:MOST_OBJECTS] if sizes.get(item, 0) >= LEAST_OBJECT]
        for place, number in enumerate(largest, start=1):
            objects[view_objects == number] = place
        return objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """Objects of an image by name."""

    mask: UInt[np.ndarray, "h w"]
    labels: Mapping[str, int]


def read_log_depth(path: Path) -> Field:
    """Read depth of a logarithmic PNG; NaN if unknown, infinite for sky."""
    stored, statement = _read_sixteen_bits(path), read_depth_statement(path)
    if statement.logarithmic_range is None:
        raise InputError(
            f"{path}: has no number 'near' in its text, or no 'far', by which MoGe's bundle codes "
            "depth"
        )
    return decode_numbers(stored, statement).astype(np.float32)


def read_segmentation(path: Path) -> Segmentation:
    """Read objects of a PNG with ``labels``."""
    stored = read_map(path)
    if stored.dtype.kind != "u":
        raise InputError(f"{path}: holds {stored.dtype}, expected whole numbers")
    text = _read_png_texts(path).get("labels", "{}")
    try:
        labels = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: its labels are no JSON: {error}") from error
    if not isinstance(labels, dict) or not all(type(label) is int for label in labels.values()):
        raise InputError(f"{path}: its labels are no names with whole numbers")
    return Segmentation(mask=stored, labels=labels)


def read_intrinsics(path: Path) -> Matrix:
    """Read ``meta.json`` in shares of sides, the centre at (0.5, 0.5)."""
    try:
        meta = parse_json(read_text(path))
    except NotThisRecord as error:
        raise InputError(f"is {error}", path=path) from error
    if not isinstance(meta, dict) or "intrinsics" not in meta:
        raise InputError("has no intrinsics; expected an object with a 3x3 matrix", path=path)
    rows = meta["intrinsics"]
    intrinsics = _matrix_or_none(rows)
    if intrinsics is None or not (intrinsics[0, 0] and intrinsics[1, 1]):
        raise InputError(
            "has intrinsics that are no finite 3x3 matrix with focal lengths: "
            f"{json.dumps(rows)[:200]}",
            path=path,
        )
    return intrinsics


def _matrix_or_none(rows: object) -> Matrix | None:
    """Finite 3x3 matrix of rows of numbers; None if they are none."""
    try:
        matrix = np.array(rows, np.float64)
    except (TypeError, ValueError):  # words, or rows of several lengths
        return None
    return matrix if matrix.shape == (3, 3) and np.isfinite(matrix).all() else None


def _read_sixteen_bits(path: Path) -> UInt[np.ndarray, "h w"]:
    stored = read_map(path)
    if stored.dtype != np.uint16:
        raise InputError(f"{path}: holds {stored.dtype}, expected 16-bit PNG")
    return stored


def _read_png_texts(path: Path) -> Mapping[str, str]:
    check_regular(path)
    with (
        one_line_errors(printable(path), "PNG file"),
        path.open("rb") as stream,
        PngImageFile(stream) as image,
    ):
        return {str(name): text for name, text in image.info.items() if isinstance(text, str)}
