"""IP addresses of the internet, by a table of our own beside Python's.

Python's ``is_global`` follows the registries of its release, so that some networks count as public
on one version and not on the next, and it knows nothing of addresses that clouds answer on.
"""

import ipaddress

_PORTS = (80, 443)

_NOT_PUBLIC_4 = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # shared by carriers; metadata of Alibaba Cloud (100.100.100.200)
    "127.0.0.0/8",  # loopback
    "168.63.129.16/32",  # host of Azure
    "169.254.0.0/16",  # link-local; metadata of most clouds
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments; metadata of Oracle Cloud (192.0.0.192)
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # relays from 6to4, withdrawn
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
)
_UNICAST_6 = "2000::/3"
"""The only part of IPv6 that is assigned to the internet; private, link-local and site-local
addresses, 5f00::/16 of segment routing and the translations of 64:ff9b:: are outside of it. Private
are also the metadata addresses of AWS (fd00:ec2::254), Google (fd20:ce::254) and Oracle."""
_NOT_PUBLIC_6 = (
    "2001::/23",  # protocol assignments, Teredo among them, which stands for IPv4
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4, which stands for IPv4
    "3fff::/20",  # documentation
)
_TABLE_4 = tuple(map(ipaddress.IPv4Network, _NOT_PUBLIC_4))
_TABLE_6 = tuple(map(ipaddress.IPv6Network, _NOT_PUBLIC_6))
_UNICAST = ipaddress.IPv6Network(_UNICAST_6)


def is_public(address: str, port: int) -> bool:
    """Whether an IP address is one of the internet, and the port one of the web."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            is_listed = found not in _UNICAST or any(found in network for network in _TABLE_6)
            return not is_listed and found.is_global and port in _PORTS
        found = found.ipv4_mapped
    is_listed = any(found in network for network in _TABLE_4)
    return not is_listed and found.is_global and port in _PORTS
