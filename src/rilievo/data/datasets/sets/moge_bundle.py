"""MoGe's bundle: ten evaluation sets, and its view of an image (``moge/test/dataloader.py``).

A picture is turned until its middle looks along the axis, and cut to the set's proportions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from rilievo.alignment.subsample import nearest_pixel_of_cells
from rilievo.arrays.shapes import (
    Bool,
    Field,
    Float32,
    Float64,
    Int,
    Int64,
    Mask,
    Matrix,
    Pixels,
    Shaped,
    UInt,
    UInt8,
    Vector,
)
from rilievo.data.datasets.loaders import FileList, Request, contents_text, own_card, text_lines
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth_numbers import decode_numbers, read_depth_statement
from rilievo.io.files.limits import check_regular, read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import parse_json
from rilievo.io.numbers import read_map
from rilievo.io.photographs.decode import one_line_errors
from rilievo.io.photographs.photo import read_photo
from rilievo.records.sample import Truth

_LARGEST = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class CentredView:
    """View of an image, whose ``raw_K`` and K are in shares of sides.

    Attributes:
        shrunk: (height, width) with pixels as large as the view's.
        source: Column and row [px] there of each pixel.
    """

    shape: tuple[int, int]
    raw_K: Matrix
    K: Matrix
    shrunk: tuple[int, int]
    source: Float32[np.ndarray, "2 h w"]

    @property
    def K_px(self) -> Matrix:
        """Intrinsics [px]."""
        height, width = self.shape
        K = self.K * np.array([[width], [height], [1.0]])
        K[:2, 2] -= 0.5
        return K


def centred_view(K: Matrix, raw: tuple[int, int], shape: tuple[int, int]) -> CentredView:
    """View whose axis meets the middle; K in shares of sides."""
    # As the bundle's program reads them.
    K = K.astype(np.float32).astype(np.float64)
    height, width = shape
    turn = _rotation_onto_z(np.linalg.inv(K) @ [0.5, 0.5, 1.0])
    across, down = _view_width_and_height(K, turn, width / height)
    own = np.array([[1 / across, 0, 0.5], [0, 1 / down, 0.5], [0, 0, 1.0]])
    raw_pixel = abs(1 / K[0, 0]) / raw[1], abs(1 / K[1, 1]) / raw[0]
    pixel = across / width, down / height
    shrunk = int(raw[0] * raw_pixel[1] / pixel[1]), int(raw[1] * raw_pixel[0] / pixel[0])
    if not (min(shrunk) > 0 and max(shrunk) < _LARGEST):
        raise ValueError(f"the picture would have {shrunk[0]} x {shrunk[1]} pixels")
    placed = _matrix_times_pixel_centres(K @ turn.T @ np.linalg.inv(own), height, width)
    sides = np.array([shrunk[1], shrunk[0]], np.float64)[:, None, None]
    source = placed[:2] / (placed[2] + 1e-12) * sides - 0.5
    return CentredView(shape=shape, raw_K=K, K=own, shrunk=shrunk, source=source.astype(np.float32))


def _rotation_onto_z(direction: Vector) -> Matrix:
    x, y, z = direction / np.linalg.norm(direction)
    cross = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0.0]])
    return np.eye(3) + cross + cross @ cross / (1 + z)


def _view_width_and_height(K: Matrix, turn: Matrix, aspect: float) -> tuple[float, float]:
    """Sides at depth 1 of a view inside the picture."""
    across, down = abs(1 / K[0, 0]), abs(1 / K[1, 1])
    square = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 0, 1.0]])
    corners = square @ (np.linalg.inv(K).T @ turn.T)
    corners = corners[:, :2] / corners[:, 2:]
    wide, tall = across, down
    for start, end in zip(np.roll(corners, 1, axis=0), corners, strict=True):
        for diagonal in ((aspect, 1.0), (aspect, -1.0)):
            # Where the view's diagonal meets the line of this side.
            lines = np.stack([np.array(diagonal), start - end], axis=1)
            x, y = np.array(diagonal) * np.linalg.solve(lines, start)[0]
            wide, tall = min(wide, 2 * abs(x)), min(tall, 2 * abs(y))
    own = min(across, down * aspect)
    return min(own, wide), min(own / aspect, tall)


def view_photo(view: CentredView, photo: UInt8[np.ndarray, "a b 3"]) -> Pixels:
    """Photograph in the view, black outside, exactly as by OpenCV 5."""
    height, width = view.shrunk
    resized = Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS)
    padded = np.pad(np.asarray(resized), ((1, 1), (1, 1), (0, 0))).astype(np.float64)
    column, row = view.source.astype(np.float64)
    column, row = np.clip(column, -1, width) + 1, np.clip(row, -1, height) + 1
    left = np.minimum(column.astype(np.int64), width)
    top = np.minimum(row.astype(np.int64), height)
    right_part, lower_part = (column - left)[..., None], (row - top)[..., None]
    upper = padded[top, left] * (1 - right_part) + padded[top, left + 1] * right_part
    lower = padded[top + 1, left] * (1 - right_part) + padded[top + 1, left + 1] * right_part
    return np.rint(upper * (1 - lower_part) + lower * lower_part).astype(np.uint8)


def view_depth(
    view: CentredView, depth: Float32[np.ndarray, "a b"], valid: Bool[np.ndarray, "a b"]
) -> tuple[Field, Mask]:
    """Depth in the view, and where it is known."""
    chosen = nearest_pixel_of_cells(valid, view.shrunk)
    height, width = view.shrunk
    depths = np.where(valid, depth, np.float32(1)).ravel()[chosen.places].astype(np.float64)
    distance = depths * _ray_lengths(view.raw_K, height, width)
    samples, inside = _nearest_samples_and_inside(
        view, np.stack([distance, chosen.known.astype(np.float64)])
    )
    lengths = _ray_lengths(view.K, *view.shape)
    return (samples[0] / (lengths + 1e-12)).astype(np.float32), inside & (samples[1] > 0)


def view_numbers(view: CentredView, numbers: Shaped[np.ndarray, "a b"]) -> Int[np.ndarray, "h w"]:
    """Whole numbers in the view, or 0."""
    height, width = view.shrunk
    rows = np.minimum(
        (np.arange(height) * (numbers.shape[0] / height)).astype(np.int64), numbers.shape[0] - 1
    )
    columns = np.minimum(
        (np.arange(width) * (numbers.shape[1] / width)).astype(np.int64), numbers.shape[1] - 1
    )
    samples, _ = _nearest_samples_and_inside(
        view, numbers[rows[:, None], columns][None].astype(np.float64)
    )
    return samples[0].astype(np.int64)


def _nearest_samples_and_inside(
    view: CentredView, maps: Float64[np.ndarray, "k a b"]
) -> tuple[Float64[np.ndarray, "k h w"], Mask]:
    height, width = view.shrunk
    column, row = (np.rint(coordinates).astype(np.int64) for coordinates in view.source)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    taken = maps[:, np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return np.where(inside, taken, 0.0), inside


def _ray_lengths(K: Matrix, height: int, width: int) -> Float64[np.ndarray, "{height} {width}"]:
    return np.linalg.norm(_matrix_times_pixel_centres(np.linalg.inv(K), height, width), axis=0)


def _matrix_times_pixel_centres(
    matrix: Matrix, height: int, width: int
) -> Float64[np.ndarray, "3 h w"]:
    u, v = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    grid = np.stack([*np.meshgrid(u, v), np.ones((height, width))])
    return np.einsum("ij,jhw->ihw", matrix, grid)


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
    if statement.logarithm is None:
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
