"""Access control: only what the page needs is reachable.

Gradio serves much that the page does not need: a proxy for foreign URLs, statistics about visitors,
developer tools. Requests for these, and for files that a visitor neither uploaded nor was given,
are answered with 404 before Gradio sees them. A question that names a file has to name an upload:
Gradio checks this only when it serves a page itself, and for a mounted page like ours it would copy
any file that the process can read.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_FILE = "/gradio_api/file="
_UPLOAD = "/gradio_api/upload"
_JOIN = "/gradio_api/queue/join"
_READ = re.compile(
    r"/|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt"
    r"|/(assets|static|svelte)/[\w./@+-]+"
    r"|/answers/[\w-]{22}/[\w./() -]+"
    r"|/gradio_api/(queue/data|startup-events|upload_progress|app_id|theme\.css)/?"
    r"|/gradio_api/heartbeat/\w+"
)
_WRITTEN = re.compile(r"/gradio_api/(upload|queue/join|cancel|reset)/?")

_MOST_WORDS = 256 * 1024
"""Most bytes of a request other than an upload."""
_ENVELOPE = 64 * 1024
"""Bytes that a form adds to the uploaded file."""
_MOST_UPLOADS = 16
"""Most uploads at the same time; by so much the disk limit may be exceeded for a moment."""
_UPLOAD_SECONDS = 600
"""Time after which an upload is aborted [s], so that slow ones free their slot."""

_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        b"media-src 'self' blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
        b"worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class _Refused(Exception):
    """A request that is refused, or aborted."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Guard:
    """ASGI middleware that passes on only the requests that the page needs."""

    def __init__(
        self,
        app: Application,
        *,
        uploads: Path,
        max_bytes: int,
        root_path: str,
        make_room: Callable[[], None] = lambda: None,
    ) -> None:
        """Wrap an application.

        Args:
            app: Application of the page.
            uploads: The only folder whose files may be fetched by path.
            max_bytes: Most bytes of an upload.
            root_path: Path under which a proxy serves the page; it may or may not have been removed
                from requests.
            make_room: Function called before an upload, to bring disk use below its limit.
        """
        self._app, self._uploads = app, uploads.resolve()
        self._max_bytes, self._root_path = max_bytes, root_path.rstrip("/")
        self._make_room, self._uploading = make_room, 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http" or not self.is_open(scope["method"], self._path(scope)):
            await _refuse(send, 404, "not found")
            return
        most = self._most(self._path(scope))
        if _length(scope) > most:
            await _refuse(send, 413, self._too_large())
            return
        await self._pass_on(scope, self._counted(receive, most), send)

    def is_open(self, method: str, path: str) -> bool:
        """Whether the page makes requests of this kind."""
        if ".." in path or "\\" in path or "\0" in path:
            return False
        if method == "POST":
            return _WRITTEN.fullmatch(path) is not None
        if method not in ("GET", "HEAD"):
            return False
        if path.startswith(_FILE):
            return self._is_uploaded(path.removeprefix(_FILE))
        return _READ.fullmatch(path) is not None

    def _counted(self, receive: Receive, most: int) -> Receive:
        """The same request, aborted if it has more bytes than announced or allowed."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise _Refused(413, self._too_large())
            return message

        return counted

    async def _questioned(self, receive: Receive) -> Receive:
        """Read and check the body of a question.

        Raises:
            _Refused: If it names a file that is not an upload, or is not valid.
        """
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _Refused(400, "no question") from error
        if not all(self._is_uploaded(path) for path in _paths(asked)):
            raise _Refused(400, "the request names a file that is not an upload")
        return _again(body, receive)

    def _is_uploaded(self, path: str) -> bool:
        """Whether a path is that of a file in the upload folder, without links out of it."""
        try:
            return Path(path).resolve().is_relative_to(self._uploads)
        except (OSError, ValueError, RuntimeError):
            return False

    def _path(self, scope: Message) -> str:
        path = scope["path"]
        if self._root_path and path.startswith(self._root_path + "/"):
            return path.removeprefix(self._root_path)
        return path

    def _most(self, path: str) -> int:
        return self._max_bytes + _ENVELOPE if path.startswith(_UPLOAD) else _MOST_WORDS

    def _too_large(self) -> str:
        return f"too large: at most {self._max_bytes / 1e6:g} MB"

    async def _pass_on(self, scope: Message, receive: Receive, send: Send) -> None:
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        try:
            if self._path(scope).startswith(_JOIN):
                receive = await self._questioned(receive)
            if scope["method"] == "POST" and self._path(scope).startswith(_UPLOAD):
                await self._take(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        except _Refused as refused:
            if not begun:
                await _refuse(send, refused.status, refused.why)

    async def _take(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on an upload if there is a free slot.

        Raises:
            _Refused: If there are too many uploads already, or it takes too long.
        """
        if self._uploading >= _MOST_UPLOADS:
            raise _Refused(503, "too many uploads at once: try again in a minute")
        self._uploading += 1
        try:
            async with asyncio.timeout(_UPLOAD_SECONDS):
                await asyncio.to_thread(self._make_room)
                await self._app(scope, receive, send)
        except TimeoutError as error:
            raise _Refused(408, "the upload took too long") from error
        finally:
            self._uploading -= 1


def _paths(asked: Any) -> Iterator[str]:
    """Yield every path that a question names, at any depth."""
    waiting = [asked]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
            if "path" in each:
                yield str(each["path"])


def _again(body: bytes, receive: Receive) -> Receive:
    """Replay a request whose body was read."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _length(scope: Message) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _refuse(send: Send, status: int, why: str) -> None:
    body = why.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
