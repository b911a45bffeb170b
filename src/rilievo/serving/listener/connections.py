"""Bounds on open connections and streams."""

import ipaddress
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar, runtime_checkable

from rilievo.serving.listener.request_refusals import busy_refusal

_AGAIN_SECONDS = 10


class OpenStreams:
    """Counts of open streams by client."""

    def __init__(self, most: int, *, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._counts: Counter[str] = Counter()

    def total(self) -> int:
        """Number of open streams."""
        return self._counts.total()

    @contextmanager
    def counted(self, client: str) -> Iterator[None]:
        """Count a stream of a client in the context.

        Raises:
            Refusal: If there are too many.
        """
        if self.total() >= self._most:
            raise busy_refusal(f"{self.total()} streams are open already", _AGAIN_SECONDS)
        own = self._counts[client]
        if own >= self._most_of_one:
            raise busy_refusal(f"{own} streams of yours are open already", _AGAIN_SECONDS)
        self._counts[client] += 1
        try:
            yield
        finally:
            self._counts[client] -= 1
            if not self._counts[client]:
                del self._counts[client]


def client_name(address: str) -> str:
    """Address of a client, or its IPv6 network of 64 bits."""
    try:
        host = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(host) >> 64 << 64, 64)))
    return str(getattr(host, "ipv4_mapped", None) or host)


class Connections:
    """Counts of open connections by client."""

    def __init__(self, most: int, proxies: str = "") -> None:
        """Begin without connections; those of ``proxies`` are not counted."""
        self._most, self._open = most, Counter[str]()
        names = [name.strip() for name in proxies.split(",") if name.strip()]
        self._counts_none = "*" in names
        self._proxies = [
            network for network in map(_ip_network_or_none, names) if network is not None
        ]

    def take(self, address: str) -> str | None:
        """Count a connection; returns its client ("" for a proxy), or None if that has too many."""
        if self._is_proxy(address):
            return ""
        client = client_name(address)
        if self._open[client] >= self._most:
            return None
        self._open[client] += 1
        return client

    def give_back(self, client: str) -> None:
        """Uncount a connection."""
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
        except ValueError:  # of a socket without an address
            return True
        host = getattr(host, "ipv4_mapped", None) or host
        return self._counts_none or any(host in network for network in self._proxies)


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
        """Note that bytes of a client have just been transferred; adds a new connection."""
        self.discard(connection)
        self._clients[connection] = client
        self._by_client.setdefault(client, {})[connection] = None

    def discard(self, connection: AnyConnection) -> None:
        """Remove a connection, if it is there."""
        client = self._clients.pop(connection, None)
        if client is None:
            return
        del self._by_client[client][connection]
        if not self._by_client[client]:
            del self._by_client[client]

    def idlest_of_greediest_client(self, *, newcomer: AnyConnection) -> AnyConnection | None:
        """Connection that makes room for a newcomer; None if all requests are at work."""
        for connections in sorted(self._by_client.values(), key=len, reverse=True):
            for connection in connections:
                if connection is not newcomer and connection.waits_for_client:
                    return connection
        return None


def _ip_network_or_none(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:  # uvicorn takes other words for names of sockets
        return None
