"""The app in the process of a test, around a quick model; its page is one file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rilievo.serving.app.app_routes import Site
from rilievo.serving.commands.app import build_site
from rilievo.serving.server.server_options import AppOptions
from support.served import Served, picture, served


class App:
    """A running app, and what a visitor's page asks of it."""

    def __init__(self, server: Served, site: Site) -> None:
        self.server, self.site, self.client = server, site, server.client

    def give(self, content: bytes | None = None, query: str = "name=holiday.jpg") -> str:
        """Have a photograph predicted; gives the id of the result."""
        answer = self.client.post(f"/app/results?{query}", content=content or picture())
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def files(self, id: str, query: str) -> Any:
        """Ask for files of a result."""
        return self.client.get(f"/app/results/{id}/files?{query}")

    @property
    def folders(self) -> set[str]:
        """Names of the folders of results."""
        return {path.name for path in self.site.store.folder.iterdir()}


@contextmanager
def served_app(folder: Path, **options: Any) -> Iterator[App]:
    """Serve the app for as long as the context lasts."""
    page, sites = folder / "page", list[Site]()
    page.mkdir()
    (page / "index.html").write_text("<title>the page</title>")
    (folder / "requests").mkdir()

    def extend(service: Any, extension: Any) -> Site:
        sites.append(build_site(service, folder / "results", page, extension))
        return sites[0]

    with served(folder / "requests", kind=AppOptions, extend=extend, **options) as server:
        yield App(server, sites[0])
