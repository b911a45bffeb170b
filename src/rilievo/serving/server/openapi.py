"""The OpenAPI document, which describes the routes of the server."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from starlette.routing import BaseRoute, Route

from rilievo.serving.listener.request_refusals import PROBLEM_JSON, Problem
from rilievo.serving.server.answer_files import output_media_types
from rilievo.serving.server.params import MeasureParams, PredictParams, StreamParams
from rilievo.version import VERSION

_Json = dict[str, Any]
_IMAGE_DESCRIPTION = (
    "A photograph: JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, PNM, or HEIC if the server can read it."
)
REFUSALS: Mapping[str, str] = {
    "400": "A parameter is unknown or invalid.",
    "401": "The token is missing or wrong.",
    "403": "The server does not allow this origin, or this client may not read the metrics.",
    "404": "The server does not offer this model.",
    "408": "The request arrived too slowly.",
    "413": "The request or its result is too large.",
    "421": "The host name in the Host header is not allowed.",
    "422": "The image cannot be read, or a known size does not determine metres.",
    "426": "Streams need a WebSocket connection.",
    "429": "Too many requests; Retry-After says how many seconds to wait.",
    "500": "The model failed, or an internal error occurred.",
    "501": "The server lacks an extra that this request needs.",
    "503": "The request took too long, memory ran out, or the server is stopping.",
    "507": "The server cannot write the result.",
}
"""Statuses of refusals, and what they mean."""
_PREDICT_DESCRIPTION = (
    "The prediction's facts as JSON, one output as its file, or several outputs as a zip. The "
    "header X-Depth-Kind states the kind of depth, and X-Notes lists notes on the prediction."
)


def openapi_document(routes: Iterable[BaseRoute], root_path: str = "") -> _Json:
    """Make the OpenAPI document of a server. Routes of the app are described by their names."""
    file_responses = {media_type: {} for media_type in output_media_types()}
    paths = {
        "/v1/predict": {
            "post": _openapi_image_operation(
                "predict", PredictParams, _PREDICT_DESCRIPTION, file_responses, "depth", "notes"
            )
        },
        "/v1/measure": {
            "post": _openapi_image_operation(
                "measure",
                MeasureParams,
                "A distance, height, length, area or angle (what, value, low, high, unit), or the "
                "objects in boxes (things). In eight out of ten cases, the true value lies between "
                "low and high.",
                {},
                "coverage",
                "notes",
            )
        },
        "/v1/models": {
            "get": _openapi_operation("models", "Models that requests can select.", "models")
        },
        "/v1/stream": {
            "get": _openapi_operation(
                "stream",
                "A WebSocket that receives frames as binary messages, and sends JSON and depth.",
                status="101",
            )
            | {"parameters": _query_parameters(StreamParams)}
        },
        "/healthz": {
            "get": _openapi_operation("health", "Whether the server is running.", "status")
            | {"security": []}
        },
        "/metrics": {"get": _openapi_operation("metrics", "Counters for Prometheus, as text.")},
        "/openapi.json": {"get": _openapi_operation("openapi", "This document.", "openapi")},
    }
    for route in routes:
        if isinstance(route, Route) and route.path not in paths:
            [method] = (route.methods or set()) - {"HEAD"}
            operation = _openapi_operation(route.path, route.name)
            operation["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in route.param_convertors
            ]
            paths[route.path] = {method.lower(): operation}
    problem = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rilievo",
            "version": VERSION,
            "description": "Depth, surface normals, surfaces and measurements of one photograph.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": root_path or "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": Problem.model_json_schema()},
            "responses": {
                status: {"description": meaning, "content": problem}
                for status, meaning in REFUSALS.items()
            },
        },
        "security": [{"token": []}, {}],
    }


def _openapi_operation(name: str, description: str, *required: str, status: str = "200") -> _Json:
    """Describe an operation whose response is JSON with the ``required`` entries, if any."""
    success: _Json = {"description": description}
    if required:
        success["content"] = {
            "application/json": {"schema": {"type": "object", "required": list(required)}}
        }
    refusals = {status: {"$ref": f"#/components/responses/{status}"} for status in REFUSALS}
    return {"operationId": name, "summary": description, "responses": {status: success, **refusals}}


def _openapi_image_operation(
    name: str, parameters: type[BaseModel], description: str, file_responses: _Json, *required: str
) -> _Json:
    """Describe an operation that takes a photograph, and responds with JSON or files.

    ``file_responses`` are by media type, and ``required`` are the entries that the JSON always has.
    """
    operation = _openapi_operation(name, description, *required)
    operation["responses"]["200"]["content"] |= file_responses
    image = {"type": "string", "format": "binary", "description": _IMAGE_DESCRIPTION}
    properties = {"image": image, **_property_schemas(parameters)}
    base64_image = {
        "type": "string",
        "contentEncoding": "base64",
        "description": f"{_IMAGE_DESCRIPTION} It may also be a data URL.",
    }
    json_body = {
        "type": "object",
        "required": ["image"],
        "properties": properties | {"image": base64_image},
    }
    return operation | {
        "parameters": _query_parameters(parameters),
        "requestBody": {
            "description": "The image itself, or a form or JSON with the image and parameters.",
            "required": False,
            "content": {
                "image/*": {"schema": image},
                "application/octet-stream": {"schema": image},
                "multipart/form-data": {"schema": {"type": "object", "properties": properties}},
                "application/json": {"schema": json_body | {"additionalProperties": False}},
            },
        },
    }


def _query_parameters(parameters: type[BaseModel]) -> list[_Json]:
    entries = []
    for name, schema in _property_schemas(parameters).items():
        description = " ".join(schema.pop("description", "").split())
        entries.append({"name": name, "in": "query", "description": description, "schema": schema})
    return entries


def _property_schemas(record: type[BaseModel]) -> dict[str, _Json]:
    """JSON schemas of a model's fields, by name.

    ``null`` is removed from the types, because a request leaves out a parameter instead.
    """
    schemas: dict[str, _Json] = record.model_json_schema()["properties"]
    for schema in schemas.values():
        types = [choice for choice in schema.pop("anyOf", ()) if choice != {"type": "null"}]
        if len(types) == 1:
            schema |= types[0]
        elif types:
            schema["anyOf"] = types
        if schema.get("default", "") is None:
            del schema["default"]
    return schemas
