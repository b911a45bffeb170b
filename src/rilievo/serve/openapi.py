"""The OpenAPI document: parameters from their classes, answers in words."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from starlette.routing import BaseRoute, Route

from rilievo.serve.asked import MeasureAsked, PredictAsked, StreamAsked
from rilievo.serve.files import ACCEPTED
from rilievo.version import VERSION

_Json = dict[str, Any]

_IMAGE = "A photograph: JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, PNM, or HEIC if the server reads it."
_REFUSALS: Mapping[str, str] = {
    "400": "A parameter is unknown or impossible.",
    "401": "The token is missing or wrong.",
    "403": "Web pages of other sites, or addresses of images, are not allowed.",
    "404": "The server does not offer this model.",
    "406": "There is no output of the type that is asked for.",
    "408": "The request arrived too slowly.",
    "413": "The request or its result is too large.",
    "421": "The server does not go by the name in the Host header.",
    "422": "The image cannot be read, or a known size does not determine metres.",
    "429": "Too many requests; Retry-After says when to come again [s].",
    "500": "The model failed, or the server has a defect.",
    "501": "The server lacks an extra that this needs.",
    "503": "No result in time, too little memory, or the server is stopping.",
    "507": "The server cannot write the result.",
}


def document(routes: Iterable[BaseRoute], root_path: str = "") -> _Json:
    """The document of the whole server.

    Args:
        routes: All routes; those that are not of this package are described by their names.
        root_path: Path under which a proxy offers it.
    """
    own = _paths()
    others = (each for each in routes if isinstance(each, Route) and each.path not in own)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rilievo",
            "version": VERSION,
            "description": "Depth, surface normals, surfaces and measurements of one photograph.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": root_path or "/"}],
        "paths": own | {route.path: _named(route) for route in others},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Refusal": _refusal()},
            "responses": {status: _refused(words) for status, words in _REFUSALS.items()},
        },
        "security": [{"token": []}, {}],
    }


def _paths() -> _Json:
    return {
        "/v1/predict": {"post": _predict()},
        "/v1/measure": {"post": _measure()},
        "/v1/models": {
            "get": _plain("listModels", "Models that requests may name.", _object("models"))
        },
        "/v1/stream": {"get": _stream()},
        "/healthz": {
            "get": _plain("health", "Whether the server answers.", _object("status"))
            | {"security": []}
        },
        "/metrics": {"get": _plain("metrics", "Counters for Prometheus.", _text())},
        "/openapi.json": {"get": _plain("openapi", "This document.", _object("openapi"))},
    }


def _named(route: Route) -> _Json:
    """A route by its method, its name and the parameters in its path."""
    [method] = (route.methods or set()) - {"HEAD"}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.param_convertors
    ]
    said = {"summary": route.name, "parameters": parameters}
    answers = {"200": {"description": route.name}, **_refusals()}
    return {method.lower(): {"operationId": route.path, **said, "responses": answers}}


def _predict() -> _Json:
    files = {kind: {} for kind in ACCEPTED if "*" not in kind and kind != "application/json"}
    return {
        "operationId": "predict",
        "summary": "Depth, normals and surfaces of a photograph.",
        "parameters": _parameters(PredictAsked),
        "requestBody": _body(PredictAsked),
        "responses": {
            "200": {
                "description": (
                    "Facts of the prediction as JSON, one output as it is, or several as a zip. "
                    "X-Depth-Kind says what the numbers of depth are, X-Remarks what deserves a "
                    "look."
                ),
                "content": _object("source", "depth", "camera", "made_by", "remarks") | files,
            },
            **_refusals(),
        },
    }


def _measure() -> _Json:
    return {
        "operationId": "measure",
        "summary": "A height, length, area or angle, with the range to expect.",
        "parameters": _parameters(MeasureAsked),
        "requestBody": _body(MeasureAsked),
        "responses": {
            "200": {
                "description": "The measurement; eight in ten lie between low and high.",
                "content": _object("what", "value", "low", "high", "unit", "remarks"),
            },
            **_refusals(),
        },
    }


def _stream() -> _Json:
    return {
        "operationId": "stream",
        "summary": "A WebSocket: frames as binary messages in, JSON and depth for each out.",
        "parameters": _parameters(StreamAsked),
        "responses": {
            "101": {"description": "The connection is a WebSocket from now on."},
            **_refusals("400", "401", "403", "404", "429"),
        },
    }


def _plain(name: str, words: str, content: _Json) -> _Json:
    answer = {"description": words, "content": content}
    return {"operationId": name, "summary": words, "responses": {"200": answer}}


def _object(*required: str) -> _Json:
    return {"application/json": {"schema": {"type": "object", "required": list(required)}}}


def _text() -> _Json:
    return {"text/plain": {"schema": {"type": "string"}}}


def _schema_of(asked: type[BaseModel]) -> _Json:
    return asked.model_json_schema()["properties"]


def _parameters(asked: type[BaseModel]) -> list[_Json]:
    found = []
    for name, schema in _schema_of(asked).items():
        words = " ".join(schema.pop("description", "").split())
        found.append({"name": name, "in": "query", "description": words, "schema": schema})
    return found


def _body(asked: type[BaseModel]) -> _Json:
    image = {"type": "string", "format": "binary", "description": _IMAGE}
    form = {"type": "object", "properties": {"image": image, **_schema_of(asked)}}
    return {
        "description": "The image as it is, or in a form that may hold the parameters too.",
        "required": False,
        "content": {
            "image/*": {"schema": image},
            "application/octet-stream": {"schema": image},
            "multipart/form-data": {"schema": form},
        },
    }


def _refusals(*statuses: str) -> _Json:
    return {
        status: {"$ref": f"#/components/responses/{status}"} for status in statuses or _REFUSALS
    }


def _refusal() -> _Json:
    line = {"type": "string", "description": "What was found, what was expected, what to do."}
    return {"type": "object", "required": ["error"], "properties": {"error": line}}


def _refused(words: str) -> _Json:
    schema = {"$ref": "#/components/schemas/Refusal"}
    return {"description": words, "content": {"application/json": {"schema": schema}}}
