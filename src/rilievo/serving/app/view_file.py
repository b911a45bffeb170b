"""File of a result for the page."""

import json
import math
from dataclasses import replace
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

_LEVEL = 1


def packed_lattice(
    depth: Shaped[np.ndarray, "h w"],
    normals: Shaped[np.ndarray, "3 h w"] | None,
    sky: Mask | None,
) -> bytes:
    """Compress a lattice by zlib: second differences pack 4.7 MB to 1.3 MB.

    Args:
        depth: Depth, float32.
        normals: Normals in int8, 127 being 1.
        sky: Points without a surface.

    Returns:
        Four planes of the bytes of depth's differences, least significant first, sign in the lowest
        bit; three planes of the normals' differences; the sky as one bit a point.
    """
    differences = _mixed_second_differences(depth.astype("<f4").view("<u4")).view("<i4")
    folded = (differences << 1) ^ (differences >> 31)
    planes = [np.moveaxis(folded.view(np.uint8).reshape(*folded.shape, 4), 2, 0)]
    if normals is not None:
        planes.append(
            _mixed_second_differences(normals.view(np.uint8).reshape(-1, normals.shape[2]))
        )
    if sky is not None:
        planes.append(np.packbits(sky))
    return isal_zlib.compress(b"".join(plane.tobytes() for plane in planes), _LEVEL)


def _mixed_second_differences(values: np.ndarray) -> np.ndarray:
    along = values.copy()
    along[:, 1:] -= values[:, :-1]
    both = along.copy()
    both[1:] -= along[:-1]
    return both


_SIDE = 768
_PHOTO_SIDE, _PANORAMA_SIDE = 1600, 4096
"""Longer sides of the photograph [px]."""
_THUMBNAIL_SIDE = 192
_QUALITY = 88


def view_bytes(original: Prediction, name: str, model: Model, inference: Inference) -> bytes:
    """Page's file of a prediction: JSON, every n-th pixel, JPEG."""
    prediction = original.anchored if can_make_surface(original) else original
    depth, photo = prediction.depth, prediction.photo
    assert photo is not None, "made by a model"
    height, width = prediction.shape
    step = math.ceil(max(height, width) / _SIDE)
    down, across = (range(min(step - 1, side - 1) // 2, side, step) for side in (height, width))
    grid = slice(down.start, None, step), slice(across.start, None, step)
    values = with_nan(depth.values[grid], depth.valid[grid]).astype(np.float32)
    if photo.transparent is not None:
        values[photo.transparent[grid]] = np.inf
    normals = sky = None
    if prediction.has("normals") or prediction.has("sky"):
        shown = prediction if step == 1 else coarse_prediction(model, inference, photo, step)
        if not shown.depth.is_depth and prediction.depth.is_depth:
            shown = shown.but(anchoring=original.anchoring).anchored
        inside = np.s_[: len(down), : len(across)]
        if prediction.has("normals") and shown.normals is not None:
            normals = np.rint(np.nan_to_num(shown.normals[:, *inside]) * 127).astype(np.int8)
        if prediction.has("sky") and shown.sky is not None:
            sky = shown.sky[inside]
    lattice = packed_lattice(values, normals, sky)
    about: dict[str, Any] = prediction_record(original, [])
    about |= {
        "name": name,
        "shown_kind": depth.kind,
        "lattice": {
            "step": step,
            "rows": len(down),
            "columns": len(across),
            "first_row": down.start,
            "first_column": across.start,
        },
        "packed": len(lattice),
        "normals": normals is not None,
        "sky": sky is not None,
        "lens": _lens_record(prediction.camera, width),
        "terms": _range_terms_record(prediction),
        "outputs": [name for name in OUTPUTS.own if can_write_output(prediction, name)],
    }
    head = json.dumps(about).encode()
    is_panorama = about["lens"] is not None and about["lens"]["lens"] != "pinhole"
    picture = shrunken_jpeg(photo.pixels, _PANORAMA_SIDE if is_panorama else _PHOTO_SIDE)
    return b"".join((len(head).to_bytes(4, "little"), head, lattice, picture))


def _lens_record(camera: Camera | None, width: int) -> dict[str, Any] | None:
    """Lens for JSON; None unless pinhole or equirectangular."""
    if camera is None or not isinstance(camera.lens, Pinhole | Equirectangular):
        return None
    name, numbers = lens_on_pages(camera)
    named = dict(zip(("fx", "fy", "cx", "cy"), map(float, numbers), strict=True))
    return {"lens": name, **named, "goes_round": goes_round(camera, width)}


def _range_terms_record(prediction: Prediction) -> Any:
    """Terms of size ranges as JSON; None without camera or depth."""
    if prediction.camera is None or not prediction.depth.is_depth:
        return None
    return json.loads(to_json(page_terms(prediction, floor=False)))  # the page finds the floor


def coarse_prediction(model: Model, inference: Inference, photo: Photo, step: int) -> Prediction:
    """Finish an inference at a ``step``-th of the photograph's size."""
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
    """JPEG of the photograph, at most 192 pixels long."""
    photo = prediction.photo
    assert photo is not None, "made by a model"
    return shrunken_jpeg(photo.pixels, _THUMBNAIL_SIDE)


def shrunken_jpeg(pixels: np.ndarray, side: int) -> bytes:
    """JPEG whose longer side has at most ``side`` pixels."""
    image = Image.fromarray(pixels)
    image = image.reduce(max(1, max(image.size) // side))  # by a whole number, which is quick
    image.thumbnail((side, side), Image.Resampling.BOX)
    stream = BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
