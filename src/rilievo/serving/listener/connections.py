"""Limits on the open connections and streams of each client."""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar, runtime_checkable

from starlette.requests import HTTPConnection, Request

from rilievo.errors.messages import count_text
from rilievo.serving.listener.request_refusals import busy_refusal

_RETRY_SECONDS = 10
"""Time after which a refused client may try again [s]."""


class OpenStreams:
    """Counts of open streams by client."""

    def __init__(self, max_streams: int, *, max_per_client: int) -> None:
        self._max_streams = max_streams
        self._max_per_client = max_per_client
        self._counts: Counter[str] = Counter()

    def total(self) -> int:
        """Number of open streams."""
        return self._counts.total()

    @contextmanager
    def counted(self, client: str) -> Iterator[None]:
        """Count a stream while the block runs; raise a ``Refusal`` if too many are open."""
        if self.total() >= self._max_streams:
            open_streams = count_text(self.total(), "open stream")
            raise busy_refusal(f"the server already has {open_streams}", _RETRY_SECONDS)
        client_count = self._counts[client]
        if client_count >= self._max_per_client:
            raise busy_refusal(
                f"you already have {count_text(client_count, 'open stream')}", _RETRY_SECONDS
            )
        self._counts[client] += 1
        try:
            yield
        finally:
            self._counts[client] -= 1
            if not self._counts[client]:
                del self._counts[client]


def client_name(address: str) -> str:
    """Name under which a client is counted: its IPv4 address, or its IPv6 /64 network.

    A single customer usually gets a whole /64 network.
    """
    try:
        host = ipaddress.ip_address(address)
    except ValueError:
        return address
    host = _unmap_ipv4(host)
    if isinstance(host, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((host, 64), strict=False))
    return str(host)


def request_client(request: HTTPConnection) -> str:
    """Name under which the client of a request is counted."""
    # Clients on a Unix socket have no address, and count as one client.
    return client_name("" if request.client is None else request.client.host)


async def wait_for_disconnect(request: Request) -> None:
    """Wait until the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)


UNCOUNTED_PROXY = ""
"""Name in place of a client's for connections from proxies, which have no limit."""


class Connections:
    """Counts the open connections of each client, and limits their number."""

    def __init__(self, max_per_client: int, proxies: str = "") -> None:
        """Start with no open connections.

        Connections from ``proxies`` (addresses or networks, comma-separated, or ``*`` for all) are
        not counted.
        """
        self._max_per_client = max_per_client
        self._counts = Counter[str]()
        names = [name.strip() for name in proxies.split(",") if name.strip()]
        self._all_are_proxies = "*" in names
        networks = [_parse_ip_network(name) for name in names]
        self._proxy_networks = [network for network in networks if network is not None]

    def admit(self, address: str) -> str | None:
        """Count a connection, unless its client has too many already.

        Returns:
            Name of the client, ``UNCOUNTED_PROXY``, or None if the connection must be refused.
        """
        if self._is_proxy(address):
            return UNCOUNTED_PROXY
        client = client_name(address)
        if self._counts[client] >= self._max_per_client:
            return None
        self._counts[client] += 1
        return client

    def release(self, client: str) -> None:
        """Stop counting a connection of a client."""
        if client == UNCOUNTED_PROXY:
            return
        self._counts[client] -= 1
        if not self._counts[client]:
            del self._counts[client]

    def total(self) -> int:
        """Number of counted connections."""
        return self._counts.total()

    def _is_proxy(self, address: str) -> bool:
        try:
            host = ipaddress.ip_address(address)
        except ValueError:  # a Unix socket has no IP address
            return True
        host = _unmap_ipv4(host)
        return self._all_are_proxies or any(host in network for network in self._proxy_networks)


@runtime_checkable
class _Connection(Protocol):
    @property
    def waits_for_client(self) -> bool:
        """Whether the client has to send or to read before anything goes on."""
        ...


AnyConnection = TypeVar("AnyConnection", bound=_Connection)


class IdleOrder(Generic[AnyConnection]):
    """Open connections of each client, in the order of their last transfers."""

    def __init__(self) -> None:
        self._clients: dict[AnyConnection, str] = {}
        # The inner dictionaries serve as ordered sets: the first connection was idle longest.
        self._by_client: dict[str, dict[AnyConnection, None]] = {}

    def note_transfer(self, connection: AnyConnection, client: str) -> None:
        """Put a connection at the end of the order, because bytes were just transferred."""
        self.discard(connection)
        self._clients[connection] = client
        self._by_client.setdefault(client, {})[connection] = None

    def discard(self, connection: AnyConnection) -> None:
        """Forget a connection, if it is known."""
        client = self._clients.pop(connection, None)
        if client is None:
            return
        del self._by_client[client][connection]
        if not self._by_client[client]:
            del self._by_client[client]

    def idlest_of_greediest_client(self, *, newcomer: AnyConnection) -> AnyConnection | None:
        """Find the connection to close for a newcomer.

        It is the one that was idle longest of the client that has most connections. Return None if
        no connection waits for its client.
        """
        for connections in sorted(self._by_client.values(), key=len, reverse=True):
            for connection in connections:
                if connection is not newcomer and connection.waits_for_client:
                    return connection
        return None


def _parse_ip_network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:  # uvicorn also takes names of sockets, which have no address
        return None


def _unmap_ipv4(
    host: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """IPv4 address that is embedded in an IPv6 address (::ffff:1.2.3.4), or the address itself."""
    return getattr(host, "ipv4_mapped", None) or host
