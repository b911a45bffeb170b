"""The command ``rilievo mcp``."""

from collections.abc import Sequence

from rilievo.cli.parsing import parse
from rilievo.cli.streams import print_to_stderr
from rilievo.errors import OptionError, explain_missing_extra
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
    _check_no_http_options(arguments)
    options = parse(
        AssistantOptions,
        arguments,
        prog="rilievo mcp",
        description="Give an AI assistant tools to measure sizes and depth in photographs, over "
        "the Model Context Protocol. The MCP client starts this command and communicates with it "
        "over standard input and output.",
        examples=("rilievo mcp --folder ~/Pictures",),
    )

    def explain_at_terminal() -> None:
        # Standard output belongs to the client.
        print_to_stderr(
            "rilievo mcp: an MCP client should start this command; press Ctrl-C to stop"
        )

    with explain_missing_extra("rilievo mcp", "mcp"):
        run_assistant = resolve_name(_RUN_ASSISTANT)
    run_assistant(options, explain_at_terminal)
    return 0


def _check_no_http_options(arguments: Sequence[str]) -> None:
    """Raise OptionError for an option of HTTP servers, which a user may expect here."""
    for argument in arguments:
        flag = argument.partition("=")[0].replace("_", "-")
        if flag.startswith("--") and flag.removeprefix("--") in _HTTP_OPTIONS:
            raise OptionError(
                f"{flag}: 'rilievo mcp' only communicates over standard input and output; use "
                "'rilievo serve' for HTTP"
            )
