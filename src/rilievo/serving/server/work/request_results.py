"""Predictions of requests, in metres where a size is known."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rilievo.calibration.readings import Pixel, share_note, value_at
from rilievo.errors import CalibrationError, OptionError, needing
from rilievo.io.json_record import to_json
from rilievo.io.outputs.sidecar import describe
from rilievo.messages import parameter, worded
from rilievo.models.base import Inference, Model
from rilievo.predicting.photographs.finishing import finish as finished
from rilievo.predicting.run import without_output
from rilievo.prediction import Prediction
from rilievo.prediction.output import Need
from rilievo.prediction.saving import parts_of
from rilievo.serving.listener.work.turns import RequestJob
from rilievo.serving.server.requests.asked import Asked, Point
from rilievo.serving.server.requests.uploads import Upload
from rilievo.serving.server.work.answer_files import at_most
from rilievo.types import Photo


def check_image(upload: Upload, request: Asked) -> None:
    """Refuse a request without an image or a package."""
    if request.options.sizes.markers is not None:
        with needing("", "markers", option="markers"):
            import cv2  # noqa: F401
    if not upload.size:
        raise OptionError("no image: send its bytes as the body, or as the file 'image' of a form")


def finish(
    model: Model,
    inference: Inference,
    photo: Photo,
    request: Asked,
    *,
    shown: str,
    outputs: Sequence[str] | None = None,
) -> Prediction:
    """Resize an answer to the photograph, and note unused options."""
    prediction = finished(model, inference, photo, request.options)
    if outputs is not None:
        names = at_most(outputs)
        notes = without_output(request.options, names)
        prediction = prediction.but(notes=(*prediction.notes, *notes))
        if Need.NORMALS not in parts_of(names):
            prediction = prediction.but(normals=None)
    return prediction.but(made_by=replace(prediction.made_by, model=shown))


def notes_of(prediction: Prediction) -> list[str]:
    """Notes with the names of parameters."""
    return [worded(note, parameter) for note in prediction.notes]


def record(prediction: Prediction, points: list[Point]) -> dict[str, object]:
    """JSON of a prediction."""
    facts: dict[str, object] = json.loads(to_json(describe(prediction)))
    for name in ("files", "earlier", "run"):  # of files on a disk
        facts.pop(name, None)
    if points:
        facts["at"] = [_value(prediction, u, v) for u, v in points]
    note = share_note(points, prediction.shape)
    return {**facts, "notes": [*notes_of(prediction), *filter(None, [note])]}


def _value(prediction: Prediction, u: float, v: float) -> dict[str, float]:
    if prediction.depth_or_none is None:
        raise CalibrationError("this model gives no depth, so points have no value")
    value = value_at(prediction.depth, Pixel(u, v, f"the point {u:g},{v:g}"))
    return {"u": u, "v": v, "value": value}


@dataclass(slots=True, kw_only=True)
class ImageJob(RequestJob):
    """Request at work on an image.

    Attributes:
        upload: Image and form.
        inference: Answer of the network, if known already.
    """

    upload: Upload
    inference: Inference | None = None

    def close(self) -> None:
        """Close it."""
        self.upload.close()
