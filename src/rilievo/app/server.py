"""The app: ``rilievo serve`` with a page in front, and results that have an address."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.app.options import AppOptions
from rilievo.serve.server import serve
from rilievo.views.browser.document import AppSettings
from rilievo.views.browser.folder import write_page

if TYPE_CHECKING:
    from rilievo.app.routes import Site
    from rilievo.serve.service import Service


def serve_app(options: AppOptions, ready: Callable[[str], None]) -> None:
    """Serve the page until stopped."""

    def extend(service: "Service", folder: Path) -> "Site":
        settings = AppSettings(
            base=f"{options.root_path}/",
            models=service.offered.facts(),
            keep_minutes=options.keep_minutes,
            max_bytes=options.max_bytes,
        )
        page = write_page(folder / "page", app=settings).folder
        return site_of(service, folder / "results", page, options)

    serve(options, ready, extend)


def site_of(service: "Service", folder: Path, page: Path, options: AppOptions) -> "Site":
    """Prepare what the routes of the page need."""
    from rilievo.app.photographs import Photographs
    from rilievo.app.routes import Site
    from rilievo.app.store import Store
    from rilievo.app.videos import Videos

    most = int(options.keep_megabytes * 1e6)
    store = Store(folder, most_bytes=most, minutes=options.keep_minutes)
    return Site(
        page=page,
        service=service,
        store=store,
        photographs=Photographs(service, store),
        videos=Videos(service, store, options),
    )
