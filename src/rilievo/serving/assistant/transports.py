"""Transports of the tools: standard input with output, or streamable HTTP."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import anyio
import uvicorn
from mcp.server.stdio import stdio_server

from rilievo.serving.address.listening import address_of, ended_by_sigterm, listening
from rilievo.serving.assistant.assistant_options import AssistantOptions
from rilievo.serving.assistant.http_application import PATH, http_application
from rilievo.serving.assistant.named_folders import NamedFolders
from rilievo.serving.assistant.photographs import Photographs
from rilievo.serving.assistant.protocol import Assistant
from rilievo.serving.server.requests.connections import Connections
from rilievo.serving.server.requests.impatient_protocol import counting

_MOST_CONNECTIONS = 200
_CODES: Mapping[int, int] = {signal.SIGTERM: 0, signal.SIGINT: 128 + signal.SIGINT}
"""Exit codes by signals: SIGTERM is how clients end servers."""
_GRACE = 5
"""Seconds that calls have to end when the server is stopped."""


def run_assistant(options: AssistantOptions, ready: Callable[[str], None]) -> None:
    """Answer an assistant until it leaves, or over HTTP until stopped.

    Args:
        options: Folders, model and address.
        ready: Function that is called with the address; with "" if somebody at a terminal, and no
            client, reads standard output.
    """
    assistant = assistant_of(options)
    if options.http:
        with ended_by_sigterm():
            _serve_http(options, assistant, ready)
        return
    if sys.stdin.isatty():
        ready("")
    with _ended_at_once():
        anyio.run(_serve_streams, assistant)


@contextmanager
def _ended_at_once() -> Iterator[None]:
    """Let signals end the process though a thread waits for standard input.

    Files are whole at any moment, as they get their names at the end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda number, frame: os._exit(_CODES[number]))
        for number in _CODES
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def assistant_of(options: AssistantOptions) -> Assistant:
    """The tools for the folders of the options; their model is loaded when one is called."""
    folders = NamedFolders(options.folder, options.output)
    photographs = Photographs(folders, partial(options.load, options.model))
    return Assistant(photographs, waiting=options.waiting)


async def _serve_streams(assistant: Assistant) -> None:
    server = assistant.server()
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def _serve_http(
    options: AssistantOptions, assistant: Assistant, ready: Callable[[str], None]
) -> None:
    with listening(options) as listener:
        config = uvicorn.Config(
            http_application(assistant, tokens=options.tokens(), hosts=options.host_names),
            http=counting(Connections(options.connections, options.proxies)),
            ws="none",
            log_level="critical",
            access_log=False,
            server_header=False,
            forwarded_allow_ips=options.proxies,
            root_path=options.root_path,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE,
        )
        ready(address_of(options, listener.getsockname()[1]).rstrip("/") + PATH)
        uvicorn.Server(config).run(sockets=[listener])
