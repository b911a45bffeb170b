"""Streams of frames over a WebSocket. Each frame is answered with JSON and depth, or an error."""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from io import BytesIO
from typing import NamedTuple

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
from rilievo.serving.listener.connections import request_client
from rilievo.serving.listener.request_refusals import JobCancelled, RefusalResponse
from rilievo.serving.server.params import StreamParams, read_params
from rilievo.serving.server.service import ImageJob, Service, client_notes
from rilievo.serving.server.uploads import Upload

_IDLE_SECONDS = 60.0
"""Time without a frame after which a stream ends [s]."""
_SEND_SECONDS = 20.0
"""Time in which a client has to read an answer [s]."""


class _ClosingCode(IntEnum):
    """Codes with which a WebSocket is closed (RFC 6455, section 7.4)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    MESSAGE_TOO_BIG = 1009


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameDepth:
    """Depth of a frame.

    Attributes:
        description: Kind, unit, size and notes, for JSON.
        npy: Depth as the content of an npy file.
    """

    description: Mapping[str, object]
    npy: bytes


def frame_depth(
    model: Model, inference: Inference, photo: Photo, options: PredictOptions
) -> FrameDepth:
    """Turn the output of a network into the depth of a frame; invalid pixels are NaN."""
    prediction = finish(model, inference, photo, options)
    depth = prediction.depth_or_none
    if depth is None:
        raise NoDepthError("this model predicts no depth, which streams need: use another model")
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
    return FrameDepth(description=description, npy=file.getvalue())


@dataclass(frozen=True, slots=True)
class _Frame:
    """Frame that a client sent.

    Attributes:
        index: Position among all frames of the stream, from 0.
        content: Image file.
        num_dropped: Number of frames that were dropped just before it.
    """

    index: int
    content: bytes
    num_dropped: int


class _StreamEnd(NamedTuple):
    """Why a stream ends, as the client is told when its WebSocket is closed."""

    code: _ClosingCode
    reason: str


class _FrameBuffer:
    """Queue of at most one frame, between the task that receives frames and the one that answers.

    A frame may arrive while an older one still waits in the buffer. With ``drops_older``, it takes
    the place of the older one, which is never answered. Otherwise ``put`` waits until the buffer is
    empty, so that the client cannot send faster than frames are answered.
    """

    def __init__(self, *, drops_older: bool) -> None:
        self._drops_older = drops_older
        self._change = asyncio.Condition()
        self._frame: _Frame | None = None
        self._num_received = 0
        self._is_over = False

    async def put(self, content: bytes) -> bool:
        """Put a frame into the buffer; return whether it replaced one that nobody took."""
        async with self._change:
            if not self._drops_older:
                await self._change.wait_for(lambda: self._frame is None or self._is_over)
            replaced = self._frame
            num_dropped = 0 if replaced is None else replaced.num_dropped + 1
            self._frame = _Frame(self._num_received, content, num_dropped)
            self._num_received += 1
            self._change.notify_all()
            return replaced is not None

    async def take(self) -> _Frame | None:
        """Wait for a frame and take it; return None at the end of the stream."""
        async with self._change:
            await self._change.wait_for(lambda: self._frame is not None or self._is_over)
            frame = self._frame
            self._frame = None
            self._change.notify_all()
            return frame

    async def end(self) -> None:
        """Wake both tasks: no further frame can be put into the buffer."""
        async with self._change:
            self._is_over = True
            self._change.notify_all()


async def stream(websocket: WebSocket, service: Service) -> None:
    """Answer frames with their depth until the client leaves, or sends none for a minute.

    If the parameters are wrong or too many streams are open, the connection is refused.
    """
    open_stream = ExitStack()
    try:
        params = read_params(StreamParams, websocket.query_params.multi_items(), {})
        params.check_options()
        service.offered.server_name(params.model)  # raises for an unknown model
        client = request_client(websocket)
        open_stream.enter_context(service.streams.counted(client))
    except Exception as error:
        refuse = RefusalResponse(service.refusal_for(error))
        await refuse(websocket.scope, websocket.receive, websocket.send)
        return
    # From here on, leaving ``open_stream`` stops counting the stream.
    with open_stream, suppress(WebSocketDisconnect):
        await websocket.accept()
        await _Stream(websocket, service, params, client).run()


class _Stream:
    """Stream of frames of one client.

    One task receives frames, while another one predicts and answers the frame that came before.
    """

    def __init__(
        self, websocket: WebSocket, service: Service, params: StreamParams, client: str
    ) -> None:
        self._socket = websocket
        self._service = service
        self._client = client
        self._options = params.options
        self._frames = _FrameBuffer(drops_older=params.frames == "newest")
        model = service.offered.video_name(params.model)
        self._display_name = service.offered.display_name(model)
        self._variant = params.variant(service.offered.server_name(model))

    async def run(self) -> None:
        """Receive and answer frames until the stream ends."""
        receiving = asyncio.create_task(self._receive_frames())
        try:
            while (frame := await self._frames.take()) is not None:
                await self._predict_and_send(frame)
            end = await receiving
        except (WebSocketDisconnect, TimeoutError):  # the client has left, or does not read
            return
        finally:
            receiving.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect):
                await receiving
        if self._socket.application_state is WebSocketState.CONNECTED:
            with suppress(RuntimeError):  # the connection was closed meanwhile
                await self._socket.close(end.code, end.reason)

    async def _receive_frames(self) -> _StreamEnd:
        """Put frames into the buffer until the stream ends; return why it ends."""
        try:
            while True:
                async with asyncio.timeout(_IDLE_SECONDS):
                    message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return _StreamEnd(_ClosingCode.GOING_AWAY, "the client disconnected")
                content = message.get("bytes")
                if content is None:
                    reason = "frames must be binary messages, each with an image file"
                    return _StreamEnd(_ClosingCode.NORMAL, reason)
                if len(content) > self._service.options.max_bytes:
                    megabytes = self._service.options.max_megabytes
                    reason = f"the frame is larger than {megabytes:g} MB"
                    return _StreamEnd(_ClosingCode.MESSAGE_TOO_BIG, reason)
                has_dropped_frame = await self._frames.put(content)
                if has_dropped_frame:
                    self._service.metrics.count_frame("passed_over")
        except TimeoutError:
            return _StreamEnd(_ClosingCode.NORMAL, f"no frame arrived for {_IDLE_SECONDS:g} s")
        finally:
            await self._frames.end()

    async def _predict_and_send(self, frame: _Frame) -> None:
        """Answer a frame with its depth, or with an error."""
        start = time.monotonic()
        reply: dict[str, object] = {"frame": frame.index, "passed_over": frame.num_dropped}
        depth: FrameDepth | None = None
        try:
            depth = await self._predict_frame(frame.content)
        except JobCancelled:  # nobody waits for the answer, so the stream ends too
            raise WebSocketDisconnect from None
        except Exception as error:
            reply["error"] = self._service.refusal_for(error).line
        else:
            reply |= {"model": self._display_name, **depth.description}
            reply["seconds"] = round(time.monotonic() - start, 4)
        self._service.metrics.count_frame("refused" if depth is None else "answered")
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await self._socket.send_text(json.dumps(reply))
                if depth is not None:
                    await self._socket.send_bytes(depth.npy)
        except RuntimeError:  # the connection was closed meanwhile
            raise WebSocketDisconnect from None

    async def _predict_frame(self, content: bytes) -> FrameDepth:
        """Predict the depth of a frame, which waits for a slot as a request does."""
        service = self._service
        variant = self._variant
        options = self._options

        async def decode_and_predict(job: ImageJob) -> FrameDepth:
            """Work that runs once the frame has a slot: decode, run the network, postprocess."""
            photo = await service.decode_photo(
                job, own_depth=options.sizes.reads_own_depth, reading=variant.refine.reading
            )
            photo = with_camera(photo, options.view.named_camera, options.view.fov)
            needs_only_depth = is_depth_sufficient(options.sizes, (), photo)
            frame_variant = replace(variant, depth_alone=needs_only_depth)
            inference = await service.networks.infer(
                frame_variant, photo, is_wanted=lambda: not job.is_cancelled
            )
            # Postprocessing is the same for all variants of a model.
            model = await service.networks.model(variant)
            return await service.run_in_job_pool(
                job, lambda: frame_depth(model, inference, photo, options)
            )

        job = await service.create_job(Upload(BytesIO(content), name="frame"), self._client)
        slots = service.slots(is_heavy=job.is_heavy)
        # This future never completes: ``_receive_frames`` notices if the client leaves.
        disconnect = asyncio.Future[None]()
        return await service.jobs.run_in_slot(slots, job, decode_and_predict, disconnect)
