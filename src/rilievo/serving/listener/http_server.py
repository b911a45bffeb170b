"""The HTTP server of every listener: uvicorn with bounds on connections, and an end."""

from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from rilievo.serving.listener.address_options import AddressOptions
from rilievo.serving.listener.connections import Connections
from rilievo.serving.listener.impatient_protocol import counting
from rilievo.serving.listener.stopping import GRACE, StoppableServer

_BACKLOG = 512
_MOST_CONNECTIONS = 1000


def http_server(
    app: ASGIApp,
    options: AddressOptions,
    *,
    connections: int,
    frame_bytes: int = 0,
    folder: Path | None = None,
    abandon: Callable[[], None] = lambda: None,
) -> StoppableServer:
    """Prepare the server of an application.

    Args:
        app: The application, within its guard.
        options: Address of the server, and its proxies.
        connections: Most open connections of one address.
        frame_bytes: Largest message over a WebSocket; 0 for a server without any.
        folder: Folder with all files of the server.
        abandon: Function that ends what other processes do for the server.
    """
    config = uvicorn.Config(
        app,
        http=counting(Connections(connections, options.proxies)),
        ws="websockets-sansio" if frame_bytes else "none",
        ws_max_size=frame_bytes,
        ws_max_queue=2,
        ws_per_message_deflate=False,
        log_level="critical",
        access_log=False,
        server_header=False,
        forwarded_allow_ips=options.proxies,
        root_path=options.root_path,
        backlog=_BACKLOG,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE,
    )
    return StoppableServer(config, folder, abandon)
