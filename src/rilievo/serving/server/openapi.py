"""The OpenAPI document, which describes the endpoints of the server."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from rilievo.serving.listener.request_refusals import PROBLEM_JSON, Problem
from rilievo.serving.server.endpoint import Endpoint
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


def openapi_document(endpoints: Iterable[Endpoint], root_path: str = "") -> _Json:
    """Make the OpenAPI document of a server."""
    paths: dict[str, _Json] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
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


def _operation(endpoint: Endpoint) -> _Json:
    """Describe an endpoint: what it takes, and what its responses contain."""
    success: _Json = {"description": endpoint.summary}
    content: _Json = {}
    if endpoint.json_keys:
        schema = {"type": "object", "required": list(endpoint.json_keys)}
        content["application/json"] = {"schema": schema}
    content |= {media_type: {} for media_type in endpoint.file_media_types}
    if content:
        success["content"] = content
    status = "200" if endpoint.websocket is None else "101"
    refusals = {status: {"$ref": f"#/components/responses/{status}"} for status in REFUSALS}
    operation: _Json = {
        "operationId": endpoint.name or endpoint.path,
        "summary": endpoint.summary,
        "responses": {status: success, **refusals},
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    if endpoint.parameters is not None:
        parameters += _query_parameters(endpoint.parameters)
        if endpoint.takes_photograph:
            operation["requestBody"] = _photo_body(endpoint.parameters)
    if parameters:
        operation["parameters"] = parameters
    if endpoint.is_public:
        operation["security"] = []
    return operation


def _photo_body(parameters: type[BaseModel]) -> _Json:
    """Describe the body of a request with a photograph, and perhaps with parameters."""
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
    return {
        "description": "The image itself, or a form or JSON with the image and parameters.",
        "required": False,
        "content": {
            "image/*": {"schema": image},
            "application/octet-stream": {"schema": image},
            "multipart/form-data": {"schema": {"type": "object", "properties": properties}},
            "application/json": {"schema": json_body | {"additionalProperties": False}},
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
