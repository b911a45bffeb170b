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
    GivenUp,
    Refusal,
    RefusalResponse,
    stopping_refusal,
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
_CLIENT_LEFT = 499  # status for the counters, which nobody receives


def with_refusals(service: Service, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """Wrap an endpoint so that its errors become refusals."""

    async def answer_or_refuse(request: Request) -> Response:
        try:
            return await endpoint(service, request)
        except GivenUp:
            return Response(status_code=_CLIENT_LEFT)
        except asyncio.CancelledError:  # uvicorn cancels what has not ended when it stops
            return RefusalResponse(stopping_refusal())
        except Exception as error:
            return RefusalResponse(service.refusal_of(error))

    return answer_or_refuse


def request_client(request: Request) -> str:
    """Name under which the client of a request is counted."""
    return client_name("" if request.client is None else request.client.host)


async def client_departure(request: Request) -> None:
    """Wait until the client leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)


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
    """HTML page with command lines that call the server at an address."""
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
    """Make the ASGI application of a server.

    Args:
        service: Work for requests.
        tokens: Tokens of which a request has to send one; none for a server without.
        extension: Further routes.
    """

    async def stream_endpoint(websocket: WebSocket) -> None:
        await stream(websocket, service)

    guide = with_refusals(service, _guide_endpoint(needs_token=bool(tokens)))
    routes: list[BaseRoute] = [
        Route("/v1/predict", with_refusals(service, _predict), methods=["POST"]),
        Route("/v1/measure", with_refusals(service, _measure), methods=["POST"]),
        Route("/v1/models", with_refusals(service, _list_models), methods=["GET"]),
        WebSocketRoute("/v1/stream", stream_endpoint),
        Route("/v1/stream", with_refusals(service, _refuse_stream_by_http), methods=["GET"]),
        Route("/healthz", with_refusals(service, _health_and_version), methods=["GET"]),
        Route(
            "/metrics",
            with_refusals(service, _metrics_endpoint(for_all=bool(tokens))),
            methods=["GET"],
        ),
        Route("/openapi.json", with_refusals(service, _openapi_endpoint()), methods=["GET"]),
        Route("/docs", guide, methods=["GET"], name="A page with examples."),
    ]
    if extension is None:
        routes.append(Route("/", guide, methods=["GET"], name="The same."))
    else:
        routes += extension.routes()

    app = Starlette(
        routes=routes,
        lifespan=lambda app: _lifespan(service, extension),
        exception_handlers={HTTPException: _routing_error_response},
    )
    app.router.redirect_slashes = False
    return Guard(
        app,
        tokens=tokens,
        hosts=service.options.host_names,
        origins=service.options.calling_origins,
        observe=_request_counter(service, {getattr(route, "path", "") for route in routes}),
    )


@asynccontextmanager
async def _lifespan(service: Service, extension: Extension | None) -> AsyncIterator[None]:
    tidying = asyncio.create_task(service.tidy_memory_forever())
    try:
        async with nullcontext() if extension is None else extension.lifespan():
            yield
    finally:
        tidying.cancel()
        await service.close()


async def _predict(service: Service, request: Request) -> Response:
    """Answer with the JSON of a prediction, or with its outputs as files."""
    # The parameters in the address are checked before the image is read.
    arguments = read_params(PredictParams, request.query_params.multi_items(), {})
    client = request_client(request)
    upload = await _read_upload_if_room(
        service, request, client, parse_output_names(arguments.save)
    )
    try:
        arguments = read_params(PredictParams, request.query_params.multi_items(), upload.fields)
        outputs, points = parse_output_names(arguments.save), arguments.points()
        _ = arguments.options, arguments.saving, service.offered.server_name(arguments.model)
    except BaseException:
        upload.close()
        raise
    job = await service.new_job(upload, client, outputs)
    slots = service.slots(is_heavy=job.is_heavy)
    if outputs == (JSON,):
        answer = await service.jobs.run_in_slot(
            slots,
            job,
            lambda job: _predict_and_describe(service, job, arguments, points),
            client_departure(request),
        )
        return JSONResponse(answer)
    prediction, written = await service.jobs.run_in_slot(
        slots,
        job,
        lambda job: service.predict_and_write(job, arguments, outputs),
        client_departure(request),
        unused=lambda result: result[1].remove(),
    )
    return files_response(prediction, written, service.options.limits.download_seconds)


async def _measure(service: Service, request: Request) -> Response:
    """Answer with a measurement at points, or with those of things in boxes."""
    read_params(MeasureParams, request.query_params.multi_items(), {})
    client = request_client(request)
    upload = await _read_upload_if_room(service, request, client)
    try:
        arguments = read_params(MeasureParams, request.query_params.multi_items(), upload.fields)
        regions = arguments.regions()
        if not regions:
            arguments.quantity()
        _ = arguments.options, service.offered.server_name(arguments.model)
    except BaseException:
        upload.close()
        raise
    job = await service.new_job(upload, client)
    answer = await service.jobs.run_in_slot(
        service.slots(is_heavy=job.is_heavy),
        job,
        lambda job: _predict_and_measure(service, job, arguments, regions),
        client_departure(request),
    )
    return JSONResponse(answer)


async def _predict_and_describe(
    service: Service, job: ImageJob, arguments: PredictParams, points: list[Point]
) -> dict[str, object]:
    prediction = await service.predict(job, arguments, outputs=(JSON,))
    job.raise_if_given_up()
    return await service.run_in_job_pool(job, lambda: prediction_record(prediction, points))


async def _predict_and_measure(
    service: Service, job: ImageJob, arguments: MeasureParams, regions: Sequence[RegionLike]
) -> dict[str, object]:
    prediction = await service.predict(job, arguments)
    job.raise_if_given_up()

    def measure() -> dict[str, object]:
        if regions:
            return _regions_record(job, prediction, regions)
        return _points_record(prediction, arguments)

    return await service.run_in_job_pool(job, measure)


_spell = partial(worded, spell=spell_parameter)


def _regions_record(
    job: ImageJob, prediction: Prediction, regions: Sequence[RegionLike]
) -> dict[str, object]:
    measurer = RegionMeasurer(prediction)
    things = []
    for region in regions:
        job.raise_if_given_up()
        things.append(measurer.measure(region))
    remarks = dict.fromkeys(_spell(remark) for thing in things for remark in thing.remarks)
    return {
        "things": [region_record(thing, _spell) for thing in things],
        **origin_record(prediction),
        "notes": (*client_notes(prediction), *remarks),
    }


def _points_record(prediction: Prediction, arguments: MeasureParams) -> dict[str, object]:
    quantity, points = arguments.quantity()
    measurement = measure_points(prediction, points, quantity, in_plane=arguments.in_plane)
    record = measurement_json(measurement, prediction, _spell)
    return {**record, "notes": (*client_notes(prediction), *map(_spell, measurement.remarks))}


async def _list_models(service: Service, request: Request) -> Response:
    return JSONResponse({"models": service.offered.describe()})


async def _refuse_stream_by_http(service: Service, request: Request) -> Response:
    raise Refusal(426, "a stream is a WebSocket: open it as ws:// or wss://", _WEBSOCKET)


async def _health_and_version(service: Service, request: Request) -> Response:
    return JSONResponse({"status": "ok", "version": VERSION})


def _metrics_endpoint(*, for_all: bool) -> Endpoint:
    """Endpoint of the counters, which only this machine may read unless ``for_all`` is true."""

    async def metrics(service: Service, request: Request) -> Response:
        if not (for_all or _is_from_loopback(request)):
            raise Refusal(403, "metrics are for the machine of the server, or need a token")
        return Response(service.metrics.text(), media_type=service.metrics.content_type)

    return metrics


def _guide_endpoint(*, needs_token: bool) -> Endpoint:
    async def guide(service: Service, request: Request) -> Response:
        return HTMLResponse(guide_page(str(request.base_url), needs_token=needs_token))

    return guide


def _openapi_endpoint() -> Endpoint:
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
    """Read the body of a request, or refuse it if too many requests wait already."""
    length = request.headers.get("content-length", "")
    size = int(length[:20]) if length.isdecimal() else 0
    service.slots(is_heavy=service.is_heavy(size, outputs)).refuse_if_full()
    return await service.uploads.read(request, client)


def _routing_error_response(request: Request, error: Exception) -> Response:
    """Answer a request that fits no route, in one line."""
    assert isinstance(error, HTTPException), "Starlette calls this handler for HTTPException only"
    if error.status_code == HTTPStatus.NOT_FOUND:
        message = "no such address; /docs has examples, and /openapi.json lists all addresses"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed_methods = (error.headers or {}).get("Allow", "others")
        message = f"this address does not take {request.method}, but {allowed_methods}"
    else:
        message = "the request cannot be read"
    return RefusalResponse(Refusal(error.status_code, message, error.headers))


def _request_counter(service: Service, routes: set[str]) -> Callable[[str, int, float], None]:
    """Function that counts requests by their routes."""

    def count_request(path: str, status: int, seconds: float) -> None:
        # All unknown paths have one counter, because clients must not choose the names of counters.
        service.metrics.count_request(path if path in routes else "other", status, seconds)

    return count_request
