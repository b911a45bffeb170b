"""Transport of the tools: the standard streams of the process that a client starts."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import anyio
from mcp.server.stdio import stdio_server

from rilievo.serving.assistant.assistant_options import AssistantOptions
from rilievo.serving.assistant.named_folders import NamedFolders
from rilievo.serving.assistant.photographs import Photographs
from rilievo.serving.assistant.protocol import Assistant

_CODES: Mapping[int, int] = {signal.SIGTERM: 0, signal.SIGINT: 128 + signal.SIGINT}
"""Exit codes by signals: SIGTERM is how clients end servers."""


def run_assistant(options: AssistantOptions, at_terminal: Callable[[], None]) -> None:
    """Answer an assistant until it leaves.

    Args:
        options: Folders and model.
        at_terminal: Function that is called if somebody at a terminal, and no client, writes to
            standard input.
    """
    folders = NamedFolders(options.folder, options.output)
    photographs = Photographs(folders, partial(options.load, options.model))
    assistant = Assistant(photographs)
    if sys.stdin.isatty():
        at_terminal()
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


async def _serve_streams(assistant: Assistant) -> None:
    server = assistant.server()
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
