"""Sockets that listen for connections, and the options of their address."""

import errno
import ipaddress
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from rilievo.errors import OptionError, OutputError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.limits import reason
from rilievo.schema.fields import Record, option

_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.IGNORECASE | re.ASCII)
_HOST_NAME = re.compile(r"[a-z0-9._-]+", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, kw_only=True)
class AddressOptions(Record):
    """Address of a server, and the names it goes by."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 accepts connections from other machines."""
    port: Annotated[int, option(minimum=0, maximum=65535)] = 8000
    """Port to listen on; 0 picks a free one."""
    root_path: Annotated[str, option(metavar="/PATH")] = ""
    """Path under which a proxy serves this server, such as /depth."""
    proxies: Annotated[str, option(comma_separated=True, metavar="ADDRESS,...")] = "127.0.0.1,::1"
    """Addresses of proxies whose X-Forwarded-For header is trusted to identify the client."""
    hosts: Annotated[str, option(comma_separated=True, metavar="NAME,...")] = ""
    """Host names under which clients reach the server, such as depth.example.org. IP addresses,
    localhost and this machine's name are always accepted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root_path and (not self.root_path.startswith("/") or "//" in self.root_path):
            raise OptionError(
                option="root_path",
                problem=f"must begin with '/' and not contain '//', got '{self.root_path}'",
            )
        for name in split_at_commas(self.hosts):
            # Requests are compared with the bare name, so anything else would never be accepted.
            if _HOST_NAME.fullmatch(name) is None and not is_ip_address(name):
                raise OptionError(
                    option="hosts",
                    problem=f": '{name}' is not a host name",
                    hint="give a name without scheme, port and path, such as depth.example.org",
                )

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        return is_ip_address(self.host) and ipaddress.ip_address(self.host).is_loopback

    @property
    def host_names(self) -> tuple[str, ...]:
        """Names of ``--hosts``, in lower case."""
        return tuple(name.lower() for name in split_at_commas(self.hosts))

    @property
    def calling_origins(self) -> tuple[str, ...]:
        """Other origins whose pages may call the server; subclasses may allow some."""
        return ()


def is_ip_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def split_at_commas(text: str) -> list[str]:
    """Split a text at commas; spaces around the parts and empty parts are dropped."""
    return [name.strip() for name in text.split(",") if name.strip()]


def parse_origins(option_name: str, text: str) -> tuple[str, ...]:
    """Parse comma-separated origins, and spell them as browsers do."""
    origins = [origin.rstrip("/") for origin in split_at_commas(text)]
    for origin in origins:
        if _ORIGIN.fullmatch(origin) is None:
            raise OptionError(
                option=option_name,
                problem=f": '{origin}' is not an origin",
                hint="give a scheme and a host, such as https://blog.example.com",
            )
    return tuple(map(normalized_origin, origins))


def normalized_origin(origin: str) -> str:
    """Spell an origin as browsers do: in lower case, without the default port of its scheme."""
    origin = origin.lower()
    default_port = ":443" if origin.startswith("https:") else ":80"
    return origin.removesuffix(default_port)


HTTP_LISTENERS = ("serve", "app", "predict --live")
"""Commands that listen at an address."""
STREAM_LISTENERS = ("mcp",)
"""Commands that listen on standard input."""


@contextmanager
def listening_socket(options: AddressOptions, command: str) -> Iterator[socket.socket]:
    """Open a socket that listens at an address, and close it after the block.

    Raises:
        OutputError: If this machine does not have the address, or the port is in use or forbidden.
    """
    assert command in HTTP_LISTENERS, "tests go through all listeners by this list"
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        raise _listening_error(options, error) from error
    with listener:
        yield listener


def _listening_error(options: AddressOptions, error: OSError) -> OutputError:
    """Say whether the host or the port is the problem, and what to do."""
    cause = reason(error).partition(" (while ")[0]
    # Errors of name resolution have negative numbers.
    is_unknown_name = error.errno is not None and error.errno < 0
    if error.errno == errno.EADDRNOTAVAIL or is_unknown_name:
        return OutputError(
            option="host",
            problem=f"{options.host}: cannot listen on this address ({cause}); use an address of "
            "this machine, or 0.0.0.0 for all of them",
        )
    return OutputError(
        option="host",
        problem=Text(
            f"{options.host} ",
            OptionName("port", str(options.port)),
            f": cannot listen on this port ({cause}); use another port, or 0 for a free one",
        ),
    )


def local_url(options: AddressOptions, port: int) -> str:
    """URL at which browsers of this machine reach a server."""
    host = "127.0.0.1" if options.host in ("0.0.0.0", "::") else options.host
    if ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{port}{options.root_path}/"
