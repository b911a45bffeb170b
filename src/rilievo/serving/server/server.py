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

    MakeExtension = Callable[[Service, Path], Extension]


@exit_zero_on_sigterm()
def serve(
    options: ServerOptions,
    on_ready: Callable[[str], None],
    make_extension: "MakeExtension | None" = None,
) -> None:
    """Run the HTTP server in this process, until a signal stops it.

    Args:
        options: Address, models and limits.
        on_ready: Function that is called with the server's URL once the server listens.
        make_extension: Function that makes the endpoints of ``rilievo app``; ``rilievo serve`` has
            none. It gets the service, and a folder that is removed when the server stops.

    Raises:
        MissingExtraError: If a package that the server needs is not installed.
        OutputError: If the server cannot listen at the address.
    """
    command = "serve" if make_extension is None else "app"
    with explain_missing_extra("the server", command):
        _import_required_packages()
        from rilievo.serving.listener.http_server import http_server
        from rilievo.serving.server.decoding.decoder_pool import Decoders
        from rilievo.serving.server.request_files import server_folder

    share_arenas()
    _silence_logs_and_warnings()
    tokens = options.tokens()
    with listening_socket(options, command) as listener, server_folder() as folder:
        application = _build_application(options, folder, tokens, make_extension)
        _, port, *_ = listener.getsockname()
        on_ready(local_url(options, port))
        server = http_server(
            application,
            options,
            max_client_connections=options.limits.connections,
            max_frame_bytes=options.max_bytes,
            folder=folder,
            kill_processes=Decoders.kill_all_processes,
        )
        server.run(sockets=[listener])


def _import_required_packages() -> None:
    """Import the packages of the extra, so that a missing one is noticed before the server starts.

    Raises:
        ModuleNotFoundError: If a package is not installed.
    """
    import prometheus_client  # noqa: F401
    import pydantic  # noqa: F401
    import python_multipart  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
    import websockets  # noqa: F401


def _silence_logs_and_warnings() -> None:
    """Keep what hostile files and requests provoke out of the server's log."""
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def _build_application(
    options: ServerOptions,
    folder: Path,
    tokens: tuple[str, ...],
    make_extension: "MakeExtension | None",
) -> Any:
    """Make the ASGI application, with the default model loaded and decoders started.

    The files of requests are in ``folder``. ``serve`` explains ``make_extension``.
    """
    # Imported on demand, because these modules need packages of the extra.
    from rilievo.serving.server.counters import Metrics
    from rilievo.serving.server.offered_models import offered_models
    from rilievo.serving.server.request_files import Disk, Folders
    from rilievo.serving.server.routes import application
    from rilievo.serving.server.service import Service

    disk = Disk(int(options.limits.disk_megabytes * 1e6))
    service = Service(options, offered_models(options), Folders(folder, disk), Metrics())
    service.decoders.start_idle_processes()
    service.networks.load_now(options.default_model)
    extension = None if make_extension is None else make_extension(service, folder)
    return application(service, tokens, extension)
