"""Name of the client that sends requests, for limits on what one client takes."""

import ipaddress


def client_name(address: str) -> str:
    """Name of one client: its address, or the network of 64 bits of an IPv6 address."""
    try:
        host = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(host) >> 64 << 64, 64)))
    return str(getattr(host, "ipv4_mapped", None) or host)
