"""The server: made, run by uvicorn, and tidied up at the end."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.errors import needing
from rilievo.serving.listener.ending import ended_by_sigterm
from rilievo.serving.listener.listening import address_of, listening
from rilievo.serving.server.server_options import ServerOptions

if TYPE_CHECKING:
    from rilievo.serving.server.routes import Extension
    from rilievo.serving.server.work.service import Service

_BACKLOG = 512
_MOST_CONNECTIONS = 1000


def serve(
    options: ServerOptions,
    ready: Callable[[str], None],
    extend: "Callable[[Service, Path], Extension] | None" = None,
) -> None:
    """Serve until stopped."""
    with ended_by_sigterm():
        _serve(options, ready, extend)


def _serve(
    options: ServerOptions,
    ready: Callable[[str], None],
    extend: "Callable[[Service, Path], Extension] | None",
) -> None:
    with needing("the server", "serve" if extend is None else "app"):
        import prometheus_client  # noqa: F401
        import pydantic  # noqa: F401
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn
        import websockets  # noqa: F401

        from rilievo.serving.listener.connections import Connections
        from rilievo.serving.listener.impatient_protocol import counting
        from rilievo.serving.listener.stopping import GRACE, StoppableServer
        from rilievo.serving.listener.work.freed_memory import share_arenas
        from rilievo.serving.server.decoding.decoders import Decoders
        from rilievo.serving.server.temporary_folders import own_folder

    share_arenas()
    _keep_quiet()
    tokens = options.tokens()
    with listening(options) as listener, own_folder() as folder:
        config = uvicorn.Config(
            _application(options, folder, tokens, extend),
            http=counting(Connections(options.limits.connections, options.proxies)),
            ws="websockets-sansio",
            ws_max_size=options.max_bytes,
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
        ready(address_of(options, listener.getsockname()[1]))
        StoppableServer(config, folder, Decoders.abandon).run(sockets=[listener])


def _keep_quiet() -> None:
    """Keep what clients send wrongly out of the log, as its size would be in their hands."""
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def _application(
    options: ServerOptions,
    folder: Path,
    tokens: tuple[str, ...],
    extend: "Callable[[Service, Path], Extension] | None",
) -> Any:
    from rilievo.serving.server.prometheus import Metrics
    from rilievo.serving.server.routes import application
    from rilievo.serving.server.temporary_folders import Disk, Folders
    from rilievo.serving.server.work.offered_models import offered_models
    from rilievo.serving.server.work.service import Service

    disk = Disk(int(options.limits.disk_megabytes * 1e6))
    service = Service(options, offered_models(options), Folders(folder, disk), Metrics())
    service.decoders.warm()
    service.networks.load_now(options.model)
    extension = None if extend is None else extend(service, folder)
    return application(service, tokens, extension)
