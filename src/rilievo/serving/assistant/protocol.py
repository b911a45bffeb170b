"""Tools as a server of the Model Context Protocol."""

import asyncio
import base64
import logging
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ImageContent,
    ListToolsResult,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import ValidationError

from rilievo.cli.streams import print_to_stderr
from rilievo.errors import OptionError, OutputError, RilievoError, suggest
from rilievo.errors.messages import one_line
from rilievo.errors.typing_errors import hint_for_typing_error
from rilievo.serving.assistant.assistant_options import AssistantOptions
from rilievo.serving.assistant.depth_tool import DEPTH
from rilievo.serving.assistant.describe_tool import DESCRIBE
from rilievo.serving.assistant.known_tool import KNOWN
from rilievo.serving.assistant.measure_tool import MEASURE
from rilievo.serving.assistant.named_folders import NamedFolders
from rilievo.serving.assistant.photographs import Photographs
from rilievo.serving.assistant.regions_tool import REGIONS
from rilievo.serving.assistant.surface_tool import SURFACE
from rilievo.serving.assistant.tool import (
    AnyTool,
    ToolAnswer,
    ToolArguments,
    join_nonempty_lines,
    spell_argument,
)
from rilievo.serving.listener.jobs import Jobs, RequestJob
from rilievo.serving.listener.process import (
    end_at_once,
    exit_at_once_on_signals,
    share_arenas,
    trim_heap,
)
from rilievo.serving.listener.request_refusals import JobCancelled, Refusal
from rilievo.serving.listener.work_slots import WorkSlots
from rilievo.serving.server.decoding.decoder_pool import start_fork_server
from rilievo.serving.server.decoding.messages import decoding_isolation
from rilievo.version import VERSION

TOOLS: tuple[AnyTool, ...] = (DESCRIBE, MEASURE, REGIONS, KNOWN, DEPTH, SURFACE)
"""Tools in the order of their list."""


_INSTRUCTIONS = (
    "rilievo measures in single photographs on this machine and sends nothing anywhere. Give a "
    "photograph by its path in the folders of this server, or send it as a data URL. Points are "
    "[x, y] in fractions of the picture (0 to 1, from the top left) unless unit is 'pixel'. A "
    "photograph alone does not determine sizes: ask the user for one length or distance in it and "
    "state it with 'known', so that answers are in metres. Without a known size, answers are in "
    "multiples of the camera's height above the floor. Each number has a range that contains the "
    "true value in eight out of ten cases: always report the range with the number."
)

_MAX_WAITING_CALLS = 2000  # each takes some kB of memory
_CLIENT = "assistant"  # one client calls over standard input, and all its calls share a queue


class Assistant:
    """MCP server that runs the tools in a thread, one call at a time."""

    def __init__(self, photographs: Photographs) -> None:
        self._photographs = photographs
        self._slots = WorkSlots(1, waiting=_MAX_WAITING_CALLS)
        self._jobs = Jobs(time_limit=math.inf)
        self._thread = ThreadPoolExecutor(1, "tool")
        self._tools = {tool.name: tool for tool in TOOLS}

    def make_server(self) -> "Server[Any]":
        """Make a server of the MCP SDK for one session."""
        # Otherwise a client could fill the log with its mistakes.
        logging.getLogger("mcp").setLevel(logging.CRITICAL)
        return Server(
            "rilievo",
            title="rilievo: sizes and depth in photographs",
            version=VERSION,
            instructions=_INSTRUCTIONS,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )

    async def _list_tools(self, context: object, params: object) -> ListToolsResult:
        return ListToolsResult(tools=[_describe_tool(tool) for tool in self._tools.values()])

    async def _call_tool(self, context: object, params: CallToolRequestParams) -> CallToolResult:
        """Run a tool in its turn; return its answer, or a result that describes the error."""

        async def call_in_thread(job: RequestJob) -> CallToolResult:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._thread,
                self._run_tool_and_free_memory,
                job,
                params.name,
                params.arguments or {},
            )

        # This future never completes: if the client leaves, the SDK cancels this task instead.
        disconnect = asyncio.Future[None]()
        try:
            return await self._jobs.run_in_slot(
                self._slots, RequestJob(client=_CLIENT), call_in_thread, disconnect
            )
        except Refusal as refusal:
            return _error_result(refusal.line)

    @property
    def is_running(self) -> bool:
        """Whether a call is still running, even if its client has given it up."""
        return self._jobs.num_running > 0

    def _run_tool_and_free_memory(
        self, job: RequestJob, name: str, arguments: Mapping[str, object]
    ) -> CallToolResult:
        try:
            with self._photographs.call_context(job.raise_if_cancelled):
                return self._run_tool(name, arguments)
        finally:
            trim_heap()

    def _run_tool(self, name: str, arguments: Mapping[str, object]) -> CallToolResult:
        """Run a tool; turn each kind of error into a result that the assistant can read."""
        photo_name = ""
        naming_hint = ""
        try:
            tool = self._find_tool(name)
            request = _validate_arguments(tool, arguments)
            photo_name = self._photographs.name_photo(request.photo)
            is_pasted = photo_name != request.photo
            if is_pasted:
                naming_hint = f"Refer to this picture as '{photo_name}' in later calls."
            request = request.model_copy(update={"photo": photo_name})
            answer = tool.answer(self._photographs, request)
        except RilievoError as error:
            lines = [error.worded(spell_argument)]
            # A picture that could not be decoded is not kept, so later calls cannot name it.
            if self._photographs.has_pasted_picture(photo_name):
                lines.append(naming_hint)
            return _error_result(join_nonempty_lines(lines))
        except JobCancelled:
            raise
        except MemoryError:
            return _error_result("not enough memory for this photograph: reduce its size")
        except OSError as error:
            return _error_result(str(OutputError(f"the operating system reports: {error}")))
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            print(f"rilievo mcp: {trace.strip()}", file=sys.stderr, flush=True)  # noqa: T201
            return _error_result(
                "internal error in rilievo: the details are in the log of 'rilievo mcp'"
            )
        return _success_result(answer, naming_hint)

    def _find_tool(self, name: str) -> AnyTool:
        if name not in self._tools:
            raise OptionError(f"no tool '{name[:60]}'; {suggest(name[:60], self._tools)}")
        return self._tools[name]


def _describe_tool(tool: AnyTool) -> Tool:
    """Describe a tool in the protocol's record, with JSON schemas of its arguments and result."""
    return Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.arguments_type.model_json_schema(),
        output_schema=tool.result_type.model_json_schema(),
        annotations=ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.only_reads,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )


def _validate_arguments(tool: AnyTool, arguments: Mapping[str, object]) -> ToolArguments:
    """Validate the arguments of a call; raise OptionError for an unknown, missing or wrong one."""
    fields = tool.arguments_type.model_fields
    for name in arguments:
        if name not in fields:
            short_name = str(name)[:60]
            hint = hint_for_typing_error(short_name, fields) or suggest("", fields)
            raise OptionError(f"{tool.name} has no argument '{short_name}'; {hint}")
    try:
        return tool.arguments_type.model_validate(arguments)
    except ValidationError as error:
        problem = error.errors()[0]
        argument = ".".join(map(str, problem["loc"])) or "arguments"
        if problem["type"] == "missing":
            raise OptionError(f"{tool.name} needs the argument '{argument}'") from None
        message = problem["msg"].lower()
        value = str(problem["input"])[:60]
        raise OptionError(f"{argument}: {message}, got {value}", path=tool.name) from None


def _success_result(answer: ToolAnswer[Any], naming_hint: str) -> CallToolResult:
    text = join_nonempty_lines((answer.text, naming_hint))
    pictures = [
        ImageContent(
            type="image", data=base64.b64encode(png).decode("ascii"), mime_type="image/png"
        )
        for png in answer.pictures
    ]
    return CallToolResult(
        content=[TextContent(type="text", text=text), *pictures],
        structured_content=answer.result.model_dump(mode="json"),
    )


def _error_result(line: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=one_line(line))], is_error=True)


def run_assistant(options: AssistantOptions, explain_at_terminal: Callable[[], None]) -> None:
    """Serve the tools over standard input and output until the client closes them.

    If standard input is a terminal, ``explain_at_terminal`` is called first, because a person has
    started the command instead of a client.
    """
    folders = NamedFolders(options.folder, options.output)
    photographs = Photographs(folders, partial(options.load, options.model))
    assistant = Assistant(photographs)
    start_fork_server()
    print_to_stderr(f"rilievo mcp: {decoding_isolation()}")
    if sys.stdin.isatty():
        explain_at_terminal()
    share_arenas()
    with exit_at_once_on_signals():
        anyio.run(_serve_standard_streams, assistant)


async def _serve_standard_streams(assistant: Assistant) -> None:
    server = assistant.make_server()
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
    if assistant.is_running:
        # The thread of a call cannot be stopped, and nobody reads its answer any more.
        end_at_once()
