"""Predictions of requests, in metres where a size is known."""

import json
from dataclasses import dataclass, replace

from rilievo.calibration.readings import Pixel, share_note, value_at
from rilievo.errors import CalibrationError, OptionError, needing
from rilievo.io.json_record import to_json
from rilievo.io.outputs.sidecar import describe
from rilievo.models.base import Inference, Model
from rilievo.models.processing.trimming import border_note
from rilievo.options.keyword_messages import with_keywords
from rilievo.predicting.photographs.anchored_depth import anchorable
from rilievo.predicting.photographs.metres import in_metres, trust
from rilievo.predicting.photographs.named_camera import with_camera
from rilievo.predicting.photographs.units import scale_notes, unit_notes
from rilievo.prediction import Prediction
from rilievo.serving.server.requests.asked import Asked, Point
from rilievo.serving.server.requests.uploads import Upload
from rilievo.types import Photo


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished prediction."""

    prediction: Prediction
    remarks: tuple[str, ...]


def check_image(upload: Upload, asked: Asked) -> None:
    """Refuse a request without an image, or one for markers where they cannot be found."""
    if asked.options.sizes.markers is not None:
        with needing("markers", "markers"):
            import cv2  # noqa: F401
    if not upload.size:
        raise OptionError("no image: send its bytes as the body, or as the file 'image' of a form")


def needs_own_depth(asked: Asked) -> bool:
    """Whether the depth that a photograph's file holds may give metres."""
    sizes = asked.options.sizes
    return bool(sizes.own_depth) and not (asked.metres or sizes.markers)


def with_named_camera(photo: Photo, asked: Asked) -> Photo:
    """The photograph with the camera that the request names."""
    return with_camera(photo, asked.options.view)


def finish(
    model: Model,
    inference: Inference,
    photo: Photo,
    asked: Asked,
    *,
    shown: str,
    without_normals: bool = False,
) -> Result:
    """Bring an answer to the photograph's size, and to metres where a size is known."""
    options, metres = asked.options, asked.metres
    prediction = model.finish(inference, photo)
    prediction = anchorable(prediction, options.surface, options.refine)
    own = photo.own_depth if options.sizes.own_depth else None
    prediction, remark = in_metres(prediction, metres, markers=options.sizes.markers, own=own)
    remarks = [remark, border_note(model, photo), *photo.notes]
    remarks += unit_notes(metres.known, metres.camera_height, options.view.fov)
    remarks += scale_notes(photo.camera, photo.shape, metres.known)
    if prediction.calibration is not None:
        remarks.append(trust(prediction.calibration))
    if without_normals:
        prediction = prediction.but(normals=None)
    made_by = replace(prediction.made_by, model=shown)
    words = tuple(with_keywords(each) for each in filter(None, remarks))
    return Result(prediction=prediction.but(made_by=made_by), remarks=words)


def record(result: Result, points: list[Point]) -> dict[str, object]:
    """The JSON of a prediction."""
    said: dict[str, object] = json.loads(to_json(describe(result.prediction)))
    for name in ("files", "earlier", "run"):  # of files on a disk
        said.pop(name, None)
    if points:
        said["at"] = [_value(result.prediction, u, v) for u, v in points]
    note = share_note(points, result.prediction.shape)
    return {**said, "remarks": [*result.remarks, *([] if note is None else [note])]}


def _value(prediction: Prediction, u: float, v: float) -> dict[str, float]:
    if prediction.depth_or_none is None:
        raise CalibrationError("this model gives no depth, so points have no value")
    value = value_at(prediction.depth, Pixel(u, v, f"the point {u:g},{v:g}"))
    return {"u": u, "v": v, "value": value}
