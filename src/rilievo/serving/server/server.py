"""Run the server."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.errors import explain_missing_extra
from rilievo.serving.listener.listening import listening_socket, local_url
from rilievo.serving.listener.process import exit_zero_on_sigterm, share_arenas
from rilievo.serving.server.server_options import ServerOptions

if TYPE_CHECKING:
    from rilievo.serving.server.routes import Extension
    from rilievo.serving.server.service import Service


@exit_zero_on_sigterm()
def serve(
    options: ServerOptions,
    ready: Callable[[str], None],
    extend: "Callable[[Service, Path], Extension] | None" = None,
) -> None:
    """Serve until a signal stops the process.

    ``ready`` gets the URL once the server listens, and ``extend`` makes the routes of the app.
    """
    command = "serve" if extend is None else "app"
    with explain_missing_extra("the server", command):
        import prometheus_client  # noqa: F401
        import pydantic  # noqa: F401
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401

        from rilievo.serving.listener.http_server import http_server
        from rilievo.serving.server.decoding.decoder_pool import Decoders
        from rilievo.serving.server.request_files import server_folder

    share_arenas()
    _silence_logs_and_warnings()
    tokens = options.tokens()
    with listening_socket(options, command) as listener, server_folder() as folder:
        application = _build_application(options, folder, tokens, extend)
        ready(local_url(options, listener.getsockname()[1]))
        server = http_server(
            application,
            options,
            connections=options.limits.connections,
            frame_bytes=options.max_bytes,
            folder=folder,
            abandon=Decoders.abandon,
        )
        server.run(sockets=[listener])


def _silence_logs_and_warnings() -> None:
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def _build_application(
    options: ServerOptions,
    folder: Path,
    tokens: tuple[str, ...],
    extend: "Callable[[Service, Path], Extension] | None",
) -> Any:
    """Make the ASGI application, with the default model loaded and decoders started.

    ``folder`` is for the files of requests. ``extend`` makes further routes, such as the app's.
    """
    # Imported on demand, because these modules need packages of the extra.
    from rilievo.serving.server.counters import Metrics
    from rilievo.serving.server.offered_models import offered_models
    from rilievo.serving.server.request_files import Disk, Folders
    from rilievo.serving.server.routes import application
    from rilievo.serving.server.service import Service

    disk = Disk(int(options.limits.disk_megabytes * 1e6))
    service = Service(options, offered_models(options), Folders(folder, disk), Metrics())
    service.decoders.start_ahead()
    service.networks.load_now(options.default_model)
    extension = None if extend is None else extend(service, folder)
    return application(service, tokens, extension)
