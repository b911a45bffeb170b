"""Images at addresses that requests name: public addresses alone, within limits.

The address that a name stands for is checked and then connected to, so no second look-up can give
another one. Redirects are checked in the same way.
"""

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
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
from rilievo.io.limits import reason
from rilievo.io.web import asked_for, is_url
from rilievo.serve.refusals import Refusal

_TIMEOUT = 10.0
"""Seconds without any byte."""
_CHUNK = 2**16
_PORTS = (80, 443)
_NOT_PUBLIC = tuple(
    map(
        ipaddress.IPv6Network,
        ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "fec0::/10"),
    )
)
"""Networks whose addresses stand for IPv4 ones, which may be private, and those of one site."""

Allowed = Callable[[str, int], bool]
"""Whether an IP address and port may be connected to."""


def is_public(address: str, port: int) -> bool:
    """Whether an IP address is one of the internet, and the port one of the web."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if any(found in network for network in _NOT_PUBLIC):
            return False
        found = found.ipv4_mapped or found
    return found.is_global and not found.is_multicast and port in _PORTS


def fetch_public(
    url: str, *, max_bytes: int, seconds: float | int, allowed: Allowed = is_public
) -> bytes:
    """The bytes at an address of the internet."""
    shown = one_line(url[:200])
    if not is_url(url):
        raise Refusal(400, f"url: '{shown}' begins with neither http:// nor https://")
    end = time.monotonic() + seconds
    try:
        with _opener(allowed).open(asked_for(url), timeout=_TIMEOUT) as answer:
            return _read(answer, shown, max_bytes, end)
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


def _read(answer: http.client.HTTPResponse, shown: str, max_bytes: int, end: float) -> bytes:
    content = bytearray()
    # read would wait for a whole chunk, however slowly it comes.
    while chunk := answer.read1(_CHUNK):
        content += chunk
        if len(content) > max_bytes:
            raise Refusal(413, f"url: {shown} is larger than {max_bytes / 1e6:g} MB")
        if time.monotonic() > end:
            raise Refusal(422, f"url: {shown} comes too slowly")
    return bytes(content)


def _opener(allowed: Allowed) -> OpenerDirector:
    """An opener without proxies, files, ftp or data, whose connections are checked."""

    class Plain(HTTPHandler):
        def http_open(self, req: Request) -> http.client.HTTPResponse:
            return self.do_open(_plain(allowed), req)

    class Encrypted(HTTPSHandler):
        def https_open(self, req: Request) -> http.client.HTTPResponse:
            return self.do_open(_encrypted(allowed), req)

    opener = OpenerDirector()
    for handler in (Plain, Encrypted, HTTPRedirectHandler, HTTPErrorProcessor):
        opener.add_handler(handler())
    opener.add_handler(HTTPDefaultErrorHandler())
    return opener


def _plain(allowed: Allowed) -> type[http.client.HTTPConnection]:
    class Checked(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = _connected(self.host, self.port, allowed)

    return Checked


def _encrypted(allowed: Allowed) -> type[http.client.HTTPSConnection]:
    class Checked(http.client.HTTPSConnection):
        def connect(self) -> None:
            plain = _connected(self.host, self.port, allowed)
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(plain, server_hostname=self.host)

    return Checked


def _connected(host: str, port: int, allowed: Allowed) -> socket.socket:
    """A connection to the first allowed IP address of a host that takes it."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    places = [place for *_, place in found if allowed(str(place[0]), port)]
    if not places:
        raise Refusal(403, "url: its host is not on the public internet, or its port not 80 or 443")
    failure = OSError("no address")
    for place in places:
        try:
            return socket.create_connection((str(place[0]), port), timeout=_TIMEOUT)
        except OSError as error:
            failure = error
    raise failure
