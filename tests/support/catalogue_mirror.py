"""A mirror of the hub on this machine whose files are look-alikes of the published ones."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rilievo.models import MODELS
from rilievo.models.catalogue import table
from rilievo.models.catalogue.table import RemoteFile
from support.static_host import Quiet, hosted


class Stating(Quiet):
    """Files whose size and SHA-256 are stated in the hub's own headers."""

    def end_headers(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.is_file():
            self.send_header("X-Linked-Size", str(path.stat().st_size))
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            self.send_header("X-Linked-Etag", f'"{digest}"')
        super().end_headers()


@dataclass(frozen=True, kw_only=True)
class CatalogueMirror:
    """A folder that is served, and the address of the server."""

    site: Path
    address: str
    patch: pytest.MonkeyPatch

    def offer(self, name: str, write: Callable[[Path], object]) -> Path:
        """Serve what ``write`` makes of a path as the graph of a model, with its true hashes.

        Where the table has no hash, it has none here either: the mirror states it, as the hub does.
        """
        entry = table.ENTRIES[name]
        if not entry.is_on_hub:
            entry = replace(entry, repository=f"{self.address}/releases")
        place = (
            Path(entry.repository) / "resolve" / entry.revision
            if entry.is_on_hub
            else Path("releases")
        )
        folder = self.site / place
        graph = folder / entry.files[0].path
        graph.parent.mkdir(parents=True, exist_ok=True)
        write(graph)
        files = tuple(
            RemoteFile(path=file.path) if file.sha256 is None else _facts(folder, file.path)
            for file in entry.files
        )
        others = dict(table.ENTRIES)
        self.patch.setattr(table, "ENTRIES", {**others, name: replace(entry, files=files)})
        return graph


def _facts(folder: Path, path: str) -> RemoteFile:
    content = (folder / path).read_bytes()
    return RemoteFile(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CatalogueMirror]:
    """A mirror that is running, with empty caches."""
    assert len(MODELS.own)  # cards are kept once they are made: not those of look-alikes
    site = tmp_path / "site"
    site.mkdir()
    with hosted(site, Stating) as base:
        address = base.rstrip("/")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield CatalogueMirror(site=site, address=address, patch=monkeypatch)
