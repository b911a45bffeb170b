"""What of the server is reachable: what the page needs, and nothing else.

Gradio serves much that this page has no use for: other people's addresses fetched on request,
figures of its visitors, tools for developers. All of that is answered as not found here, before
Gradio sees it, and so is every file that a visitor did not upload or was not given. A question that
names a file must name an upload: Gradio checks that only of pages that it serves by itself, and
would copy any file that this process can read for a page that is mounted, as ours is.
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
"""Most bytes of a request that is no upload."""
_ENVELOPE = 64 * 1024
"""What a form adds to the file within."""
_MOST_UPLOADS = 16
"""At the same time: what the disk may hold more than its limit for a moment."""
_UPLOAD_SECONDS = 600
"""After which an upload is given up, so that slow ones leave their place to others."""

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
    """A request that is not passed on, or not to its end."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Guard:
    """An ASGI application around another, which sees only what the page needs."""

    def __init__(
        self,
        app: Application,
        *,
        uploads: Path,
        max_bytes: int,
        root_path: str,
        make_room: Callable[[], None] = lambda: None,
    ) -> None:
        """Guard an application.

        Args:
            app: The page.
            uploads: The one folder whose files may be fetched by their path.
            max_bytes: Of an upload.
            root_path: Where a proxy shows the page; it may or may not have cut it off.
            make_room: Called before an upload, to bring the disk within its limit.
        """
        self._app, self._uploads = app, uploads.resolve()
        self._max_bytes, self._root_path = max_bytes, root_path.rstrip("/")
        self._make_room, self._uploading = make_room, 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
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
        """Whether a request is one that the page makes."""
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
        """The same request, which ends where it has more bytes than it said or may have."""
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
        """The same request, read and looked through.

        Raises:
            _Refused: If it names what is no upload, or is no question at all.
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
            raise _Refused(400, "a question that names something else than an upload")
        return _again(body, receive)

    def _is_uploaded(self, path: str) -> bool:
        """Whether it is a file of the folder of uploads, by no link out of it."""
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
        """Pass on an upload, where there is room for it.

        Raises:
            _Refused: If too many come in already, or it takes too long.
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
    """Every path that a question names, however deep."""
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
    """A request that was read already, once more."""
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
