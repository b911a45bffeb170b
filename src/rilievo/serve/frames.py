"""Frames of a stream as messages: facts as JSON, then depth as bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from rilievo.errors import NoDepthError
from rilievo.io.colour import colourise
from rilievo.io.formats.colour import picture_range
from rilievo.io.formats.png16 import coding_of, encode
from rilievo.io.photo import read_photo
from rilievo.io.stored import with_nan
from rilievo.io.writing import SaveOptions
from rilievo.models.base import Inference, Model
from rilievo.predicting.focal import with_camera
from rilievo.predicting.options import PredictOptions
from rilievo.serve.asked import StreamAsked
from rilievo.serve.uploads import NamedImage
from rilievo.types import DepthKind, DepthMap, Photo

_QUALITY = 85


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Depth of a frame."""

    facts: Mapping[str, object]
    content: bytes


def options_of(asked: StreamAsked) -> PredictOptions:
    """The same as options of ``rilievo predict``, checked by its rules."""
    return PredictOptions(camera=asked.camera, fov=asked.fov, colour_map=asked.colour_map)


def read_frame(content: bytes, options: PredictOptions, *, max_pixels: int) -> Photo:
    """Read a frame, with the camera of the stream."""
    photo = read_photo(NamedImage(content, "frame"), max_pixels=max_pixels, own_depth=False)
    return with_camera(photo, options.given_camera, options.fov)


def answer_frame(model: Model, inference: Inference, photo: Photo, asked: StreamAsked) -> Answer:
    """Bring an answer to the frame's size and into the format of the stream."""
    depth = model.finish(inference, photo).depth_or_none
    if depth is None:
        raise NoDepthError("this model gives no depth: a stream is of depth")
    height, width = depth.shape
    unit = "metre" if depth.kind is DepthKind.METRIC else "arbitrary"
    facts = {"kind": depth.kind.value, "unit": unit, "width": width, "height": height}
    if asked.format == "jpeg":
        return Answer(facts=facts, content=_jpeg(depth, asked.colour_map))
    if asked.format == "png16":
        return _png16(depth, facts)
    stream = BytesIO()
    np.save(stream, with_nan(depth.values, depth.valid), allow_pickle=False)
    return Answer(facts=facts, content=stream.getvalue())


def _jpeg(depth: DepthMap, colour_map: str) -> bytes:
    options = SaveOptions(colour_map=colour_map)
    limits = picture_range(depth, options)
    picture = colourise(depth, colour_map=colour_map, limits=limits, what=options.draw)
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def _png16(depth: DepthMap, facts: Mapping[str, object]) -> Answer:
    inside = depth.values[depth.valid]
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (1.0, 1.0)
    coding = coding_of(depth.kind, low, high)
    stream = BytesIO()
    Image.fromarray(encode(depth, coding)).save(stream, "PNG", compress_level=1)
    said = {**facts, "scale": coding.scale, "offset": coding.offset, "invalid": 0}
    return Answer(facts=said, content=stream.getvalue())
