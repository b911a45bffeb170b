"""Routes of the server."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from html import escape
from typing import Protocol, runtime_checkable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from rilievo.measure.extents import Extents
from rilievo.measure.measured_record import (
    measure_points,
    measured_record,
    origin_record,
    region_record,
)
from rilievo.messages import parameter, worded
from rilievo.serving.listener.guard import Guard
from rilievo.serving.listener.request_refusals import Refusal, RefusalResponse
from rilievo.serving.server.endpoints import Endpoint, answering, client_of, left
from rilievo.serving.server.openapi import document
from rilievo.serving.server.requests.asked import (
    MeasureAsked,
    PredictAsked,
    output_names,
    read_asked,
)
from rilievo.serving.server.requests.uploads import Upload
from rilievo.serving.server.streaming import stream
from rilievo.serving.server.work.answer_files import JSON
from rilievo.serving.server.work.file_responses import file_answer
from rilievo.serving.server.work.request_results import notes_of, record
from rilievo.serving.server.work.service import Service
from rilievo.version import VERSION

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>rilievo</title>
<h1>rilievo</h1>
<p>Depth, normals, surfaces and measurements of a photograph that is sent. Nothing is kept.</p>
<pre>
{lines}
</pre>
<p>Every address and parameter: <a href="{root}openapi.json">openapi.json</a>.
Models: <a href="{root}v1/models">v1/models</a>.</p>
</html>
"""
_PHOTO = "--data-binary @photo.jpg"


def guide_page(root: str, *, needs_token: bool) -> str:
    """Page about how to call the server at an address."""
    curl = "curl -H 'Authorization: Bearer TOKEN'" if needs_token else "curl"
    lines = (
        f"{curl} {_PHOTO} '{root}v1/predict?at=320,240'",
        f"{curl} {_PHOTO} '{root}v1/predict?save=colour' -o depth.png",
        f"{curl} {_PHOTO} '{root}v1/predict?save=glb' -o surface.glb",
        f"{curl} {_PHOTO} '{root}v1/measure?known=320,240,2.35&at=100,200&at=300,210'",
    )
    return _PAGE.format(root=escape(root), lines=escape("\n".join(lines)))


_WEBSOCKET = {"Upgrade": "websocket", "Connection": "Upgrade"}


@runtime_checkable
class Extension(Protocol):
    """Further routes with their work."""

    def routes(self) -> Sequence[BaseRoute]:
        """Routes after those of the server."""
        ...

    def running(self) -> AbstractAsyncContextManager[None]:
        """Context while requests are answered."""
        ...


def application(
    service: Service, tokens: tuple[str, ...] = (), extension: Extension | None = None
) -> ASGIApp:
    """ASGI application of the server."""

    async def stream_endpoint(websocket: WebSocket) -> None:
        await stream(websocket, service)

    guide = answering(service, _guide(needs_token=bool(tokens)))
    routes = [
        Route("/v1/predict", answering(service, _predict), methods=["POST"]),
        Route("/v1/measure", answering(service, _measure), methods=["POST"]),
        Route("/v1/models", answering(service, _models), methods=["GET"]),
        WebSocketRoute("/v1/stream", stream_endpoint),
        Route("/v1/stream", answering(service, _no_stream), methods=["GET"]),
        Route("/healthz", answering(service, _health), methods=["GET"]),
        Route("/metrics", answering(service, _metrics(for_all=bool(tokens))), methods=["GET"]),
        Route("/openapi.json", answering(service, _openapi()), methods=["GET"]),
        Route("/docs", guide, methods=["GET"], name="A page with lines to try."),
        *([Route("/", guide, methods=["GET"], name="The same.")] if extension is None else []),
        *(() if extension is None else extension.routes()),
    ]

    app = Starlette(
        routes=routes,
        lifespan=lambda app: _running(service, extension),
        exception_handlers={HTTPException: _unknown_route},
    )
    app.router.redirect_slashes = False
    return Guard(
        app,
        tokens=tokens,
        hosts=service.options.host_names,
        origins=service.options.calling_origins,
        observe=_observer(service, {getattr(route, "path", "") for route in routes}),
    )


@asynccontextmanager
async def _running(service: Service, extension: Extension | None) -> AsyncIterator[None]:
    tidying = asyncio.create_task(service.tidy())
    try:
        async with nullcontext() if extension is None else extension.running():
            yield
    finally:
        tidying.cancel()
        await service.close()


async def _predict(service: Service, request: Request) -> Response:
    # What can be refused without the image is refused before it is sent.
    arguments = read_asked(PredictAsked, request.query_params.multi_items(), {})
    client = client_of(request)
    upload = await _uploaded(service, request, client, output_names(arguments.save))
    try:
        arguments = read_asked(PredictAsked, request.query_params.multi_items(), upload.fields)
        outputs, points = output_names(arguments.save), arguments.points()
        _ = arguments.options, arguments.saving, service.offered.named(arguments.model)
    except BaseException:
        upload.close()
        raise
    job = await service.job(upload, client, outputs)
    turns = service.turns(is_heavy=job.is_heavy)
    if outputs == (JSON,):
        result = await service.jobs.in_turn(
            turns,
            job,
            lambda job: service.predict(job, arguments, outputs=outputs),
            left(request),
        )
        answer = await service.in_worker(lambda: record(result, points))
        return JSONResponse(answer)
    result, written = await service.jobs.in_turn(
        turns,
        job,
        lambda job: service.files(job, arguments, outputs),
        left(request),
        unused=lambda result: result[1].remove(),
    )
    return file_answer(result, written, service.options.limits.download_seconds)


async def _measure(service: Service, request: Request) -> Response:
    read_asked(MeasureAsked, request.query_params.multi_items(), {})
    client = client_of(request)
    upload = await _uploaded(service, request, client)
    try:
        arguments = read_asked(MeasureAsked, request.query_params.multi_items(), upload.fields)
        regions = arguments.regions()
        what, points = ("", []) if regions else arguments.quantity()
        _ = arguments.options, service.offered.named(arguments.model)
    except BaseException:
        upload.close()
        raise
    job = await service.job(upload, client)
    prediction = await service.jobs.in_turn(
        service.turns(is_heavy=job.is_heavy),
        job,
        lambda job: service.predict(job, arguments),
        left(request),
    )

    words = partial(worded, spell=parameter)

    def measured() -> dict[str, object]:
        if regions:
            extents = Extents(prediction)
            things = [extents.measure(region) for region in regions]
            remarks = dict.fromkeys(words(remark) for thing in things for remark in thing.remarks)
            return {
                "things": [region_record(thing, words) for thing in things],
                **origin_record(prediction),
                "notes": (*notes_of(prediction), *remarks),
            }
        measurement = measure_points(prediction, points, what, in_plane=arguments.in_plane)
        answer = measured_record(measurement, prediction, words)
        return {**answer, "notes": (*notes_of(prediction), *map(words, measurement.remarks))}

    return JSONResponse(await service.in_worker(measured))


async def _models(service: Service, request: Request) -> Response:
    return JSONResponse({"models": service.offered.facts()})


async def _no_stream(service: Service, request: Request) -> Response:
    raise Refusal(426, "a stream is a WebSocket: open it as ws:// or wss://", _WEBSOCKET)


async def _health(service: Service, request: Request) -> Response:
    return JSONResponse({"status": "ok", "version": VERSION})


def _metrics(*, for_all: bool) -> Endpoint:
    """Counters, for this machine alone unless ``for_all``."""

    async def metrics(service: Service, request: Request) -> Response:
        if not (for_all or _is_loopback(request)):
            raise Refusal(403, "metrics are for the machine of the server, or need a token")
        return Response(service.metrics.text(), media_type=service.metrics.content_type)

    return metrics


def _guide(*, needs_token: bool) -> Endpoint:
    async def guide(service: Service, request: Request) -> Response:
        return HTMLResponse(guide_page(str(request.base_url), needs_token=needs_token))

    return guide


def _openapi() -> Endpoint:
    content = b""

    async def openapi(service: Service, request: Request) -> Response:
        nonlocal content
        if not content:
            content = JSONResponse(document(request.app.routes, service.options.root_path)).body
        return Response(content, media_type=JSONResponse.media_type)

    return openapi


def _is_loopback(request: Request) -> bool:
    try:
        host = ipaddress.ip_address("" if request.client is None else request.client.host)
    except ValueError:
        return False
    return (getattr(host, "ipv4_mapped", None) or host).is_loopback


async def _uploaded(
    service: Service, request: Request, client: str, outputs: Sequence[str] = ()
) -> Upload:
    """Read the body, unless its request could not wait."""
    length = request.headers.get("content-length", "")
    size = int(length[:20]) if length.isdecimal() else 0
    service.turns(is_heavy=service.is_heavy(size, outputs)).check()
    return await service.uploads.read(request, client)


def _unknown_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for it"
    allowed = (error.headers or {}).get("Allow", "others")
    lines = {
        404: "no such address; /docs has lines to try, /openapi.json lists all there are",
        405: f"no method {request.method} here, but {allowed}",
    }
    line = lines.get(error.status_code, "the request cannot be read")
    return RefusalResponse(Refusal(error.status_code, line, error.headers))


def _observer(service: Service, routes: set[str]) -> Callable[[str, int, float], None]:
    def observe(path: str, status: int, seconds: float) -> None:
        # Unknown paths are one: clients do not choose the names of counters.
        service.metrics.request(path if path in routes else "other", status, seconds)

    return observe
