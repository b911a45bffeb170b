"""A server on this machine that answers as the Hugging Face hub does, or misbehaves as told."""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

REPOSITORY = "someone/tiny"


def commit_of(number: int) -> str:
    return f"{number:040x}"


@dataclass(kw_only=True)
class Hub:
    """Contents and behaviour of the server; tests change them while it runs.

    Attributes:
        files: Content of each file of the repository.
        commit: Commit of its main branch.
        fault: None, "500", "401", "gated", "truncated", "slow" or "html"; of the files, and of
            the interface where ``fault_everywhere``.
        asked: Method and path of every request.
        ended: Set at the end of the test, when slow answers need not wait any more.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    commit: str = commit_of(1)
    fault: str | None = None
    fault_everywhere: bool = False
    asked: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing: the tests look at ``asked``."""

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        is_api = path.startswith("/api/")
        if (not is_api or self.hub.fault_everywhere) and self._misbehaved(path):
            return
        if is_api:
            self._api(path)
        else:
            self._file(path, body=body)

    def _misbehaved(self, path: str) -> bool:
        fault = self.hub.fault
        if fault in ("500", "401", "404"):
            self._send(int(fault), b"broken")
        elif fault == "gated":
            self._send(403, b"gated", {"X-Error-Code": "GatedRepo"})
        elif fault == "html":
            self._send(200, b"<html>please log in</html>", {"Content-Type": "text/html"})
        elif fault == "slow":
            self.hub.ended.wait(60)
            self.close_connection = True
        else:
            return False
        return True

    def _api(self, path: str) -> None:
        start = f"/api/models/{REPOSITORY}"
        if not path.startswith(start):
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        rest = path.removeprefix(start)
        revision = rest.rsplit("/", 1)[-1] if "/" in rest else "main"
        if revision not in ("main", self.hub.commit):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif rest.startswith("/tree"):
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}
                for name, content in self.hub.files.items()
            ]
            self._json(tree)
        else:
            siblings = [{"rfilename": name} for name in self.hub.files]
            self._json({"id": REPOSITORY, "sha": self.hub.commit, "siblings": siblings})

    def _file(self, path: str, *, body: bool) -> None:
        _, _, name = path.partition(f"/{REPOSITORY}/resolve/")
        name = name.partition("/")[2]
        if name not in self.hub.files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        content = self.hub.files[name]
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": self.hub.commit}
        if self.hub.fault == "truncated" and body:
            self.send_response(200)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        self._send(200, content, headers, body=body)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(
        self, status: int, content: bytes, headers: dict[str, str] | None = None, body: bool = True
    ) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(content)


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A running hub that huggingface_hub takes for its own, with empty caches."""
    from huggingface_hub import constants, file_download, utils

    state = Hub()
    handler = type("Handler", (Handler,), {"hub": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "rilievo"))
    for name, value in {
        "ENDPOINT": endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DOWNLOAD_TIMEOUT": 60,
        "HF_HUB_ETAG_TIMEOUT": 60,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": True,
    }.items():
        monkeypatch.setattr(constants, name, value)
    # How long it waits for one file when it asks again.
    monkeypatch.setattr(file_download, "_ETAG_RETRY_TIMEOUT", 0.2)
    utils.disable_progress_bars()
    yield state
    utils.enable_progress_bars()
    state.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()
