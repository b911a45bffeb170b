"""A service on this machine that behaves, and misbehaves, like the API of replicate.com.

Written from its HTTP reference: files, models, predictions, cancelling, results elsewhere. What
it does wrong is told beforehand: ``server.next("POST /v1/predictions", ...)`` queues answers that
come in place of the right ones.
"""

import json
import re
import struct
import threading
import time
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "r8_thisIsASecretOfSomeone0123456789"
VERSION = "5c" * 32


def grey_png(rows: list[list[int]], bits: int = 8) -> bytes:
    """A grey PNG written byte by byte."""
    code = ">B" if bits == 8 else ">H"
    raw = b"".join(b"\0" + b"".join(struct.pack(code, value) for value in row) for row in rows)
    return png(len(rows[0]), len(rows), bits, 0, raw)


def colour_png(width: int, height: int) -> bytes:
    """A PNG of red and blue columns."""
    row = b"\0" + b"".join(b"\xff\0\0" if u % 2 else b"\0\0\xff" for u in range(width))
    return png(width, height, 8, 2, row * height)


def png(width: int, height: int, bits: int, colours: int, raw: bytes) -> bytes:
    """A PNG of any header; ``colours`` 0 is grey, 2 RGB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@dataclass(frozen=True, kw_only=True)
class Said:
    """One answer; ``claimed`` is the length that its header lies about."""

    status: int = 200
    body: bytes | dict[str, Any] | list[Any] = b""
    type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    claimed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    time: float

    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


Picture = Callable[[bytes], list[tuple[str, bytes]]]


def one_ramp(_: bytes) -> list[tuple[str, bytes]]:
    """A result of one grey picture of 64 x 48: brighter to the right."""
    return [("image/png", grey_png([[4 * u for u in range(64)]] * 48))]


class Service:
    """State of the look-alike."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.files: dict[str, bytes] = {}
        self.results: dict[str, tuple[str, bytes]] = {}
        self.predictions: dict[str, dict[str, Any]] = {}
        self.polls_needed = 1
        self.picture: Picture = one_ramp
        self.shape_output: Callable[[list[str]], Any] = lambda found: found[0]
        self.fails_with: str | None = None
        self.cancelled: list[str] = []
        self.address = ""
        self._queued: defaultdict[str, deque[Said]] = defaultdict(deque)

    def next(self, where: str, *answers: Said) -> None:
        """Answer requests that begin with ``where`` with these first."""
        self._queued[where].extend(answers)

    def count(self, where: str) -> int:
        return sum(f"{each.method} {each.path}".startswith(where) for each in self.requests)

    def answer(self, request: Request) -> Said:
        self.requests.append(request)
        line = f"{request.method} {request.path}"
        for where, queue in self._queued.items():
            if line.startswith(where) and queue:
                return queue.popleft()
        if request.path.startswith("/results/"):
            kind, body = self.results[request.path]
            return Said(body=body, type=kind)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Said(status=401, body={"title": "Unauthenticated", "detail": "no valid token"})
        for pattern, route in _ROUTES:
            if found := re.fullmatch(pattern, line):
                return route(self, request, *found.groups())
        return Said(status=404, body={"detail": "The requested resource could not be found."})

    def upload(self, request: Request) -> Said:
        mark = request.headers["Content-Type"].partition("boundary=")[2].encode()
        [part] = [each for each in request.body.split(b"--" + mark) if b'name="content"' in each]
        content = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        id = f"file{len(self.files)}"
        self.files[id] = content
        facts = {"id": id, "name": "photograph.png", "content_type": "image/png", "etag": "e"}
        facts |= {"size": len(content), "checksums": {}, "metadata": {}, "expires_at": None}
        facts |= {"created_at": "now", "urls": {"get": f"{self.address}/v1/files/{id}"}}
        return Said(status=201, body=facts)

    def forget(self, request: Request, id: str) -> Said:
        del self.files[id]
        return Said(status=204)

    def model(self, request: Request) -> Said:
        return Said(body={"owner": "who", "name": "depth", "latest_version": {"id": VERSION}})

    def version(self, request: Request, id: str) -> Said:
        return Said(body={"id": id, "created_at": "2024-01-01T00:00:00Z"})

    def create(self, request: Request) -> Said:
        id = f"prediction{len(self.predictions)}"
        [source] = [each for each in request.json()["input"].values() if "/v1/files/" in str(each)]
        self.predictions[id] = {
            "left": self.polls_needed,
            "photo": self.files[source.rsplit("/", 1)[1]],
        }
        return Said(status=201, body=self._facts(id, "starting"))

    def look(self, request: Request, id: str) -> Said:
        entry = self.predictions[id]
        entry["left"] -= 1
        if id in self.cancelled:
            return Said(body=self._facts(id, "canceled"))
        if entry["left"] > 0:
            return Said(body=self._facts(id, "processing"))
        if self.fails_with is not None:
            return Said(body=self._facts(id, "failed") | {"error": self.fails_with})
        found = []
        for index, result in enumerate(self.picture(entry["photo"])):
            place = f"/results/{id}/{index}.png"
            self.results[place] = result
            found.append(self.address + place)
        return Said(body=self._facts(id, "succeeded") | {"output": self.shape_output(found)})

    def cancel(self, request: Request, id: str) -> Said:
        self.cancelled.append(id)
        return Said(body=self._facts(id, "canceled"))

    def _facts(self, id: str, status: str) -> dict[str, Any]:
        # Addresses that an answer names are not where a token may go.
        elsewhere = {"get": "http://192.0.2.1/get", "cancel": "http://192.0.2.1/cancel"}
        facts = {"id": id, "model": "who/depth", "version": VERSION, "input": {}, "urls": elsewhere}
        return facts | {"status": status, "output": None, "error": None, "logs": ""}


_ROUTES: list[tuple[str, Callable[..., Said]]] = [
    (r"POST /v1/files", Service.upload),
    (r"DELETE /v1/files/(\w+)", Service.forget),
    (r"GET /v1/models/who/depth", Service.model),
    (r"GET /v1/models/[\w-]+/[\w-]+/versions/(\w+)", Service.version),
    (r"POST /v1/predictions", Service.create),
    (r"GET /v1/predictions/(\w+)", Service.look),
    (r"POST /v1/predictions/(\w+)/cancel", Service.cancel),
]


@contextmanager
def replicate_server() -> Iterator[Service]:
    """The look-alike on a free port of this machine."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            said = service.answer(
                Request(
                    method=self.command,
                    path=self.path,
                    headers=dict(self.headers.items()),
                    body=body,
                    time=time.monotonic(),
                )
            )
            time.sleep(said.delay)
            content = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            try:
                self.send_response(said.status)
                if said.status != 204:
                    self.send_header("Content-Type", said.type)
                    length = len(content) if said.claimed is None else said.claimed
                    self.send_header("Content-Length", str(length))
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                # The client waits no longer, which is what some tests are about.
                self.close_connection = True

        do_GET = do_POST = do_DELETE = _serve

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
