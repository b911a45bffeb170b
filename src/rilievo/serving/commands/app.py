"""The command ``rilievo app``."""

import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, say
from rilievo.serving.browser.document import AppSettings
from rilievo.serving.browser.folder import write_page
from rilievo.serving.server.decoding.messages import decoding_isolation
from rilievo.serving.server.server import serve
from rilievo.serving.server.server_options import AppOptions

if TYPE_CHECKING:
    from rilievo.serving.app.app_routes import Site
    from rilievo.serving.server.service import Service


def serve_app(options: AppOptions, on_ready: Callable[[str], None]) -> None:
    """Serve the page until stopped; ``on_ready`` is called with its address once it answers."""

    def make_site(service: "Service", folder: Path) -> "Site":
        settings = AppSettings(
            base=f"{options.root_path}/",
            models=service.offered.describe(),
            keep_minutes=options.keep_minutes,
            max_bytes=options.max_bytes,
            embeds=bool(options.embedding_origins),
        )
        page = write_page(folder / "page", app=settings).folder
        return build_site(service, folder / "results", page, options)

    serve(options, on_ready, make_site)


def build_site(service: "Service", folder: Path, page: Path, options: AppOptions) -> "Site":
    """Build the app, which stores results in ``folder`` and serves the page's files in ``page``."""
    from rilievo.serving.app.app_photographs import PhotoResults
    from rilievo.serving.app.app_routes import Site
    from rilievo.serving.app.app_videos import Videos
    from rilievo.serving.app.result_store import ResultStore

    max_bytes = int(options.limits.result_megabytes * 1e6)
    store = ResultStore(folder, max_bytes=max_bytes, minutes=options.keep_minutes)
    return Site(
        page=page,
        service=service,
        store=store,
        photographs=PhotoResults(service, store),
        videos=Videos(service, store, options),
        embed_origins=options.embedding_origins,
    )


def main(arguments: Sequence[str]) -> int:
    """Run ``rilievo app``: serve the page until stopped."""
    options = parse(
        AppOptions,
        arguments,
        prog="rilievo app",
        description="Start a web app that predicts depth and surfaces for uploaded photographs.",
        examples=("rilievo app --open", "rilievo app --port 8080"),
    )

    def print_address(address: str) -> None:
        with printing():
            say(f"the app: {address} (press Ctrl-C to stop)", flush=True)
            say(decoding_isolation(), flush=True)
        if options.open:
            webbrowser.open(address)

    serve_app(options, print_address)
    return 0
