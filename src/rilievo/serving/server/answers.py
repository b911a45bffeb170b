"""Streams: frames over a WebSocket, each answered with JSON and its depth, or an error."""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from rilievo.errors import NoDepthError
from rilievo.io.outputs.writing import with_nan
from rilievo.models.base import Inference, Model
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.finishing import finish, is_depth_sufficient
from rilievo.predicting.photographs.named_camera import with_camera
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from rilievo.serving.listener.connections import client_name
from rilievo.serving.listener.request_refusals import GivenUp, RefusalResponse
from rilievo.serving.server.params import StreamParams, read_params
from rilievo.serving.server.service import ImageJob, Service, client_notes
from rilievo.serving.server.uploads import Upload

_IDLE_SECONDS = 60.0
"""Time without a frame after which a stream ends [s]."""
_SEND_SECONDS = 20.0
"""Time in which a client has to read an answer [s]."""
_NORMAL, _TOO_BIG, _GONE = 1000, 1009, 1001
"""Codes for the end of a WebSocket (RFC 6455)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameDepth:
    """Answer for a frame: its description, and depth as the content of an npy file."""

    description: Mapping[str, object]
    content: bytes


def frame_depth(
    model: Model, inference: Inference, photo: Photo, options: PredictOptions
) -> FrameDepth:
    """Finish the depth of a frame; invalid pixels are NaN.

    Raises:
        NoDepthError: If the model gives no depth.
    """
    prediction = finish(model, inference, photo, options)
    depth = prediction.depth_or_none
    if depth is None:
        raise NoDepthError("this model gives no depth: a stream is of depth")
    height, width = depth.shape
    unit = "metre" if depth.kind is DepthKind.METRIC else "arbitrary"
    description = {
        "kind": depth.kind.value,
        "unit": unit,
        "width": width,
        "height": height,
        "notes": client_notes(prediction),
    }
    file = BytesIO()
    np.save(file, with_nan(depth.values, depth.valid), allow_pickle=False)
    return FrameDepth(description=description, content=file.getvalue())


@dataclass(frozen=True, slots=True)
class _Frame:
    number: int
    content: bytes
    passed_over: int
    """Number of frames that were dropped just before it."""


class _FrameBuffer:
    """Buffer for one frame, between the task that receives frames and the one that answers.

    With ``newest``, a new frame replaces one that still waits; otherwise it waits itself.
    """

    def __init__(self, *, newest: bool) -> None:
        self._newest = newest
        self._change = asyncio.Condition()
        self._frame: _Frame | None = None
        self._count, self._is_over = 0, False

    async def put(self, content: bytes) -> int:
        """Put a frame into the buffer; return the number of frames that it replaces, 0 or 1."""
        async with self._change:
            if not self._newest:
                await self._change.wait_for(lambda: self._frame is None or self._is_over)
            replaced = self._frame
            passed_over = 0 if replaced is None else replaced.passed_over + 1
            self._frame = _Frame(self._count, content, passed_over)
            self._count += 1
            self._change.notify_all()
            return int(replaced is not None)

    async def take(self) -> _Frame | None:
        """Wait for a frame and take it; None at the end of the stream."""
        async with self._change:
            await self._change.wait_for(lambda: self._frame is not None or self._is_over)
            frame, self._frame = self._frame, None
            self._change.notify_all()
            return frame

    async def end(self) -> None:
        async with self._change:
            self._is_over = True
            self._change.notify_all()


async def stream(websocket: WebSocket, service: Service) -> None:
    """Answer frames until the client leaves, or sends none for a minute."""
    try:
        arguments = read_params(StreamParams, websocket.query_params.multi_items(), {})
        _ = arguments.options  # checks them
        service.offered.server_name(arguments.model)
        client = client_name("" if websocket.client is None else websocket.client.host)
        counted = ExitStack()
        counted.enter_context(service.streams.counted(client))
    except Exception as error:
        await RefusalResponse(service.refusal_of(error))(
            websocket.scope, websocket.receive, websocket.send
        )
        return
    with counted, suppress(WebSocketDisconnect):
        await websocket.accept()
        await _Stream(websocket, service, arguments, client).run()


class _Stream:
    """Stream of frames of one client."""

    def __init__(
        self, websocket: WebSocket, service: Service, request: StreamParams, client: str
    ) -> None:
        self._socket, self._service, self._client = websocket, service, client
        self._options = request.options
        self._frames = _FrameBuffer(newest=request.frames == "newest")
        model = service.offered.video_name(request.model)
        self._display_name = service.offered.display_name(model)
        self._variant = request.variant(service.offered.server_name(model))

    async def run(self) -> None:
        """Receive and answer frames until the stream ends."""
        receiving = asyncio.create_task(self._receive())
        try:
            while (frame := await self._frames.take()) is not None:
                await self._predict_and_send(frame)
            code, reason = await receiving
        except (WebSocketDisconnect, TimeoutError):
            return
        finally:
            receiving.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect):
                await receiving
        if self._socket.application_state is WebSocketState.CONNECTED:
            with suppress(RuntimeError):
                await self._socket.close(code, reason)

    async def _receive(self) -> tuple[int, str]:
        """Receive frames until the stream ends; return the code and the reason for it."""
        try:
            while True:
                async with asyncio.timeout(_IDLE_SECONDS):
                    message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return _GONE, "the client left"
                content = message.get("bytes")
                if content is None:
                    return _NORMAL, "frames are binary messages"
                if len(content) > self._service.options.max_bytes:
                    return _TOO_BIG, "the frame is too large"
                for _ in range(await self._frames.put(content)):
                    self._service.metrics.count_frame("passed_over")
        except TimeoutError:
            return _NORMAL, f"no frame for {_IDLE_SECONDS:g} s"
        finally:
            await self._frames.end()

    async def _predict_and_send(self, frame: _Frame) -> None:
        """Answer a frame with its depth, or with an error."""
        start = time.monotonic()
        reply: dict[str, object] = {"frame": frame.number, "passed_over": frame.passed_over}
        answer: FrameDepth | None = None
        try:
            answer = await self._predict_frame(frame.content)
        except GivenUp:
            raise WebSocketDisconnect from None
        except Exception as error:
            reply["error"] = self._service.refusal_of(error).line
        else:
            reply |= {"model": self._display_name, **answer.description}
            reply["seconds"] = round(time.monotonic() - start, 4)
        self._service.metrics.count_frame("refused" if answer is None else "answered")
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await self._socket.send_text(json.dumps(reply))
                if answer is not None:
                    await self._socket.send_bytes(answer.content)
        except RuntimeError:  # the connection was closed meanwhile
            raise WebSocketDisconnect from None

    async def _predict_frame(self, content: bytes) -> FrameDepth:
        """Predict the depth of a frame, which takes a slot as a request does."""
        service, variant, options = self._service, self._variant, self._options

        async def infer_and_finish(job: ImageJob) -> FrameDepth:
            photo = await service.decode_photo(
                job, own_depth=options.sizes.reads_own_depth, reading=variant.refine.reading
            )
            photo = with_camera(photo, options.view.named_camera, options.view.fov)
            depth_alone = is_depth_sufficient(options, (), photo)
            frame_variant = replace(variant, depth_alone=depth_alone)
            inference = await service.networks.infer(
                frame_variant, photo, lambda: not job.is_given_up
            )
            model = await service.networks.model(variant)
            return await service.run_in_job_pool(
                job, lambda: frame_depth(model, inference, photo, options)
            )

        job = await service.new_job(Upload(BytesIO(content), name="frame"), self._client)
        slots, never = service.slots(is_heavy=job.is_heavy), asyncio.Future[None]()
        return await service.jobs.run_in_slot(slots, job, infer_and_finish, never)
