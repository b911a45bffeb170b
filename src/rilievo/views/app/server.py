"""Server of the app: set-up, access control, running, and removal of its folder."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rilievo.errors import MissingExtraError, OutputError
from rilievo.io.limits import reason
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.views.app.answers import AnswerStore
from rilievo.views.app.choices import choices
from rilievo.views.app.guard import Guard
from rilievo.views.app.network import Networks
from rilievo.views.app.options import AppOptions
from rilievo.views.app.site import Site
from rilievo.views.app.sweeper import Sweeper

STYLE = Path(__file__).with_name("style.css")

# Gradio reads these when it is imported or when blocks are made.
_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


@contextmanager
def made_site(options: AppOptions) -> Iterator[Site]:
    """Create the app's state in a folder of its own, which is removed at the end.

    Raises:
        MissingExtraError: If Gradio is not installed.
        RilievoError: If the initial model cannot be loaded, or an offered model is not valid.
    """
    if find_spec("gradio") is None:
        raise MissingExtraError("the app", "app")
    listed = choices(options.model, options.offered)

    def load(name: str) -> Model:
        return load_model(name, device=options.device)

    networks = Networks(load, limit=options.time_limit)
    networks.model(options.model)
    with tempfile.TemporaryDirectory(prefix="rilievo-app-") as folder:
        uploads, answers = Path(folder) / "uploads", Path(folder) / "answers"
        uploads.mkdir()
        answers.mkdir()
        store = AnswerStore(answers, networks, max_pixels=options.max_pixels)
        sweeper = Sweeper(
            store,
            uploads,
            seconds=60 * options.keep_minutes,
            most_bytes=1e6 * options.keep_megabytes,
        )
        # As many threads as requests may wait for the network; two more handle clicks and files.
        pool = ThreadPoolExecutor(options.workers + 2, "work")
        try:
            yield Site(
                options=options,
                listed=listed,
                store=store,
                uploads=uploads,
                pool=pool,
                make_room=sweeper.make_room,
            )
        finally:
            sweeper.close()
            networks.close()
            pool.shutdown(cancel_futures=True)


def application(site: Site) -> Any:
    """Make the ASGI application of the page, with access control."""
    os.environ.update(_QUIET, GRADIO_TEMP_DIR=str(site.uploads))
    import gradio as gr
    from fastapi import FastAPI

    from rilievo.views.app.page import page, theme
    from rilievo.views.app.routes import answer_routes

    options = site.options
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.router.routes.extend(answer_routes(site.store, site.pool))
    app = gr.mount_gradio_app(
        app,
        page(site),
        path="/",
        root_path=options.root_path or None,
        max_file_size=options.max_bytes,
        ssr_mode=False,
        show_error=False,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        allowed_paths=[],
        theme=theme(),
        css=STYLE.read_text(encoding="utf-8"),
    )
    return Guard(
        app,
        uploads=site.uploads,
        max_bytes=options.max_bytes,
        root_path=options.root_path,
        make_room=site.make_room,
    )


def serve(options: AppOptions, ready: Callable[[str], None]) -> None:
    """Serve the page until stopped.

    Args:
        options: Address and limits.
        ready: Function that is given the address once it can be opened.

    Raises:
        MissingExtraError: If Gradio is not installed.
        OutputError: If the address cannot be listened at.
        RilievoError: If the model cannot be loaded.
    """
    with made_site(options) as site, _listening(options) as listener:
        guarded = application(site)
        import uvicorn

        config = uvicorn.Config(
            guarded,
            log_level="warning",
            access_log=False,
            server_header=False,
            # The page keeps a connection open as long as it is shown.
            timeout_graceful_shutdown=2,
        )
        ready(_address(options, listener.getsockname()[1]))
        uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _listening(options: AppOptions) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        raise OutputError(
            f"--host {options.host} --port {options.port} cannot be used "
            f"({reason(error)}): take another port, or 0 for a free one"
        ) from error
    with listener:
        yield listener


def _address(options: AppOptions, port: int) -> str:
    host = "127.0.0.1" if options.host in ("0.0.0.0", "::") else options.host
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"
