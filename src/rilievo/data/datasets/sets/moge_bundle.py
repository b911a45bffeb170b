"""MoGe's bundle of evaluation sets: ten datasets in one layout, as papers of 2025 and 2026 score.

Images are shown in the view of ``rilievo.data.datasets.sets.moge_view``, and depth beyond a
thousand times the nearest percentile does not count, as in MoGe's program.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from rilievo.data.datasets.base import Request, own_card
from rilievo.data.datasets.files import found_in, text_lines
from rilievo.data.datasets.photo_files import FileList
from rilievo.data.datasets.sets.moge_view import (
    CentredView,
    view_depth,
    view_numbers,
    view_of,
    view_photo,
)
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.io.files.limits import check_regular, printable, read_text
from rilievo.io.json_record import parse_json
from rilievo.io.numbers import read_map
from rilievo.io.outside.depth_numbers import decoded, statement_of
from rilievo.io.photographs.decode import one_line_errors
from rilievo.io.photographs.photo import read_photo
from rilievo.shapes import Field, Int64, Matrix, Pixels, UInt
from rilievo.types import Camera, Truth

INDEX = ".index.txt"

MOST_RANGE = 1000.0
"""Times the depth that one pixel in a hundred is nearer than: what is farther does not count."""

MOST_OBJECTS, LEAST_OBJECT = 100, 1000
"""Objects of an image that are compared by themselves, and pixels that one of them needs."""

NO_OBJECTS = frozenset({"undefined", "unannotated", "background", "sky"})


@frozen
class BundleSet:
    """One of the sets, as MoGe's configuration has it.

    Attributes:
        shape: (height, width) in which it is scored.
        is_metric: Whether its depth is in metres.
        has_objects: Whether its objects are compared by themselves.
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


@frozen
class _Entry:
    """Files of one image."""

    image: Path
    depth: Path
    meta: Path


class MogeBundle(FileList[_Entry]):
    """Folders of an image, its depth, camera and objects; the split is the set."""

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
                f"{found_in(request.root)}"
            )
        entries = {
            line.text.strip("/"): _Entry(
                image=folder / line.text / "image.jpg",
                depth=folder / line.text / "depth.png",
                meta=folder / line.text / "meta.json",
            )
            for line in text_lines(folder / INDEX)
        }
        self._choose(entries, request.list_file)

    def image(self, id: str) -> Pixels:
        """The photograph in its view."""
        entry = self._entry(id)
        photo = read_photo(entry.image, own_depth=False).pixels
        return view_photo(self._view(entry, (photo.shape[0], photo.shape[1])), photo)

    def truth(self, id: str) -> Truth:
        """Depth, camera and objects in the view."""
        entry = self._entry(id)
        stored = read_log_depth(entry.depth)
        view = self._view(entry, (stored.shape[0], stored.shape[1]))
        depth, valid = view_depth(view, stored, np.isfinite(stored))
        if valid.any():
            valid &= depth <= np.quantile(depth[valid].astype(np.float64), 0.01) * MOST_RANGE
        return Truth(
            id=id,
            depth=np.where(valid, depth, np.float32(0)),
            depth_valid=valid,
            objects=self._objects(entry, view),
            camera=Camera(K=view.K_px),
            is_metric=self._set.is_metric,
        )

    def _view(self, entry: _Entry, size: tuple[int, int]) -> CentredView:
        try:
            return view_of(read_intrinsics(entry.meta), size, self._set.shape)
        except (np.linalg.LinAlgError, ZeroDivisionError, OverflowError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{entry.meta}: its intrinsics give no view of the picture ({error})"
            ) from error

    def _objects(self, entry: _Entry, view: CentredView) -> Int64[np.ndarray, "h w"] | None:
        """Objects by their size in the view, the largest is 1; 0 for none."""
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
        numbers.sort(key=lambda each: -sizes.get(each, 0))
        objects = np.zeros(view_objects.shape, np.int64)
        largest = [item for item in numbers[:MOST_OBJECTS] if sizes.get(item, 0) >= LEAST_OBJECT]
        for place, number in enumerate(largest, start=1):
            objects[view_objects == number] = place
        return objects


@frozen
class Segmentation:
    """Objects of an image.

    Attributes:
        labels: Name of an object to its number; numbers without a name are none.
    """

    mask: UInt[np.ndarray, "h w"]
    labels: Mapping[str, int]


def read_log_depth(path: Path) -> Field:
    """Depth of a 16-bit PNG that holds its logarithm; NaN where unknown, infinite for sky.

    Numbers from 1 to 65534 run from the text ``near`` of the file to ``far``, evenly in the
    logarithm; a text ``unit``, which older files have, is a factor.
    """
    stored, statement = _sixteen_bits(path), statement_of(path)
    if statement.logarithm is None:
        raise InputError(
            f"{path}: has no number 'near' in its text, or no 'far', by which MoGe's bundle codes "
            "depth"
        )
    return decoded(stored, statement).astype(np.float32)


def read_segmentation(path: Path) -> Segmentation:
    """Objects of a PNG whose text ``labels`` names them."""
    stored = read_map(path)
    if stored.dtype.kind != "u":
        raise InputError(f"{path}: holds {stored.dtype}, expected whole numbers")
    text = _texts(path).get("labels", "{}")
    try:
        labels = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: its labels are no JSON: {error}") from error
    if not isinstance(labels, dict) or not all(type(label) is int for label in labels.values()):
        raise InputError(f"{path}: its labels are no names with whole numbers")
    return Segmentation(mask=stored, labels=labels)


def read_intrinsics(path: Path) -> Matrix:
    """Intrinsics of ``meta.json`` in shares of the image's sides, its centre at (0.5, 0.5)."""
    try:
        meta = parse_json(read_text(path))
        rows = meta["intrinsics"] if isinstance(meta, dict) else None
        intrinsics = np.array(rows, np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: has no intrinsics: {error}") from error
    if (
        intrinsics.shape != (3, 3)
        or not np.isfinite(intrinsics).all()
        or not (intrinsics[0, 0] and intrinsics[1, 1])
    ):
        raise InputError(
            f"{path}: its intrinsics are no finite 3x3 matrix with focal lengths: "
            f"{json.dumps(rows)[:200]}"
        )
    return intrinsics


def _sixteen_bits(path: Path) -> UInt[np.ndarray, "h w"]:
    stored = read_map(path)
    if stored.dtype != np.uint16:
        raise InputError(f"{path}: holds {stored.dtype}, expected 16-bit PNG")
    return stored


def _texts(path: Path) -> Mapping[str, str]:
    """Text fields of a PNG."""
    check_regular(path)
    with (
        one_line_errors(printable(path), "PNG file"),
        path.open("rb") as stream,
        PngImageFile(stream) as image,
    ):
        return {str(name): text for name, text in image.info.items() if isinstance(text, str)}
