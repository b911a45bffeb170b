"""The command ``rilievo mcp``."""

from collections.abc import Sequence

from rilievo.cli.parsing import parse
from rilievo.cli.streams import complain
from rilievo.errors import OptionError, needing
from rilievo.extensions.subpackages import resolve_name
from rilievo.serving.assistant.assistant_options import AssistantOptions

_RUN_ASSISTANT = "rilievo.serving.assistant.protocol:run_assistant"
_HTTP_OPTIONS = (
    "http",
    "host",
    "port",
    "root-path",
    "proxies",
    "token-file",
    "hosts",
    "connections",
)


def main(arguments: Sequence[str]) -> int:
    """Run ``rilievo mcp``: answer an assistant over standard input and output."""
    _refuse_http_options(arguments)
    options = parse(
        AssistantOptions,
        arguments,
        prog="rilievo mcp",
        description="Sizes and depth in photographs as tools for an assistant, over the Model "
        "Context Protocol: the client starts this command and speaks over its standard input.",
        examples=("rilievo mcp --folder ~/Pictures",),
    )

    def explain_at_terminal() -> None:
        # Standard output belongs to the client.
        complain("rilievo mcp: an MCP client is to start this command; Ctrl-C ends it")

    with needing("rilievo mcp", "mcp"):
        run_assistant = resolve_name(_RUN_ASSISTANT)
    run_assistant(options, explain_at_terminal)
    return 0


def _refuse_http_options(arguments: Sequence[str]) -> None:
    for word in arguments:
        option = word.partition("=")[0].replace("_", "-")
        if option.startswith("--") and option[2:] in _HTTP_OPTIONS:
            raise OptionError(
                f"{option}: 'rilievo mcp' speaks over standard input and output alone; use "
                "'rilievo serve' for HTTP"
            )
