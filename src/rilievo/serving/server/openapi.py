"""The OpenAPI document, which describes the routes of the server."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from starlette.routing import BaseRoute, Route

from rilievo.serving.listener.request_refusals import PROBLEM, Problem
from rilievo.serving.server.answer_files import output_media_types
from rilievo.serving.server.params import MeasureParams, PredictParams, StreamParams
from rilievo.version import VERSION

_Json = dict[str, Any]
_IMAGE_DESCRIPTION = (
    "A photograph: JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, PNM, or HEIC if the server reads it."
)
REFUSALS: Mapping[str, str] = {
    "400": "A parameter is unknown or impossible.",
    "401": "The token is missing or wrong.",
    "403": "Web pages of other sites, or addresses of images, are not allowed.",
    "404": "The server does not offer this model.",
    "408": "The request arrived too slowly.",
    "413": "The request or its result is too large.",
    "421": "The server does not go by the name in the Host header.",
    "422": "The image cannot be read, or a known size does not determine metres.",
    "426": "A stream is a WebSocket.",
    "429": "Too many requests; Retry-After says when to come again [s].",
    "500": "The model failed, or the server has a defect.",
    "501": "The server lacks an extra that this needs.",
    "503": "No result in time, too little memory, or the server is stopping.",
    "507": "The server cannot write the result.",
}
"""Statuses of refusals, and what they mean."""
_PREDICT_DESCRIPTION = (
    "Facts of the prediction as JSON, one output as it is, or several as a zip. X-Depth-Kind says "
    "what the numbers of depth are, X-Notes what deserves a look."
)


def openapi_document(routes: Iterable[BaseRoute], root_path: str = "") -> _Json:
    """OpenAPI document of a server with these routes.

    Args:
        routes: Routes of the server; those that the app adds are described by their names.
        root_path: Path under which a proxy offers the server.
    """
    files = {media_type: {} for media_type in output_media_types()}
    paths = {
        "/v1/predict": {
            "post": _openapi_image_operation(
                "predict", PredictParams, _PREDICT_DESCRIPTION, files, "depth", "notes"
            )
        },
        "/v1/measure": {
            "post": _openapi_image_operation(
                "measure",
                MeasureParams,
                "A distance, height, length, area or angle (what, value, low, high, unit), or the "
                "things in boxes (things); eight in ten lie between low and high.",
                {},
                *("coverage", "notes"),
            )
        },
        "/v1/models": {
            "get": _openapi_operation("models", "Models that requests may name.", "models")
        },
        "/v1/stream": {
            "get": _openapi_operation(
                "stream",
                "A WebSocket: frames as binary messages in, JSON and depth for each out.",
                status="101",
            )
            | {"parameters": _query_parameters(StreamParams)}
        },
        "/healthz": {
            "get": _openapi_operation("health", "Whether the server answers.", "status")
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
    problem = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
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
    """Operation whose answer is JSON with the ``required`` entries, if there are any."""
    answer: _Json = {"description": description}
    if required:
        answer["content"] = {
            "application/json": {"schema": {"type": "object", "required": list(required)}}
        }
    refusals = {status: {"$ref": f"#/components/responses/{status}"} for status in REFUSALS}
    return {"operationId": name, "summary": description, "responses": {status: answer, **refusals}}


def _openapi_image_operation(
    name: str, parameters: type[BaseModel], description: str, files: _Json, *required: str
) -> _Json:
    """Operation that takes a photograph, and answers with JSON or ``files``, by media type."""
    operation = _openapi_operation(name, description, *required)
    operation["responses"]["200"]["content"] |= files
    image = {"type": "string", "format": "binary", "description": _IMAGE_DESCRIPTION}
    properties = {"image": image, **_property_schemas(parameters)}
    base64_image = {
        "type": "string",
        "contentEncoding": "base64",
        "description": f"{_IMAGE_DESCRIPTION} Or a data URL.",
    }
    in_json = {
        "type": "object",
        "required": ["image"],
        "properties": properties | {"image": base64_image},
    }
    return operation | {
        "parameters": _query_parameters(parameters),
        "requestBody": {
            "description": "The image as it is, or in a form or JSON with parameters.",
            "required": False,
            "content": {
                "image/*": {"schema": image},
                "application/octet-stream": {"schema": image},
                "multipart/form-data": {"schema": {"type": "object", "properties": properties}},
                "application/json": {"schema": in_json | {"additionalProperties": False}},
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
    """Schemas of parameters; None is left out, because a request leaves out the parameter."""
    schemas: dict[str, _Json] = record.model_json_schema()["properties"]
    for schema in schemas.values():
        choices = [choice for choice in schema.pop("anyOf", ()) if choice != {"type": "null"}]
        if len(choices) == 1:
            schema |= choices[0]
        elif choices:
            schema["anyOf"] = choices
        if schema.get("default", "") is None:
            del schema["default"]
    return schemas
