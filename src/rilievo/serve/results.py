"""Predictions of requests, in metres where these are known, and answers that send their files."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import cast

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from rilievo.calibration.readings import Pixel, value_at
from rilievo.errors import CalibrationError, OptionError, needing, one_line
from rilievo.io.json_record import to_json
from rilievo.io.sidecar import describe
from rilievo.models.base import Inference, Model
from rilievo.models.trimming import border_note
from rilievo.predicting.focal import with_camera
from rilievo.predicting.metres import in_metres, trust
from rilievo.predicting.units import unit_notes
from rilievo.serve.asked import Asked, Point
from rilievo.serve.files import Written
from rilievo.serve.refusals import in_request_words
from rilievo.serve.uploads import Upload
from rilievo.types import Photo, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished prediction."""

    prediction: Prediction
    remarks: tuple[str, ...]


def check_image(upload: Upload, asked: Asked) -> None:
    """Refuse a request without an image, or one for markers where they cannot be found."""
    if asked.markers is not None:
        with needing("markers", "markers"):
            import cv2  # noqa: F401
    if not upload.size:
        raise OptionError("no image: send its bytes as the body, or as the file 'image' of a form")


def needs_own_depth(asked: Asked) -> bool:
    """Whether the depth that a photograph's file holds may give metres."""
    return asked.own_depth == "on" and not (asked.metres() or asked.markers)


def with_named_camera(photo: Photo, asked: Asked) -> Photo:
    """The photograph with the camera that the request names."""
    return with_camera(photo, asked.options().given_camera, asked.fov)


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
    metres = asked.metres()
    prediction = model.finish(inference, photo)
    own = photo.own_depth if asked.own_depth == "on" else None
    prediction, remark = in_metres(prediction, metres, markers=asked.markers, own=own)
    remarks = [remark, border_note(model, photo), photo.animation_note]
    remarks += unit_notes(metres.known, asked.camera_height, asked.fov)
    if prediction.calibration is not None:
        remarks.append(trust(prediction.calibration))
    if without_normals:
        # Only now: sharpening asks the network's normals, whatever is written.
        prediction = prediction.but(normals=None)
    made_by = replace(prediction.made_by, model=shown)
    words = tuple(in_request_words(each) for each in filter(None, remarks))
    return Result(prediction=prediction.but(made_by=made_by), remarks=words)


def record(result: Result, points: list[Point]) -> dict[str, object]:
    """The JSON of a prediction."""
    said: dict[str, object] = json.loads(to_json(describe(result.prediction)))
    for name in ("files", "earlier", "run"):  # of files on a disk
        said.pop(name, None)
    if points:
        said["at"] = [_value(result.prediction, u, v) for u, v in points]
    return {**said, "remarks": list(result.remarks)}


def _value(prediction: Prediction, u: float, v: float) -> dict[str, float]:
    if prediction.depth_or_none is None:
        raise CalibrationError("this model gives no depth, so points have no value")
    value = value_at(prediction.depth, Pixel(u, v, f"the point {u:g},{v:g}"))
    return {"u": u, "v": v, "value": value}


_LONGEST_REMARKS = 1000


def file_answer(result: Result, written: Written, seconds: float | int) -> Response:
    """The answer that sends the outputs of a prediction."""
    headers = {"Content-Disposition": f'attachment; filename="{written.name}"'}
    depth = result.prediction.depth_or_none
    if depth is not None:
        headers["X-Depth-Kind"] = depth.kind.value
    if result.remarks:
        remarks = one_line(" | ".join(result.remarks)).encode("ascii", "replace").decode()
        headers["X-Remarks"] = remarks[:_LONGEST_REMARKS]
    if written.size is not None:
        headers["Content-Length"] = str(written.size)
    return TimedResponse(
        written.chunks(),
        headers=headers,
        media_type=written.media_type,
        seconds=seconds,
        tidy=lambda: asyncio.to_thread(written.remove),
    )


class TimedResponse(StreamingResponse):
    """Pieces sent within a time; what they are made of is removed at the end, however it comes."""

    def __init__(
        self,
        pieces: Iterator[bytes] | AsyncIterator[bytes],
        *,
        headers: Mapping[str, str],
        media_type: str,
        seconds: float | int,
        tidy: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(pieces, headers=headers, media_type=media_type)
        self._seconds, self._tidy = seconds, tidy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them, until the client leaves."""
        pieces = cast("AsyncGenerator[bytes]", self.body_iterator)
        try:
            async with asyncio.timeout(self._seconds), aclosing(pieces):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            return  # the connection is closed, as the answer is not complete
        finally:
            await self._tidy()
