"""What an address of the server is: how it responds, and how it is described."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from rilievo.serving.server.service import Service


class Example(NamedTuple):
    """Example of a request with a photograph, for the page with examples."""

    query: str
    output_file: str | None = None
    """File for the response; None to print it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address of the server.

    Attributes:
        address: Method and path, such as "GET /v1/models".
        respond: Function that makes the response; what it raises becomes a refusal.
        websocket: Function for WebSocket connections to the same path, if it accepts any.
        name: Name of the operation in the OpenAPI document; the path by default.
        summary: What the response contains.
        json_keys: Entries that a JSON response always has; empty for other responses.
        parameters: Parameters of the query; None if there are none.
        takes_photograph: Whether the body of a request is a photograph.
        file_media_types: Media types of responses that are files.
        examples: Examples for people who try the server.
        is_public: Whether it needs no token.
    """

    address: str
    respond: Callable[[Service, Request], Awaitable[Response]]
    websocket: Callable[[WebSocket, Service], Awaitable[None]] | None = None
    name: str = ""
    summary: str
    json_keys: tuple[str, ...] = ()
    parameters: type[BaseModel] | None = None
    takes_photograph: bool = False
    file_media_types: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    is_public: bool = False

    @property
    def method(self) -> str:
        """HTTP method."""
        return self.address.split()[0]

    @property
    def path(self) -> str:
        """Path, in which ``{id}`` and the like stand for parameters."""
        return self.address.split()[1]
