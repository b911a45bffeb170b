"""Transport of the tools: the standard streams of the process that a client starts."""

import sys
from collections.abc import Callable
from functools import partial

import anyio
from mcp.server.stdio import stdio_server

from rilievo.cli.streams import complain
from rilievo.serving.assistant.assistant_options import AssistantOptions
from rilievo.serving.assistant.named_folders import NamedFolders
from rilievo.serving.assistant.photographs import Photographs
from rilievo.serving.assistant.protocol import Assistant
from rilievo.serving.listener.ending import end_at_once, ended_at_once
from rilievo.serving.listener.work.freed_memory import share_arenas
from rilievo.serving.server.decoding.decoders import start
from rilievo.serving.server.decoding.messages import bounds


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
    start()
    complain(f"rilievo mcp: {bounds()}")
    if sys.stdin.isatty():
        at_terminal()
    share_arenas()
    with ended_at_once():
        anyio.run(_serve_streams, assistant)


async def _serve_streams(assistant: Assistant) -> None:
    server = assistant.server()
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
    if assistant.is_at_work:  # a thread cannot be stopped, and nobody reads its answer
        end_at_once()
