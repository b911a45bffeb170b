"""File of a result for the page.

Four bytes with the length of a JSON (little-endian), the JSON, the packed lattice, and the
photograph as JPEG. The lattice has every n-th pixel: depth as float32 (NaN: no depth, infinite:
transparent), normals as int8, and the sky (1: no surface). Affine depth is anchored.
"""

import json
import math
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from isal import isal_zlib
from PIL import Image

from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.surfaces.closing import goes_round
from rilievo.io.json_record import to_json
from rilievo.io.outputs.writing import with_nan
from rilievo.measure.terms import terms_of
from rilievo.models.base import Inference, Model
from rilievo.models.processing.refined import Trimmed
from rilievo.pages.surface_view.relief import lens_of
from rilievo.prediction import Prediction
from rilievo.prediction.anchored import can_be_anchored
from rilievo.prediction.output import OUTPUTS
from rilievo.serving.server.work.answer_files import can_give
from rilievo.serving.server.work.request_results import record
from rilievo.shapes import Mask, Shaped
from rilievo.types import Camera, Photo

_LEVEL = 1


def packed_lattice(
    depth: Shaped[np.ndarray, "h w"],
    normals: Shaped[np.ndarray, "3 h w"] | None,
    sky: Mask | None,
) -> bytes:
    """Compress fields of a lattice (zlib): second differences, which pack 4.7 MB to 1.3 MB.

    Args:
        depth: Depth, float32.
        normals: Normals in int8, 127 being 1.
        sky: Points without a surface.

    Returns:
        Four planes of the bytes of depth's differences, least significant first, sign in the lowest
        bit; three planes of the normals' differences; the sky as one bit a point.
    """
    differences = _second_differences(depth.astype("<f4").view("<u4")).view("<i4")
    folded = (differences << 1) ^ (differences >> 31)
    planes = [np.moveaxis(folded.view(np.uint8).reshape(*folded.shape, 4), 2, 0)]
    if normals is not None:
        planes.append(_second_differences(normals.view(np.uint8).reshape(-1, normals.shape[2])))
    if sky is not None:
        planes.append(np.packbits(sky))
    return isal_zlib.compress(b"".join(plane.tobytes() for plane in planes), _LEVEL)


def _second_differences(values: np.ndarray) -> np.ndarray:
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


def view_bytes(own: Prediction, name: str, model: Model, inference: Inference) -> bytes:
    """File of a prediction, with normals and sky at the page's size, as 12 megapixels are slow."""
    prediction = own.anchored if can_be_anchored(own) else own
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
        shown = prediction if step == 1 else thinned(model, inference, photo, step)
        if not shown.depth.is_depth and prediction.depth.is_depth:
            shown = shown.but(anchoring=own.anchoring).anchored
        inside = np.s_[: len(down), : len(across)]
        if prediction.has("normals") and shown.normals is not None:
            normals = np.rint(np.nan_to_num(shown.normals[:, *inside]) * 127).astype(np.int8)
        if prediction.has("sky") and shown.sky is not None:
            sky = shown.sky[inside]
    lattice = packed_lattice(values, normals, sky)
    about: dict[str, Any] = record(own, [])
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
        "lens": _lens(prediction.camera, width),
        "terms": _terms(prediction),
        "outputs": [name for name in OUTPUTS.own if can_give(prediction, name)],
    }
    head = json.dumps(about).encode()
    is_panorama = about["lens"] is not None and about["lens"]["lens"] != "pinhole"
    picture = jpeg(photo.pixels, _PANORAMA_SIDE if is_panorama else _PHOTO_SIDE)
    return b"".join((len(head).to_bytes(4, "little"), head, lattice, picture))


def _lens(camera: Camera | None, width: int) -> dict[str, Any] | None:
    if camera is None or not isinstance(camera.lens, Pinhole | Equirectangular):
        return None
    name, numbers = lens_of(camera)
    named = dict(zip(("fx", "fy", "cx", "cy"), map(float, numbers), strict=True))
    return {"lens": name, **named, "goes_round": goes_round(camera, width)}


def _terms(prediction: Prediction) -> Any:
    if prediction.camera is None or not prediction.depth.is_depth:
        return None
    return json.loads(to_json(terms_of(prediction, floor=False)))  # the page finds the floor


def thinned(model: Model, inference: Inference, photo: Photo, step: int) -> Prediction:
    """Finish an inference for every n-th pixel."""
    pixels = np.asarray(Image.fromarray(photo.pixels).reduce(step))
    camera = photo.camera or inference.camera
    if camera is not None:
        size = pixels.shape[0], pixels.shape[1]
        camera = camera.resized(size=photo.shape, new_size=size)
    if isinstance(model, Trimmed):
        model = Trimmed(model.model, model.margins(photo).reduced(step))
    small = Photo(pixels=pixels, camera=camera, name=photo.name)
    return model.finish(replace(inference, camera=None), small)


def thumbnail(prediction: Prediction) -> bytes:
    """Small JPEG of the photograph."""
    photo = prediction.photo
    assert photo is not None, "made by a model"
    return jpeg(photo.pixels, _THUMBNAIL_SIDE)


def jpeg(pixels: np.ndarray, side: int) -> bytes:
    """JPEG of at most ``side`` pixels."""
    image = Image.fromarray(pixels)
    image = image.reduce(max(1, max(image.size) // side))  # by a whole number, which is quick
    image.thumbnail((side, side), Image.Resampling.BOX)
    stream = BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
