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
    success_status = "200" if endpoint.websocket is None else "101"
    refusals = {status: {"$ref": f"#/components/responses/{status}"} for status in REFUSALS}
    operation: _Json = {
        "operationId": endpoint.name or endpoint.path,
        "summary": endpoint.summary,
        "responses": {success_status: _success_response(endpoint), **refusals},
    }
    if endpoint.parameters is not None and endpoint.takes_photograph:
        operation["requestBody"] = _photo_body(endpoint.parameters)
    parameters = [*_path_parameters(endpoint.path), *_query_parameters(endpoint.parameters)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.is_public:
        operation["security"] = []
    return operation


def _success_response(endpoint: Endpoint) -> _Json:
    """Describe the response of an endpoint to a request that succeeds."""
    content: _Json = {}
    if endpoint.json_keys:
        schema = {"type": "object", "required": list(endpoint.json_keys)}
        content["application/json"] = {"schema": schema}
    content |= {media_type: {} for media_type in endpoint.file_media_types}
    response: _Json = {"description": endpoint.summary}
    return response | {"content": content} if content else response


def _path_parameters(path: str) -> list[_Json]:
    """Describe the parameters of a path, such as ``id`` of "/results/{id}"."""
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


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


def _query_parameters(parameters: type[BaseModel] | None) -> list[_Json]:
    """Describe the parameters of the query; None for an endpoint without any."""
    if parameters is None:
        return []
    entries = []
    for name, property_schema in _property_schemas(parameters).items():
        schema = {key: value for key, value in property_schema.items() if key != "description"}
        description = " ".join(property_schema.get("description", "").split())
        entries.append({"name": name, "in": "query", "description": description, "schema": schema})
    return entries


def _property_schemas(parameters: type[BaseModel]) -> dict[str, _Json]:
    """JSON schemas of the fields of a pydantic model, by name."""
    properties: dict[str, _Json] = parameters.model_json_schema()["properties"]
    return {name: _without_null(schema) for name, schema in properties.items()}


def _without_null(schema: _Json) -> _Json:
    """Remove ``null`` from the types and the default, as a request leaves out a parameter instead.

    pydantic lists the types of an optional field as ``anyOf``. A single type that remains is merged
    into the schema.
    """
    types = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    has_null_as_default = schema.get("default", "") is None
    merged = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(types) == 1:
        merged |= types[0]
    elif types:
        merged["anyOf"] = types
    if has_null_as_default:
        merged.pop("default")
    return merged
