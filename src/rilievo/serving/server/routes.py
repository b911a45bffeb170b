"""The routes of the server, and what each one answers."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from html import escape
from http import HTTPStatus
from typing import Protocol, runtime_checkable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from rilievo.errors.messages import spell_parameter, worded
from rilievo.measure.measurement_records import (
    measure_points,
    measurement_json,
    origin_record,
    region_record,
)
from rilievo.measure.region_measurer import RegionMeasurer
from rilievo.measure.regions import RegionLike
from rilievo.prediction import Prediction
from rilievo.serving.listener.connections import client_name
from rilievo.serving.listener.guard import Guard
from rilievo.serving.listener.request_refusals import (
    JobCancelled,
    Refusal,
    RefusalResponse,
    server_stopping_refusal,
)
from rilievo.serving.server.answer_files import JSON
from rilievo.serving.server.answers import stream
from rilievo.serving.server.file_responses import files_response
from rilievo.serving.server.openapi import openapi_document
from rilievo.serving.server.params import (
    MeasureParams,
    Point,
    PredictParams,
    parse_output_names,
    read_params,
)
from rilievo.serving.server.service import ImageJob, Service, client_notes, prediction_record
from rilievo.serving.server.uploads import Upload
from rilievo.version import VERSION

Endpoint = Callable[[Service, Request], Awaitable[Response]]
_CLIENT_LEFT = 499  # status for the counters alone; no client receives it


def turn_errors_into_refusals(
    service: Service, endpoint: Endpoint
) -> Callable[[Request], Awaitable[Response]]:
    """Wrap an endpoint so that its errors become refusals, which clients get as JSON."""

    async def answer_or_refuse(request: Request) -> Response:
        try:
            return await endpoint(service, request)
        except JobCancelled:
            return Response(status_code=_CLIENT_LEFT)
        except asyncio.CancelledError:  # uvicorn cancels what has not ended when it stops
            return RefusalResponse(server_stopping_refusal())
        except Exception as error:
            return RefusalResponse(service.refusal_for(error))

    return answer_or_refuse


def request_client(request: Request) -> str:
    """Name under which the client of a request is counted."""
    return client_name("" if request.client is None else request.client.host)


async def wait_for_disconnect(request: Request) -> None:
    """Wait until the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>rilievo</title>
<h1>rilievo</h1>
<p>Send a photograph to get its depth, normals, surface and measurements. Nothing is stored.</p>
<pre>
{lines}
</pre>
<p>All addresses and parameters: <a href="{root}openapi.json">openapi.json</a>.
Models: <a href="{root}v1/models">v1/models</a>.</p>
</html>
"""
_PHOTO = "--data-binary @photo.jpg"


def guide_page(root: str, *, needs_token: bool) -> str:
    """HTML page with example commands that call the server at the URL ``root``."""
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
    """Further routes of a server, such as those of the app."""

    def routes(self) -> Sequence[BaseRoute]:
        """Routes after those of the server."""
        ...

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Context that is open while the server answers requests."""
        ...


def application(
    service: Service, tokens: tuple[str, ...] = (), extension: Extension | None = None
) -> ASGIApp:
    """Make the ASGI application of a server; without ``tokens``, everybody may call it."""

    async def stream_endpoint(websocket: WebSocket) -> None:
        await stream(websocket, service)

    def route(address: str, endpoint: Endpoint, summary: str | None = None) -> BaseRoute:
        method, path = address.split()
        handler = turn_errors_into_refusals(service, endpoint)
        return Route(path, handler, methods=[method], name=summary)

    guide = _guide_endpoint(needs_token=bool(tokens))
    routes: list[BaseRoute] = [
        route("POST /v1/predict", _predict),
        route("POST /v1/measure", _measure),
        route("GET /v1/models", _list_models),
        WebSocketRoute("/v1/stream", stream_endpoint),
        route("GET /v1/stream", _refuse_stream_by_http),
        route("GET /healthz", _health_and_version),
        # Anyone who has a token may read the metrics; without tokens, only this machine may.
        route("GET /metrics", _metrics_endpoint(for_all=bool(tokens))),
        route("GET /openapi.json", _openapi_endpoint()),
        route("GET /docs", guide, "A page with examples."),
    ]
    if extension is None:
        routes.append(route("GET /", guide, "A page with examples, as at /docs."))
    else:
        routes += extension.routes()

    app = Starlette(
        routes=routes,
        lifespan=lambda app: _lifespan(service, extension),
        exception_handlers={HTTPException: _routing_error_response},
    )
    app.router.redirect_slashes = False  # /docs/ is unknown, and not redirected to /docs
    known_paths = {getattr(each, "path", "") for each in routes}
    return Guard(
        app,
        tokens=tokens,
        hosts=service.options.host_names,
        origins=service.options.calling_origins,
        observe=_request_counter(service, known_paths),
    )


@asynccontextmanager
async def _lifespan(service: Service, extension: Extension | None) -> AsyncIterator[None]:
    releasing = asyncio.create_task(service.release_memory_forever())
    try:
        async with nullcontext() if extension is None else extension.lifespan():
            yield
    finally:
        releasing.cancel()
        await service.close()


async def _predict(service: Service, request: Request) -> Response:
    """Answer with the JSON of a prediction, or with its outputs as files."""
    # Errors in the address are reported before the image is received.
    params = read_params(PredictParams, request.query_params.multi_items(), {})
    client = request_client(request)
    upload = await _read_upload_if_room(service, request, client, parse_output_names(params.save))
    try:
        params = read_params(PredictParams, request.query_params.multi_items(), upload.fields)
        outputs = parse_output_names(params.save)
        points = params.points()
        params.check_options()
        service.offered.server_name(params.model)  # raises for an unknown model
    except BaseException:
        upload.close()
        raise
    job = await service.create_job(upload, client, outputs)
    slots = service.slots(is_heavy=job.is_heavy)
    if outputs == (JSON,):
        record = await service.jobs.run_in_slot(
            slots,
            job,
            lambda job: _predict_and_describe(service, job, params, points),
            wait_for_disconnect(request),
        )
        return JSONResponse(record)
    prediction, written = await service.jobs.run_in_slot(
        slots,
        job,
        lambda job: service.predict_and_write(job, params, outputs),
        wait_for_disconnect(request),
        dispose=lambda result: result[1].remove(),
    )
    return files_response(prediction, written, service.options.limits.download_seconds)


async def _measure(service: Service, request: Request) -> Response:
    """Answer with a measurement at points, or with those of things in boxes."""
    read_params(MeasureParams, request.query_params.multi_items(), {})
    client = request_client(request)
    upload = await _read_upload_if_room(service, request, client)
    try:
        params = read_params(MeasureParams, request.query_params.multi_items(), upload.fields)
        regions = params.regions()
        if not regions:
            params.quantity()  # raises if it is not valid
        params.check_options()
        service.offered.server_name(params.model)  # raises for an unknown model
    except BaseException:
        upload.close()
        raise
    job = await service.create_job(upload, client)
    record = await service.jobs.run_in_slot(
        service.slots(is_heavy=job.is_heavy),
        job,
        lambda job: _predict_and_measure(service, job, params, regions),
        wait_for_disconnect(request),
    )
    return JSONResponse(record)


async def _predict_and_describe(
    service: Service, job: ImageJob, params: PredictParams, points: list[Point]
) -> dict[str, object]:
    prediction = await service.predict(job, params, outputs=(JSON,))
    job.raise_if_cancelled()
    return await service.run_in_job_pool(job, lambda: prediction_record(prediction, points))


async def _predict_and_measure(
    service: Service, job: ImageJob, params: MeasureParams, regions: Sequence[RegionLike]
) -> dict[str, object]:
    """Measure the objects in boxes, or at points if there are no boxes."""
    prediction = await service.predict(job, params)
    job.raise_if_cancelled()

    def measure() -> dict[str, object]:
        if regions:
            return _measure_regions(job, prediction, regions)
        return _points_record(prediction, params)

    return await service.run_in_job_pool(job, measure)


_format_remark = partial(worded, spell=spell_parameter)
"""Write a remark in which options are named as request parameters."""


def _measure_regions(
    job: ImageJob, prediction: Prediction, regions: Sequence[RegionLike]
) -> dict[str, object]:
    """Measure the objects in boxes, and return them for JSON; each remark is listed once."""
    measurer = RegionMeasurer(prediction)
    object_records = []
    remarks: list[str] = []
    for region in regions:
        job.raise_if_cancelled()
        measured_object = measurer.measure(region)
        object_records.append(region_record(measured_object, _format_remark))
        remarks += map(_format_remark, measured_object.remarks)
    return {
        "things": object_records,
        **origin_record(prediction),
        "notes": (*client_notes(prediction), *dict.fromkeys(remarks)),
    }


def _points_record(prediction: Prediction, params: MeasureParams) -> dict[str, object]:
    quantity, points = params.quantity()
    measurement = measure_points(prediction, points, quantity, in_plane=params.in_plane)
    record = measurement_json(measurement, prediction, _format_remark)
    remarks = map(_format_remark, measurement.remarks)
    return {**record, "notes": (*client_notes(prediction), *remarks)}


async def _list_models(service: Service, request: Request) -> Response:
    return JSONResponse({"models": service.offered.describe()})


async def _refuse_stream_by_http(service: Service, request: Request) -> Response:
    raise Refusal(426, "streams need a WebSocket connection: use ws:// or wss://", _WEBSOCKET)


async def _health_and_version(service: Service, request: Request) -> Response:
    return JSONResponse({"status": "ok", "version": VERSION})


def _metrics_endpoint(*, for_all: bool) -> Endpoint:
    """Make the endpoint of the counters, which only this machine may read unless ``for_all``."""

    async def metrics(service: Service, request: Request) -> Response:
        if not (for_all or _is_from_loopback(request)):
            raise Refusal(
                403,
                "metrics can only be read on the server's own machine, unless the server requires "
                "tokens",
            )
        return Response(service.metrics.text(), media_type=service.metrics.content_type)

    return metrics


def _guide_endpoint(*, needs_token: bool) -> Endpoint:
    async def guide(service: Service, request: Request) -> Response:
        return HTMLResponse(guide_page(str(request.base_url), needs_token=needs_token))

    return guide


def _openapi_endpoint() -> Endpoint:
    """Make the endpoint of the OpenAPI document, which is built at the first request."""
    content = b""

    async def openapi(service: Service, request: Request) -> Response:
        nonlocal content
        if not content:
            content = JSONResponse(
                openapi_document(request.app.routes, service.options.root_path)
            ).body
        return Response(content, media_type=JSONResponse.media_type)

    return openapi


def _is_from_loopback(request: Request) -> bool:
    try:
        host = ipaddress.ip_address("" if request.client is None else request.client.host)
    except ValueError:
        return False
    return (getattr(host, "ipv4_mapped", None) or host).is_loopback


async def _read_upload_if_room(
    service: Service, request: Request, client: str, outputs: Sequence[str] = ()
) -> Upload:
    """Read the body of a request, unless too many requests of its kind wait already."""
    length = request.headers.get("content-length", "")
    size = int(length[:20]) if length.isdecimal() else 0
    service.slots(is_heavy=service.is_heavy(size, outputs)).refuse_if_full()
    return await service.uploads.read(request, client)


def _routing_error_response(request: Request, error: Exception) -> Response:
    """Explain in one line why a request matches no route."""
    assert isinstance(error, HTTPException), "Starlette calls this handler for HTTPException only"
    if error.status_code == HTTPStatus.NOT_FOUND:
        message = "no such address; see /docs for examples, and /openapi.json for all addresses"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed_methods = (error.headers or {}).get("Allow", "others")
        message = f"this address does not accept {request.method}; use {allowed_methods}"
    else:
        message = "the request cannot be read"
    return RefusalResponse(Refusal(error.status_code, message, error.headers))


def _request_counter(service: Service, known_paths: set[str]) -> Callable[[str, int, float], None]:
    """Make the function that counts requests by path and status, with their duration [s]."""

    def count_request(path: str, status: int, seconds: float) -> None:
        # All unknown paths share one counter. Otherwise clients could create counters at will.
        counter = path if path in known_paths else "other"
        service.metrics.count_request(counter, status, seconds)

    return count_request
