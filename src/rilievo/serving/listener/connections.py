"""Open connections of each address, which are bounded, so that no address holds all of them."""

import ipaddress
from collections import Counter

from rilievo.serving.listener.client_name import client_name


class Connections:
    """Counts of open connections by client, an address or a network of 64 bits of IPv6."""

    def __init__(self, most: int, proxies: str = "") -> None:
        """Begin without connections.

        Args:
            most: Most connections of one client.
            proxies: Addresses or networks with commas between, or "*" for all, that are not
                counted, as they connect for many clients.
        """
        self._most, self._open = most, Counter[str]()
        names = [name.strip() for name in proxies.split(",") if name.strip()]
        self._counts_none = "*" in names
        self._proxies = [network for network in map(_network, names) if network is not None]

    def take(self, address: str) -> str | None:
        """Count a connection; gives the client that it counts for, or None if it has too many.

        A connection that is not counted is of the client "".
        """
        if self._is_proxy(address):
            return ""
        client = client_name(address)
        if self._open[client] >= self._most:
            return None
        self._open[client] += 1
        return client

    def give_back(self, client: str) -> None:
        """Count a connection of a client no more."""
        if not client:
            return
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]

    def total(self) -> int:
        """Number of connections that are counted."""
        return self._open.total()

    def _is_proxy(self, address: str) -> bool:
        try:
            host = ipaddress.ip_address(address)
        except ValueError:  # of a socket without an address
            return True
        host = getattr(host, "ipv4_mapped", None) or host
        return self._counts_none or any(host in network for network in self._proxies)


def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:  # uvicorn takes other words for names of sockets
        return None
