"""The ASGI application: the endpoints as routes, behind the guard."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from http import HTTPStatus
from typing import Protocol, runtime_checkable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from rilievo.serving.listener.guard import Guard
from rilievo.serving.listener.request_refusals import (
    JobCancelled,
    Refusal,
    RefusalResponse,
    server_stopping_refusal,
)
from rilievo.serving.server.endpoint import Endpoint
from rilievo.serving.server.endpoints import ENDPOINTS, show_guide
from rilievo.serving.server.service import Service

_CLIENT_LEFT = 499  # status for the counters alone; no client receives it


@runtime_checkable
class Extension(Protocol):
    """Further endpoints of a server, such as those of the app."""

    def endpoints(self) -> Sequence[Endpoint]:
        """Endpoints after those of the server."""
        ...

    def last_routes(self) -> Sequence[BaseRoute]:
        """Routes for paths that belong to no endpoint."""
        ...

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Context that is open while the server answers requests."""
        ...


def application(
    service: Service, tokens: tuple[str, ...] = (), extension: Extension | None = None
) -> ASGIApp:
    """Make the ASGI application of a server; without ``tokens``, everybody may call it."""
    endpoints = list(ENDPOINTS)
    last_routes: Sequence[BaseRoute] = ()
    if extension is None:
        summary = "A page with examples, as at /docs."
        endpoints.append(Endpoint(address="GET /", respond=show_guide, summary=summary))
    else:
        endpoints += extension.endpoints()
        last_routes = extension.last_routes()
    routes = [route for endpoint in endpoints for route in _routes_of(endpoint, service)]

    app = Starlette(
        routes=[*routes, *last_routes],
        lifespan=lambda app: _lifespan(service, extension),
        exception_handlers={HTTPException: _routing_error_response},
    )
    app.state.endpoints = endpoints
    app.state.needs_token = bool(tokens)
    app.router.redirect_slashes = False  # /docs/ is unknown, and not redirected to /docs
    known_paths = {getattr(each, "path", "") for each in app.routes}
    return Guard(
        app,
        tokens=tokens,
        public_paths={endpoint.path for endpoint in endpoints if endpoint.is_public},
        hosts=service.options.host_names,
        origins=service.options.calling_origins,
        observe=_request_counter(service, known_paths),
    )


def _routes_of(endpoint: Endpoint, service: Service) -> list[BaseRoute]:
    """Routes of an endpoint: one for its WebSocket if it has one, and one for HTTP."""
    routes: list[BaseRoute] = []
    websocket = endpoint.websocket
    if websocket is not None:

        async def accept(connection: WebSocket) -> None:
            await websocket(connection, service)

        routes.append(WebSocketRoute(endpoint.path, accept))
    handler = partial(respond_or_refuse, endpoint, service)
    return [*routes, Route(endpoint.path, handler, methods=[endpoint.method])]


async def respond_or_refuse(endpoint: Endpoint, service: Service, request: Request) -> Response:
    """Respond to a request; an error becomes a refusal, which the client gets as JSON."""
    try:
        return await endpoint.respond(service, request)
    except JobCancelled:
        return Response(status_code=_CLIENT_LEFT)
    except asyncio.CancelledError:  # uvicorn cancels what has not ended when it stops
        return RefusalResponse(server_stopping_refusal())
    except Exception as error:
        return RefusalResponse(service.refusal_for(error))


@asynccontextmanager
async def _lifespan(service: Service, extension: Extension | None) -> AsyncIterator[None]:
    releasing = asyncio.create_task(service.release_memory_forever())
    try:
        async with nullcontext() if extension is None else extension.lifespan():
            yield
    finally:
        releasing.cancel()
        await service.close()


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
