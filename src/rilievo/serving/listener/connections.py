"""Limits on the open connections and streams of each client."""

import ipaddress
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar, runtime_checkable

from rilievo.serving.listener.request_refusals import busy_refusal

_RETRY_SECONDS = 10
"""Time after which a refused client may try again [s]."""


class OpenStreams:
    """Counts of open streams by client."""

    def __init__(self, max_streams: int, *, max_per_client: int) -> None:
        self._max_streams, self._max_per_client = max_streams, max_per_client
        self._counts: Counter[str] = Counter()

    def total(self) -> int:
        """Number of open streams."""
        return self._counts.total()

    @contextmanager
    def counted(self, client: str) -> Iterator[None]:
        """Count a stream of a client as open while the block runs.

        Raises:
            Refusal: If there are too many.
        """
        if self.total() >= self._max_streams:
            raise busy_refusal(f"{self.total()} streams are open already", _RETRY_SECONDS)
        client_count = self._counts[client]
        if client_count >= self._max_per_client:
            raise busy_refusal(f"{client_count} streams of yours are open already", _RETRY_SECONDS)
        self._counts[client] += 1
        try:
            yield
        finally:
            self._counts[client] -= 1
            if not self._counts[client]:
                del self._counts[client]


def client_name(address: str) -> str:
    """Name under which a client is counted: its IPv4 address, or its IPv6 network of 64 bits."""
    try:
        host = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(host) >> 64 << 64, 64)))
    return str(getattr(host, "ipv4_mapped", None) or host)


class Connections:
    """Counts of open connections by client."""

    def __init__(self, max_per_client: int, proxies: str = "") -> None:
        """Begin without connections.

        Args:
            max_per_client: Number of connections that a client may have.
            proxies: Addresses or networks of proxies, with commas, whose connections are not
                counted; ``*`` counts none at all.
        """
        self._max_per_client, self._open = max_per_client, Counter[str]()
        names = [name.strip() for name in proxies.split(",") if name.strip()]
        self._trusts_all = "*" in names
        networks = map(_ip_network_or_none, names)
        self._proxies = [network for network in networks if network is not None]

    def admit(self, address: str) -> str | None:
        """Count a connection, unless its client has too many.

        Returns:
            The client; "" for a proxy, and None if the connection is refused.
        """
        if self._is_proxy(address):
            return ""
        client = client_name(address)
        if self._open[client] >= self._max_per_client:
            return None
        self._open[client] += 1
        return client

    def release(self, client: str) -> None:
        """Count a connection of a client no longer."""
        if not client:
            return
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]

    def total(self) -> int:
        """Number of counted connections."""
        return self._open.total()

    def _is_proxy(self, address: str) -> bool:
        try:
            host = ipaddress.ip_address(address)
        except ValueError:  # a socket without an address
            return True
        host = getattr(host, "ipv4_mapped", None) or host
        return self._trusts_all or any(host in network for network in self._proxies)


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
        self._by_client: dict[str, dict[AnyConnection, None]] = {}

    def note_transfer(self, connection: AnyConnection, client: str) -> None:
        """Put a connection at the end of the order, because bytes were just transferred."""
        self.discard(connection)
        self._clients[connection] = client
        self._by_client.setdefault(client, {})[connection] = None

    def discard(self, connection: AnyConnection) -> None:
        """Remove a connection from the order, if it is in it."""
        client = self._clients.pop(connection, None)
        if client is None:
            return
        del self._by_client[client][connection]
        if not self._by_client[client]:
            del self._by_client[client]

    def idlest_of_greediest_client(self, *, newcomer: AnyConnection) -> AnyConnection | None:
        """Connection to close for a newcomer; None if no connection waits for its client."""
        for connections in sorted(self._by_client.values(), key=len, reverse=True):
            for connection in connections:
                if connection is not newcomer and connection.waits_for_client:
                    return connection
        return None


def _ip_network_or_none(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:  # uvicorn also takes names of sockets
        return None
