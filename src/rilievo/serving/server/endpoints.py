"""The addresses of the server. Routes, the OpenAPI document and ``/docs`` are made from them."""

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

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
from rilievo.serving.listener.connections import request_client, wait_for_disconnect
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.answer_files import JSON, output_media_types
from rilievo.serving.server.answers import stream
from rilievo.serving.server.endpoint import Endpoint, Example
from rilievo.serving.server.file_responses import FilesResponse
from rilievo.serving.server.guide_page import guide_page
from rilievo.serving.server.openapi import openapi_document
from rilievo.serving.server.params import (
    MeasureParams,
    PredictParams,
    RequestParams,
    StreamParams,
    read_params,
)
from rilievo.serving.server.service import ImageJob, Service, client_notes, prediction_record
from rilievo.serving.server.uploads import Upload
from rilievo.version import VERSION

Params = TypeVar("Params", bound=RequestParams)


async def _predict(service: Service, job: ImageJob, params: PredictParams) -> Response:
    outputs = params.outputs
    if outputs != (JSON,):
        prediction, written = await service.predict_and_write(job, params, outputs)
        return FilesResponse(prediction, written, service.options.limits.download_seconds)
    prediction = await service.predict(job, params, outputs=outputs)
    job.raise_if_cancelled()
    points = params.points()
    record = await service.run_in_job_pool(job, lambda: prediction_record(prediction, points))
    return JSONResponse(record)


async def _measure(service: Service, job: ImageJob, params: MeasureParams) -> Response:
    """Measure the objects in boxes, or at points if there are no boxes."""
    prediction = await service.predict(job, params)
    job.raise_if_cancelled()
    regions = params.regions()

    def measure() -> dict[str, object]:
        if regions:
            return _measure_regions(job, prediction, regions)
        return _measure_points(prediction, params)

    return JSONResponse(await service.run_in_job_pool(job, measure))


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


def _measure_points(prediction: Prediction, params: MeasureParams) -> dict[str, object]:
    quantity, points = params.quantity()
    measurement = measure_points(
        prediction,
        points,
        quantity,
        in_plane=params.in_plane,
        base=params.base_points(),
        object_sides=params.object_sides(),
    )
    record = measurement_json(measurement, prediction, _format_remark)
    remarks = map(_format_remark, measurement.remarks)
    return {**record, "notes": (*client_notes(prediction), *remarks)}


async def _list_models(service: Service, request: Request) -> Response:
    return JSONResponse({"models": service.offered.describe()})


async def _refuse_stream_by_http(service: Service, request: Request) -> Response:
    raise Refusal(
        426,
        "streams need a WebSocket connection: use ws:// or wss://",
        {"Upgrade": "websocket", "Connection": "Upgrade"},
    )


async def _state_health_and_version(service: Service, request: Request) -> Response:
    return JSONResponse({"status": "ok", "version": VERSION})


async def _show_metrics(service: Service, request: Request) -> Response:
    """Send the counters to anyone who has a token; without tokens, only to this machine."""
    if not (request.app.state.needs_token or _is_from_loopback(request)):
        raise Refusal(
            403,
            "metrics can only be read on the server's own machine, unless the server requires "
            "tokens",
        )
    return Response(service.metrics.text(), media_type=service.metrics.content_type)


def _is_from_loopback(request: Request) -> bool:
    """Whether a request comes from this machine."""
    if request.client is None:
        return False
    try:
        host = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    return (getattr(host, "ipv4_mapped", None) or host).is_loopback


async def _describe_all_endpoints(service: Service, request: Request) -> Response:
    """Send the OpenAPI document, which is made at the first request."""
    state = request.app.state
    if not hasattr(state, "openapi"):
        document = openapi_document(state.endpoints, service.options.root_path)
        state.openapi = JSONResponse(document).body
    return Response(state.openapi, media_type=JSONResponse.media_type)


async def show_guide(service: Service, request: Request) -> Response:
    """Send the page with examples."""
    state = request.app.state
    page = guide_page(str(request.base_url), state.endpoints, needs_token=state.needs_token)
    return HTMLResponse(page)


def photo_endpoint(
    path: str,
    parameters: type[Params],
    respond: Callable[[Service, ImageJob, Params], Awaitable[Response]],
    *,
    name: str,
    summary: str,
    json_keys: tuple[str, ...],
    file_media_types: tuple[str, ...] = (),
    examples: tuple[Example, ...] = (),
) -> Endpoint:
    """Make an endpoint for requests with a photograph.

    Args:
        path: Its path.
        parameters: Parameters of a request, which may stand in the address or in the body.
        respond: Function that makes the response, when it is the request's turn.
        name: Name of the operation in the OpenAPI document.
        summary: What the response contains.
        json_keys: Entries that a JSON response always has.
        file_media_types: Media types of responses that are files.
        examples: Examples for people who try the server.
    """

    async def receive_and_respond(service: Service, request: Request) -> Response:
        upload, params = await _receive_photo_and_params(service, request, parameters)
        job = await service.create_job(upload, request_client(request), params.outputs)
        return await service.jobs.run_in_slot(
            service.slots(is_heavy=job.is_heavy),
            job,
            lambda job: respond(service, job, params),
            wait_for_disconnect(request),
            dispose=_discard_response,
        )

    return Endpoint(
        address=f"POST {path}",
        respond=receive_and_respond,
        name=name,
        summary=summary,
        json_keys=json_keys,
        parameters=parameters,
        takes_photograph=True,
        file_media_types=file_media_types,
        examples=examples,
    )


async def _receive_photo_and_params(
    service: Service, request: Request, parameters: type[Params]
) -> tuple[Upload, Params]:
    """Receive the photograph of a request, and read its parameters from address and body.

    Raises:
        OptionError: If a parameter is wrong.
        Refusal: If the model is unknown, too many requests wait already, or the body is refused.
    """
    # Errors in the address, and a full queue, are reported before the photograph is received.
    query = request.query_params.multi_items()
    outputs = read_params(parameters, query, {}).outputs
    is_heavy = service.is_heavy(_stated_body_bytes(request), outputs)
    service.slots(is_heavy=is_heavy).refuse_if_full()

    upload = await service.uploads.read(request, request_client(request))
    try:
        params = read_params(parameters, query, upload.fields)
        params.check()
        service.offered.server_name(params.model)  # raises for an unknown model
    except BaseException:
        upload.close()
        raise
    return upload, params


def _stated_body_bytes(request: Request) -> int:
    """Size of the body as the request states it [bytes]; 0 if it states none."""
    stated_length = request.headers.get("content-length", "")
    return int(stated_length[:20]) if stated_length.isdecimal() else 0


def _discard_response(response: Response) -> None:
    """Remove the files of a response whose client has left."""
    if isinstance(response, FilesResponse):
        response.discard()


ENDPOINTS: tuple[Endpoint, ...] = (
    photo_endpoint(
        "/v1/predict",
        PredictParams,
        _predict,
        name="predict",
        summary="The prediction's facts as JSON, one output as its file, or several outputs as a "
        "zip. The header X-Depth-Kind states the kind of depth, and X-Notes lists notes on the "
        "prediction.",
        json_keys=("depth", "notes"),
        file_media_types=output_media_types(),
        examples=(
            Example("at=320,240"),
            Example("save=colour", "depth.png"),
            Example("save=glb", "surface.glb"),
        ),
    ),
    photo_endpoint(
        "/v1/measure",
        MeasureParams,
        _measure,
        name="measure",
        summary="A distance, height, length, area, volume or angle (what, value, low, high, unit), "
        "or the objects in boxes (things). In eight out of ten cases, the true value lies between "
        "low and high.",
        json_keys=("coverage", "notes"),
        examples=(Example("known=320,240,2.35&at=100,200&at=300,210"),),
    ),
    Endpoint(
        address="GET /v1/models",
        respond=_list_models,
        name="models",
        summary="Models that requests can select.",
        json_keys=("models",),
    ),
    Endpoint(
        address="GET /v1/stream",
        respond=_refuse_stream_by_http,
        websocket=stream,
        name="stream",
        summary="A WebSocket that receives frames as binary messages, and sends JSON and depth.",
        parameters=StreamParams,
    ),
    Endpoint(
        address="GET /healthz",
        respond=_state_health_and_version,
        name="health",
        summary="Whether the server is running.",
        json_keys=("status",),
        is_public=True,
    ),
    Endpoint(
        address="GET /metrics",
        respond=_show_metrics,
        name="metrics",
        summary="Counters for Prometheus, as text.",
    ),
    Endpoint(
        address="GET /openapi.json",
        respond=_describe_all_endpoints,
        name="openapi",
        summary="The OpenAPI document, which describes all addresses.",
        json_keys=("openapi",),
    ),
    Endpoint(address="GET /docs", respond=show_guide, summary="A page with examples."),
)
"""The addresses of ``rilievo serve``. ``rilievo app`` has further ones."""
