"""The file from which the page shows a result.

Four bytes hold the length of a JSON (little-endian). Then come the JSON, a compressed lattice of
points, and the photograph as JPEG. The lattice is every n-th pixel in both directions: depth as
float32 (NaN: no depth, infinite: transparent), normals as int8, and the sky (1: no surface). Affine
depth is anchored. ``web/source/app_view.js`` reads the file.
"""

import json
import math
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
from isal import isal_zlib
from PIL import Image

from rilievo.arrays.shapes import Mask, Shaped
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.io.json_record import to_json
from rilievo.io.outputs.writing import with_nan
from rilievo.measure.page_terms import page_terms
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.trimming import Trimmed
from rilievo.pages.relief import page_lens
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.surface_depth import can_make_surface
from rilievo.records.sample import Photo
from rilievo.serving.server.answer_files import can_write_output
from rilievo.serving.server.service import prediction_record

_MAX_LATTICE_SIDE = 768  # points along the longer side
_MAX_PHOTO_SIDE = 1600  # [px], longer side of the photograph in the file
_MAX_PANORAMA_SIDE = 4096  # [px], since the page shows a part of it at a time
_MAX_THUMBNAIL_SIDE = 192  # [px]
_JPEG_QUALITY = 88
_COMPRESSION_LEVEL = 1  # from 0 to 3; a quick one, because visitors wait for the file


@dataclass(frozen=True, slots=True)
class _Lattice:
    """The pixels whose depth the file holds: every ``step``-th row and column."""

    step: int
    rows: range
    columns: range

    @property
    def pixels(self) -> tuple[slice, slice]:
        """Index of these pixels in a depth map."""
        return (
            slice(self.rows.start, None, self.step),
            slice(self.columns.start, None, self.step),
        )


def view_bytes(original: Prediction, name: str, model: Model, inference: Inference) -> bytes:
    """Encode the file from which the page shows a prediction of ``model`` from ``inference``."""
    # Affine depth has no surface, which the page shows, unless it is anchored.
    prediction = original.anchored if can_make_surface(original) else original
    photo = prediction.photo
    assert photo is not None, "predictions of models have their photograph"

    lattice = _make_lattice(prediction.shape)
    depth = _lattice_depth(prediction, photo, lattice)
    normals, sky = _lattice_normals_and_sky(original, prediction, model, inference, lattice)
    compressed_lattice = compress_lattice(depth, normals, sky)
    lens = _lens_record(prediction.camera, prediction.shape[1])
    header: dict[str, Any] = {
        **prediction_record(original, []),
        "name": name,
        "shown_kind": prediction.depth.kind,
        "lattice": _lattice_record(lattice),
        "packed": len(compressed_lattice),
        "normals": normals is not None,
        "sky": sky is not None,
        "lens": lens,
        "terms": _range_terms_record(prediction),
        "outputs": [output for output in OUTPUTS.own if can_write_output(prediction, output)],
    }
    encoded_header = json.dumps(header).encode()
    header_length = len(encoded_header).to_bytes(4, "little")

    is_panorama = lens is not None and lens["lens"] != "pinhole"
    jpeg = resized_jpeg(photo.pixels, _MAX_PANORAMA_SIDE if is_panorama else _MAX_PHOTO_SIDE)
    return header_length + encoded_header + compressed_lattice + jpeg


def _lattice_record(lattice: _Lattice) -> dict[str, int]:
    """Place of the lattice in the photograph, as JSON."""
    return {
        "step": lattice.step,
        "rows": len(lattice.rows),
        "columns": len(lattice.columns),
        "first_row": lattice.rows.start,
        "first_column": lattice.columns.start,
    }


def _make_lattice(shape: tuple[int, int]) -> _Lattice:
    """Choose the step so that the lattice has at most ``_MAX_LATTICE_SIDE`` points on a side."""
    height, width = shape
    step = math.ceil(max(height, width) / _MAX_LATTICE_SIDE)
    first_row = min(step - 1, height - 1) // 2
    first_column = min(step - 1, width - 1) // 2
    return _Lattice(
        step=step, rows=range(first_row, height, step), columns=range(first_column, width, step)
    )


def _lattice_depth(prediction: Prediction, photo: Photo, lattice: _Lattice) -> np.ndarray:
    """Depth at the lattice as float32; NaN if it is invalid, infinite for transparent pixels."""
    depth = prediction.depth
    values = with_nan(depth.values[lattice.pixels], depth.valid[lattice.pixels]).astype(np.float32)
    if photo.transparent is not None:
        values[photo.transparent[lattice.pixels]] = np.inf
    return values


def _prediction_of_lattice_size(
    original: Prediction,
    prediction: Prediction,
    model: Model,
    inference: Inference,
    lattice: _Lattice,
) -> Prediction:
    """Prediction of about the lattice's size, with the same kind of depth.

    Normals of the full size take long to compute, and most of them would be left out.
    """
    small = prediction
    if lattice.step > 1:
        assert prediction.photo is not None, "predictions of models have their photograph"
        small = coarse_prediction(model, inference, prediction.photo, lattice.step)
    if prediction.depth.is_depth and not small.depth.is_depth:
        # The normals have to match the depth, so the same anchoring applies to both.
        small = small.but(anchoring=original.anchoring).anchored
    return small


def _lattice_normals_and_sky(
    original: Prediction,
    prediction: Prediction,
    model: Model,
    inference: Inference,
    lattice: _Lattice,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Normals as int8 (127 stands for 1) and sky at the lattice; None if they are not predicted."""
    if not (prediction.has("normals") or prediction.has("sky")):
        return None, None

    small = _prediction_of_lattice_size(original, prediction, model, inference, lattice)
    # The smaller photograph may have one row or column more than the lattice.
    inside = np.s_[: len(lattice.rows), : len(lattice.columns)]
    normals = None
    sky = None
    if prediction.has("normals") and small.normals is not None:
        normals = np.rint(np.nan_to_num(small.normals[:, *inside]) * 127).astype(np.int8)
    if prediction.has("sky") and small.sky is not None:
        sky = small.sky[inside]
    return normals, sky


def compress_lattice(
    depth: Shaped[np.ndarray, "h w"],
    normals: Shaped[np.ndarray, "3 h w"] | None,
    sky: Mask | None,
) -> bytes:
    """Compress a lattice of float32 depth, int8 normals (127 stands for 1) and sky with zlib.

    Returns:
        Compressed bytes of four planes with the bytes of the depth differences, least significant
        first; of three planes with the differences of normals; and of the sky, one bit a point.
    """
    planes: list[np.ndarray] = [_depth_planes(depth)]
    if normals is not None:
        stacked_normals = normals.view(np.uint8).reshape(-1, normals.shape[2])  # (3 h, w)
        planes.append(_difference_columns_and_rows(stacked_normals))
    if sky is not None:
        planes.append(np.packbits(sky))
    content = b"".join(plane.tobytes() for plane in planes)
    return isal_zlib.compress(content, _COMPRESSION_LEVEL)


def _depth_planes(depth: Shaped[np.ndarray, "h w"]) -> Shaped[np.ndarray, "4 h w"]:
    """Encode float32 depth as four planes of bytes that compress well: 4.7 MB become 1.3 MB.

    The bits of float32 are taken as integers, whose differences between neighbouring columns, and
    then rows, are small. The zigzag code of Protocol Buffers moves their sign to the lowest bit, so
    that small negative numbers have zeros in the upper bytes too.
    """
    bits = depth.astype("<f4").view("<u4")
    differences = _difference_columns_and_rows(bits).view("<i4")
    zigzag = (differences << 1) ^ (differences >> 31)
    height, width = zigzag.shape
    depth_bytes = zigzag.view(np.uint8).reshape(height, width, 4)
    return np.moveaxis(depth_bytes, 2, 0)


def _difference_columns_and_rows(values: np.ndarray) -> np.ndarray:
    """Subtract from each value its left neighbour, and then the upper one (both modulo 2^n)."""
    column_differences = values.copy()
    column_differences[:, 1:] -= values[:, :-1]
    differences = column_differences.copy()
    differences[1:] -= column_differences[:-1]
    return differences


def _lens_record(camera: Camera | None, width: int) -> dict[str, Any] | None:
    """Lens as JSON, or None if the page cannot draw surfaces with it."""
    if camera is None or not isinstance(camera.lens, Pinhole | Equirectangular):
        return None
    name, parameters = page_lens(camera)
    intrinsics = dict(zip(("fx", "fy", "cx", "cy"), map(float, parameters), strict=True))
    return {"lens": name, **intrinsics, "goes_round": camera.lens.goes_round(width)}


def _range_terms_record(prediction: Prediction) -> Any:
    """Terms from which the page computes ranges of sizes; None without a camera or depth."""
    if prediction.camera is None or not prediction.depth.is_depth:
        return None
    return json.loads(to_json(page_terms(prediction, floor=False)))  # the page finds the floor


def coarse_prediction(model: Model, inference: Inference, photo: Photo, step: int) -> Prediction:
    """Finish an inference at 1/``step`` of the photograph's size, which is quicker."""
    pixels = np.asarray(Image.fromarray(photo.pixels).reduce(step))
    camera = photo.camera or inference.camera
    if camera is not None:
        size = pixels.shape[0], pixels.shape[1]
        camera = camera.resized(size=photo.shape, new_size=size)
    if isinstance(model, Trimmed):
        model = Trimmed(model.model, model.margins(photo).subsampled(step))
    small = Photo(pixels=pixels, camera=camera, name=photo.name)
    return model.finish(replace(inference, camera=None), small)


def thumbnail_jpeg(prediction: Prediction) -> bytes:
    """Encode the photograph as a small JPEG, for lists of results."""
    photo = prediction.photo
    assert photo is not None, "predictions of models have their photograph"
    return resized_jpeg(photo.pixels, _MAX_THUMBNAIL_SIDE)


def resized_jpeg(pixels: np.ndarray, max_side: int) -> bytes:
    """Encode a JPEG whose longer side has at most ``max_side`` pixels."""
    image = Image.fromarray(pixels)
    # Reducing by an integer factor is quick, so most of the resizing is done by it.
    image = image.reduce(max(1, max(image.size) // max_side))
    image.thumbnail((max_side, max_side), Image.Resampling.BOX)
    stream = BytesIO()
    image.save(stream, "JPEG", quality=_JPEG_QUALITY)
    return stream.getvalue()
