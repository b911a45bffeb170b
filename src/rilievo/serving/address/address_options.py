"""The options of servers for their address: host, port, names, tokens."""

import ipaddress
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from rilievo.errors import OptionError
from rilievo.io.files.limits import printable, read_text
from rilievo.options.option_record import Record, Rule

TOKEN_VARIABLE = "RILIEVO_SERVE_TOKEN"
"""Environment variable with a token, for containers."""

_SHORTEST_TOKEN = 16


def is_positive(value: float | int) -> bool:
    """Whether a number is positive and finite."""
    return 0 < value < math.inf


def is_count(value: float | int) -> bool:
    """Whether a number is 1 or more."""
    return value >= 1


@dataclass(frozen=True, kw_only=True)
class AddressOptions(Record):
    """Address of a server, the names it goes by, and the tokens it asks for."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        ("port", lambda value: 0 <= value <= 65535, "between 0 and 65535"),
        ("connections", is_count, "1 or more"),
    )

    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 lets other machines in."""
    port: int = 8000
    """Port to listen at; 0 takes a free one."""
    root_path: Annotated[str, tyro.conf.arg(metavar="/PATH")] = ""
    """Path under which a proxy offers the server, such as /depth."""
    proxies: Annotated[str, tyro.conf.arg(metavar="ADDRESS,...")] = "127.0.0.1,::1"
    """Addresses of proxies whose X-Forwarded-For header names the client."""
    token_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """File with one token in a line. Requests must send one of them as 'Authorization: Bearer
    TOKEN'. The environment variable RILIEVO_SERVE_TOKEN holds one token in place of a file."""
    hosts: Annotated[str, tyro.conf.arg(metavar="NAME,...")] = ""
    """Names under which clients reach the server, such as depth.example.org. Addresses in numbers,
    localhost and this machine's name are always taken."""
    connections: int = 64
    """Connections that one address may have open; addresses of --proxies are not counted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root_path and (not self.root_path.startswith("/") or "//" in self.root_path):
            raise OptionError(f"--root-path begins with one '/', got '{self.root_path}'")

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def host_names(self) -> tuple[str, ...]:
        """Names of ``--hosts``, in lower case."""
        return tuple(name.lower() for name in listed(self.hosts))

    def tokens(self) -> tuple[str, ...]:
        """Tokens of the file and of the environment; none lets everybody in."""
        found = [os.environ[TOKEN_VARIABLE]] if os.environ.get(TOKEN_VARIABLE) else []
        if self.token_file is not None:
            lines = [line.strip() for line in read_text(self.token_file).splitlines()]
            lines = [line for line in lines if line]
            if not lines:
                raise OptionError(f"--token-file {printable(self.token_file)}: holds no token")
            found += lines
        for token in found:
            if len(token) < _SHORTEST_TOKEN or not token.isascii() or " " in token:
                raise OptionError(
                    f"a token has {_SHORTEST_TOKEN} or more ASCII characters and no space, got "
                    f"one of {len(token)}: make one with 'openssl rand -hex 32'"
                )
        return tuple(found)


def listed(text: str) -> list[str]:
    """Names of a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
