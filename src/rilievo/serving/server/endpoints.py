"""Endpoints: functions that answer a request."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from rilievo.serving.listener.connections import client_name
from rilievo.serving.listener.request_refusals import GivenUp, RefusalResponse, stopping
from rilievo.serving.server.work.service import Service

Endpoint = Callable[[Service, Request], Awaitable[Response]]
_CLIENT_LEFT = 499  # for the counters: nobody reads it


def answering(service: Service, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """Endpoint whose errors are answers."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(service, request)
        except GivenUp:
            return Response(status_code=_CLIENT_LEFT)
        except asyncio.CancelledError:  # uvicorn cancels what is left when it stops
            return RefusalResponse(stopping())
        except Exception as error:
            return RefusalResponse(service.refusal_of(error))

    return answered


def client_of(request: Request) -> str:
    """Name of the client of a request."""
    return client_name("" if request.client is None else request.client.host)


async def left(request: Request) -> None:
    """Wait until the client leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)
