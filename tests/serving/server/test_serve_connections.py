"""Connections are counted by client, those of proxies not at all, and idle ones make room."""

import select
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest
from starlette.types import Receive, Scope, Send

from rilievo.serving.listener import http_server
from rilievo.serving.listener.connections import Connections
from rilievo.serving.listener.listening import AddressOptions

_PATIENCE = 30.0
_MOST = 16
_GREEDY, _OTHER, _HONEST = "127.0.0.2", "127.0.0.3", "127.0.0.9"


def test_a_client_has_so_many_connections_and_no_more() -> None:
    connections = Connections(2)
    assert [connections.admit("10.0.0.1") for _ in range(3)] == ["10.0.0.1", "10.0.0.1", None]
    assert connections.admit("10.0.0.2") == "10.0.0.2"
    connections.release("10.0.0.1")
    assert connections.admit("10.0.0.1") == "10.0.0.1"
    for client in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
        connections.release(client)
    assert connections.total() == 0


def test_a_network_of_ipv6_is_one_client() -> None:
    connections = Connections(1)
    assert connections.admit("2001:db8::1") is not None
    assert connections.admit("2001:db8::2") is None
    assert connections.admit("2001:db8:0:1::2") is not None
    assert connections.admit("::ffff:10.0.0.1") == "10.0.0.1"
    assert connections.admit("10.0.0.1") is None


@pytest.mark.parametrize("proxies", ["10.0.0.1", "10.0.0.0/8, ::1", "*", "127.0.0.1,10.0.0.1"])
def test_proxies_connect_for_many(proxies: str) -> None:
    connections = Connections(1, proxies)
    for address in ("10.0.0.1", "::ffff:10.0.0.1", ""):
        assert [connections.admit(address) for _ in range(3)] == ["", "", ""]
    connections.release("")
    assert connections.total() == 0


def test_words_in_place_of_proxies_let_nobody_pass() -> None:
    assert Connections(0, "proxy.example.org,unix:").admit("10.0.0.1") is None


class _SmallServer:
    """Application that answers when a body has come, and never at /work; and its clients."""

    def __init__(self) -> None:
        self.port = 0
        self.opened = ExitStack()
        self._requests = self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        self._requests += 1
        more_body = True
        while more_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            self._bytes += len(message["body"])
            more_body = message["more_body"]
        if scope["path"] == "/work":
            await receive()  # returns when the client leaves
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"well"})

    def request(
        self, address: str, path: str, *, length: int = 0, forwarded: str = ""
    ) -> socket.socket:
        """Send the head of a request from an address, perhaps of a proxy."""
        place = ("127.0.0.1", self.port)
        client = socket.create_connection(place, _PATIENCE, source_address=(address, 0))
        self.opened.enter_context(client)
        lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {length}"]
        lines += [f"X-Forwarded-For: {forwarded}"] if forwarded else []
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        return client

    def wait_for(self, *, requests: int, body_bytes: int = 0) -> None:
        """Wait until the application has been given requests and bytes of their bodies."""
        end = time.monotonic() + _PATIENCE
        while (self._requests, self._bytes) != (requests, body_bytes):
            assert time.monotonic() < end, (self._requests, self._bytes)
            time.sleep(0.01)

    def is_answered(self, address: str) -> bool:
        """Whether a request that comes now is answered."""
        return self.request(address, "/").recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def small_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_SmallServer]:
    monkeypatch.setattr(http_server, "_MAX_CONNECTIONS", _MOST)
    options = AddressOptions(port=0, proxies="127.0.0.1")
    small = _SmallServer()
    server = http_server.http_server(small, options, max_client_connections=_MOST)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        small.port = listener.getsockname()[1]
        with small.opened:
            yield small
        server.stop(at_once=True)
        thread.join(_PATIENCE)


def _closed_by_server(clients: Sequence[socket.socket]) -> list[socket.socket]:
    """Connections that the server closes soon; it has sent nothing over any of them."""
    return select.select(clients, [], [], 0.3)[0]


_HAS_ADDRESSES = pytest.mark.skipif(
    sys.platform != "linux", reason="127.0.0.2 is an address on Linux alone"
)


@_HAS_ADDRESSES
def test_a_full_server_closes_the_idlest_connection_of_who_has_most(
    small_server: _SmallServer,
) -> None:
    few = [small_server.request(_OTHER, "/", length=1000) for _ in range(7)]
    many = [small_server.request(_GREEDY, "/", length=1000) for _ in range(9)]
    small_server.wait_for(requests=_MOST)
    for client in [*many[:3], *many[4:]]:  # those of the other have been idle for longer
        client.sendall(b"x")
    small_server.wait_for(requests=_MOST, body_bytes=8)
    assert small_server.is_answered(_HONEST)
    assert _closed_by_server([*few, *many]) == [many[3]]


@_HAS_ADDRESSES
def test_requests_at_work_keep_their_connections(small_server: _SmallServer) -> None:
    at_work = [small_server.request(_GREEDY, "/work") for _ in range(_MOST - 2)]
    idle = [small_server.request(_OTHER, "/", length=1000) for _ in range(2)]
    small_server.wait_for(requests=_MOST)
    assert small_server.is_answered(_HONEST)
    [closed] = _closed_by_server([*at_work, *idle])
    assert closed in idle


@_HAS_ADDRESSES
def test_clients_behind_a_proxy_are_told_apart(small_server: _SmallServer) -> None:
    few = [
        small_server.request("127.0.0.1", "/", length=1000, forwarded="10.0.0.1") for _ in range(6)
    ]
    many = [
        small_server.request("127.0.0.1", "/", length=1000, forwarded=f"2001:db8::{number}")
        for number in range(10)
    ]
    small_server.wait_for(requests=_MOST)
    for client in [*few, *many]:
        client.sendall(b"x")
    small_server.wait_for(requests=_MOST, body_bytes=_MOST)
    assert small_server.is_answered("127.0.0.1")
    [closed] = _closed_by_server([*few, *many])
    assert closed in many
