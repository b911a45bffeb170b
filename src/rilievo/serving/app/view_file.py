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
from rilievo.geometry.surfaces.lattice import goes_round
from rilievo.io.json_record import to_json
from rilievo.io.outputs.writing import with_nan
from rilievo.measure.page_terms import page_terms
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.trimming import Trimmed
from rilievo.pages.relief import lens_on_pages
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
_COMPRESSION_LEVEL = 1  # of 0 to 3; a quick one, as visitors wait for the file


@dataclass(frozen=True, slots=True)
class _Lattice:
    """The pixels that the file has depth of: every ``step``-th row and column."""

    step: int
    rows: range
    columns: range

    @property
    def pixels(self) -> tuple[slice, slice]:
        return (
            slice(self.rows.start, None, self.step),
            slice(self.columns.start, None, self.step),
        )


def view_bytes(original: Prediction, name: str, model: Model, inference: Inference) -> bytes:
    """Write the file from which the page shows a prediction, made by ``model`` of ``inference``."""
    prediction = original.anchored if can_make_surface(original) else original
    photo = prediction.photo
    assert photo is not None, "made by a model"

    lattice = _lattice_of(prediction.shape)
    normals, sky = _lattice_normals_and_sky(original, prediction, model, inference, lattice)
    packed = packed_lattice(_lattice_depth(prediction, photo, lattice), normals, sky)

    about: dict[str, Any] = prediction_record(original, [])
    about |= {
        "name": name,
        "shown_kind": prediction.depth.kind,
        "lattice": {
            "step": lattice.step,
            "rows": len(lattice.rows),
            "columns": len(lattice.columns),
            "first_row": lattice.rows.start,
            "first_column": lattice.columns.start,
        },
        "packed": len(packed),
        "normals": normals is not None,
        "sky": sky is not None,
        "lens": _lens_record(prediction.camera, prediction.shape[1]),
        "terms": _range_terms_record(prediction),
        "outputs": [name for name in OUTPUTS.own if can_write_output(prediction, name)],
    }
    head = json.dumps(about).encode()

    is_panorama = about["lens"] is not None and about["lens"]["lens"] != "pinhole"
    jpeg = shrunken_jpeg(photo.pixels, _MAX_PANORAMA_SIDE if is_panorama else _MAX_PHOTO_SIDE)
    return b"".join((len(head).to_bytes(4, "little"), head, packed, jpeg))


def _lattice_of(shape: tuple[int, int]) -> _Lattice:
    height, width = shape
    step = math.ceil(max(height, width) / _MAX_LATTICE_SIDE)
    first_row = min(step - 1, height - 1) // 2
    first_column = min(step - 1, width - 1) // 2
    return _Lattice(
        step=step, rows=range(first_row, height, step), columns=range(first_column, width, step)
    )


def _lattice_depth(prediction: Prediction, photo: Photo, lattice: _Lattice) -> np.ndarray:
    """Depth at the points as float32; NaN without depth, infinite where it is transparent."""
    depth = prediction.depth
    values = with_nan(depth.values[lattice.pixels], depth.valid[lattice.pixels]).astype(np.float32)
    if photo.transparent is not None:
        values[photo.transparent[lattice.pixels]] = np.inf
    return values


def _lattice_normals_and_sky(
    original: Prediction,
    prediction: Prediction,
    model: Model,
    inference: Inference,
    lattice: _Lattice,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Normals in int8 (127 is 1) and the sky at the points; None if they are not predicted.

    They come from a prediction of about the lattice's size, since those of the full size, of which
    most would be left out, take long to compute.
    """
    if not (prediction.has("normals") or prediction.has("sky")):
        return None, None

    small = prediction
    if lattice.step > 1:
        assert prediction.photo is not None, "made by a model"
        small = coarse_prediction(model, inference, prediction.photo, lattice.step)
    if prediction.depth.is_depth and not small.depth.is_depth:
        small = small.but(anchoring=original.anchoring).anchored

    # The smaller photograph may have a row or a column more than the lattice.
    inside = np.s_[: len(lattice.rows), : len(lattice.columns)]
    normals = sky = None
    if prediction.has("normals") and small.normals is not None:
        normals = np.rint(np.nan_to_num(small.normals[:, *inside]) * 127).astype(np.int8)
    if prediction.has("sky") and small.sky is not None:
        sky = small.sky[inside]
    return normals, sky


def packed_lattice(
    depth: Shaped[np.ndarray, "h w"],
    normals: Shaped[np.ndarray, "3 h w"] | None,
    sky: Mask | None,
) -> bytes:
    """Compress a lattice of float32 depth, int8 normals (127 is 1) and sky with zlib.

    Second differences of neighbours, taken between the bits of float32 as integers, compress well:
    4.7 MB become 1.3 MB. The zigzag code of Protocol Buffers moves their sign to the lowest bit, so
    that small negative differences have zeros in the upper bytes too.

    Returns:
        Four planes with the bytes of the depth differences, least significant first; three planes
        of the normals' differences; the sky as one bit a point.
    """
    bits = depth.astype("<f4").view("<u4")
    differences = _mixed_second_differences(bits).view("<i4")
    zigzag = (differences << 1) ^ (differences >> 31)
    height, width = zigzag.shape
    planes: list[np.ndarray] = [np.moveaxis(zigzag.view(np.uint8).reshape(height, width, 4), 2, 0)]
    if normals is not None:
        rows_of_all_planes = normals.view(np.uint8).reshape(-1, normals.shape[2])
        planes.append(_mixed_second_differences(rows_of_all_planes))
    if sky is not None:
        planes.append(np.packbits(sky))
    content = b"".join(plane.tobytes() for plane in planes)
    return isal_zlib.compress(content, _COMPRESSION_LEVEL)


def _mixed_second_differences(values: np.ndarray) -> np.ndarray:
    """Differences between columns, then between rows; unsigned numbers wrap around."""
    between_columns = values.copy()
    between_columns[:, 1:] -= values[:, :-1]
    between_both = between_columns.copy()
    between_both[1:] -= between_columns[:-1]
    return between_both


def _lens_record(camera: Camera | None, width: int) -> dict[str, Any] | None:
    """Lens for the JSON; None if the page cannot draw it."""
    if camera is None or not isinstance(camera.lens, Pinhole | Equirectangular):
        return None
    name, numbers = lens_on_pages(camera)
    intrinsics = dict(zip(("fx", "fy", "cx", "cy"), map(float, numbers), strict=True))
    return {"lens": name, **intrinsics, "goes_round": goes_round(camera, width)}


def _range_terms_record(prediction: Prediction) -> Any:
    """Terms from which the page computes ranges of sizes; None without camera or depth."""
    if prediction.camera is None or not prediction.depth.is_depth:
        return None
    return json.loads(to_json(page_terms(prediction, floor=False)))  # the page finds the floor


def coarse_prediction(model: Model, inference: Inference, photo: Photo, step: int) -> Prediction:
    """Finish an inference for the photograph reduced ``step`` times."""
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
    """Write the photograph as a small JPEG, for lists of results."""
    photo = prediction.photo
    assert photo is not None, "made by a model"
    return shrunken_jpeg(photo.pixels, _MAX_THUMBNAIL_SIDE)


def shrunken_jpeg(pixels: np.ndarray, side: int) -> bytes:
    """Write a JPEG whose longer side has at most ``side`` pixels."""
    image = Image.fromarray(pixels)
    # Reducing by an integer first is quick.
    image = image.reduce(max(1, max(image.size) // side))
    image.thumbnail((side, side), Image.Resampling.BOX)
    stream = BytesIO()
    image.save(stream, "JPEG", quality=_JPEG_QUALITY)
    return stream.getvalue()
