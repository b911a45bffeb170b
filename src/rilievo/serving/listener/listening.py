"""The listening socket of a server, with its address in words."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from rilievo.errors import OutputError
from rilievo.io.files.limits import reason
from rilievo.messages import literal
from rilievo.serving.listener.address_options import AddressOptions

HTTP_LISTENERS = ("serve", "app", "predict --live")
"""Commands that listen at an address; each is asked by ``tests/serving/test_listeners.py``."""
STREAM_LISTENERS = ("mcp",)
"""Commands that answer over standard input and output."""


@contextmanager
def listening(options: AddressOptions, command: str) -> Iterator[socket.socket]:
    """Socket of a command in ``HTTP_LISTENERS`` that listens at the address of the options."""
    assert command in HTTP_LISTENERS, "each listener has a row, by which it is tested"
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        why = reason(error).partition(" (while ")[0]
        # Names that are no address have a negative number.
        if error.errno == errno.EADDRNOTAVAIL or (error.errno or 0) < 0:
            raise OutputError(
                option="host",
                problem=(
                    f"{literal(options.host)} cannot be listened at ({why}): take an "
                    "address of this machine, or 0.0.0.0 for all"
                ),
            ) from error
        raise OutputError(
            option="host",
            problem=(
                f"{literal(options.host)} {{port={options.port}}} cannot be listened at "
                f"({why}): take another port, or 0 for a free one"
            ),
        ) from error
    with listener:
        yield listener


def address_of(options: AddressOptions, port: int) -> str:
    """Address under which this machine reaches a server."""
    host = "127.0.0.1" if options.host in ("0.0.0.0", "::") else options.host
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}{options.root_path}/"
