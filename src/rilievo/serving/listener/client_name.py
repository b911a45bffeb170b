"""Name of the client that sends requests, for limits on what one client takes."""

import ipaddress


def client_name(address: str) -> str:
    """Name of one client: its address, or the network of 64 bits of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(getattr(found, "ipv4_mapped", None) or found)
