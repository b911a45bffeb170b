"""Images at addresses that requests name: public addresses alone, within limits.

The address that a name stands for is checked and then connected to, so no second look-up can give
another one. Redirects are checked in the same way. One time limit holds over connections,
redirects, heads and bodies.
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, cast
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
)

from rilievo.errors import one_line
from rilievo.frozen import frozen
from rilievo.io.files.limits import reason
from rilievo.io.files.web import asked_for, is_url
from rilievo.serving.listener.request_refusals import Refusal, stopping
from rilievo.serving.server.requests.public_addresses import is_public

_TIMEOUT = 10.0
"""Seconds without any byte."""
_LOOK = 0.5
"""Seconds between looks at whether the fetch is still wanted."""
_HANDSHAKE = 3.0
"""Seconds for a connection, and for its encryption."""
_MOST_PLACES = 4
"""IP addresses of one host that are tried."""
_CHUNK = 2**16
Allowed = Callable[[str, int], bool]
"""Whether an IP address and port may be connected to."""


@frozen
class _Limit:
    """End of one fetch, which every wait for the network looks at."""

    end: float
    is_stopping: Callable[[], bool]
    shown: str

    def left(self) -> float:
        """Seconds for the next wait at most; refused where there are none."""
        if self.is_stopping():
            raise stopping()
        left = self.end - time.monotonic()
        if left <= 0:
            raise Refusal(422, f"url: {self.shown} comes too slowly")
        return min(left, _LOOK)


class _Reader(io.RawIOBase):
    """Bytes of a connection, each read within the limit: header lines and chunks are no exception.

    http.client asks for whole lines, and waits for each byte of them anew.
    """

    def __init__(self, connection: socket.socket, limit: _Limit) -> None:
        self._connection, self._limit = connection, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        quiet = time.monotonic()
        while True:
            self._connection.settimeout(self._limit.left())
            try:
                return self._connection.recv_into(buffer)
            except TimeoutError:
                if time.monotonic() - quiet > _TIMEOUT:
                    raise

    def close(self) -> None:
        self._connection.close()
        super().close()


class _TimedSocket:
    """The part of a socket that http.client uses, within a limit."""

    def __init__(self, connection: socket.socket, limit: _Limit) -> None:
        self._connection, self._limit = connection, limit
        self._is_read = False

    def makefile(self, mode: str) -> io.BufferedReader:
        """Make the reader, which then owns the connection."""
        self._is_read = True
        return io.BufferedReader(_Reader(self._connection, self._limit))

    def sendall(self, data: bytes) -> None:
        """Send the request, which is short."""
        self._limit.left()
        self._connection.settimeout(min(_TIMEOUT, max(self._limit.end - time.monotonic(), 0.01)))
        self._connection.sendall(data)

    def close(self) -> None:
        """Close the connection, unless its reader does."""
        if not self._is_read:
            self._connection.close()


def fetch_public(
    url: str,
    *,
    max_bytes: int,
    seconds: float | int,
    allowed: Allowed = is_public,
    is_stopping: Callable[[], bool] = lambda: False,
) -> bytes:
    """Fetch the bytes at an address of the internet.

    Args:
        url: The address.
        max_bytes: Most bytes.
        seconds: Time for all of it: connections, redirects, heads and bodies.
        allowed: Whether an IP address and port may be connected to.
        is_stopping: Function that tells whether the fetch is no longer wanted; it is asked at least
            every half second.
    """
    shown = one_line(url[:200])
    if not is_url(url):
        raise Refusal(400, f"url: '{shown}' begins with neither http:// nor https://")
    limit = _Limit(end=time.monotonic() + seconds, is_stopping=is_stopping, shown=shown)
    try:
        with _opener(allowed, limit).open(asked_for(url), timeout=_TIMEOUT) as answer:
            return _read(answer, shown, max_bytes)
    except Refusal:
        raise
    except HTTPError as error:
        error.close()
        raise Refusal(422, f"url: {shown} answers with status {error.code}") from error
    except URLError as error:
        if isinstance(error.reason, Refusal):
            raise error.reason from error
        raise Refusal(422, f"url: {shown} cannot be reached") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Refusal(422, f"url: {shown} cannot be fetched ({reason(error)})") from error


def _read(answer: http.client.HTTPResponse, shown: str, max_bytes: int) -> bytes:
    content = bytearray()
    # read would wait for a whole chunk, however slowly it comes.
    while chunk := answer.read1(_CHUNK):
        content += chunk
        if len(content) > max_bytes:
            raise Refusal(413, f"url: {shown} is larger than {max_bytes / 1e6:g} MB")
    return bytes(content)


def _opener(allowed: Allowed, limit: _Limit) -> OpenerDirector:
    """An opener without proxies, files, ftp or data, whose connections are checked."""

    class Plain(HTTPHandler):
        def http_open(self, req: Request) -> http.client.HTTPResponse:
            return self.do_open(_plain(allowed, limit), req)

    class Encrypted(HTTPSHandler):
        def https_open(self, req: Request) -> http.client.HTTPResponse:
            return self.do_open(_encrypted(allowed, limit), req)

    opener = OpenerDirector()
    for handler in (Plain, Encrypted, HTTPRedirectHandler, HTTPErrorProcessor):
        opener.add_handler(handler())
    opener.add_handler(HTTPDefaultErrorHandler())
    return opener


def _plain(allowed: Allowed, limit: _Limit) -> type[http.client.HTTPConnection]:
    class Checked(http.client.HTTPConnection):
        def connect(self) -> None:
            found = _connected(self.host, self.port, allowed, limit)
            self.sock = cast("socket.socket", _TimedSocket(found, limit))

    return Checked


def _encrypted(allowed: Allowed, limit: _Limit) -> type[http.client.HTTPSConnection]:
    class Checked(http.client.HTTPSConnection):
        def connect(self) -> None:
            plain = _connected(self.host, self.port, allowed, limit)
            context = ssl.create_default_context()
            # The time is over the whole handshake, however many bytes it comes in.
            plain.settimeout(min(_HANDSHAKE, max(limit.end - time.monotonic(), 0.01)))
            found = context.wrap_socket(plain, server_hostname=self.host)
            self.sock = cast("socket.socket", _TimedSocket(found, limit))

    return Checked


def _connected(host: str, port: int, allowed: Allowed, limit: _Limit) -> socket.socket:
    """A connection to the first allowed IP address of a host that takes it."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    places = [place for *_, place in found if allowed(str(place[0]), port)]
    if not places:
        raise Refusal(403, "url: its host is not on the public internet, or its port not 80 or 443")
    failure = OSError("no address")
    for place in places[:_MOST_PLACES]:
        limit.left()
        seconds = min(_HANDSHAKE, max(limit.end - time.monotonic(), 0.01))
        try:
            return socket.create_connection((str(place[0]), port), timeout=seconds)
        except OSError as error:
            failure = error
    raise failure
