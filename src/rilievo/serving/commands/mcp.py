"""``rilievo mcp``."""

from collections.abc import Sequence

from rilievo.cli.parsing import parse
from rilievo.cli.streams import complain
from rilievo.errors import needing
from rilievo.plugins import load_of_wing
from rilievo.serving.assistant.assistant_options import AssistantOptions

_RUN = "rilievo.serving.assistant.transports:run_assistant"


def main(arguments: Sequence[str]) -> int:
    """Answer an assistant's questions about photographs, until it leaves."""
    given = parse(
        AssistantOptions,
        arguments,
        prog="rilievo mcp",
        description="Sizes and depth in photographs as tools for an assistant, over the Model "
        "Context Protocol: the client starts this command and speaks over its standard input.",
        examples=(
            "rilievo mcp --folder ~/Pictures",
            "rilievo mcp --folder ~/Pictures --http --port 8000",
        ),
    )

    def ready(address: str) -> None:
        # Standard output belongs to the client.
        if not address:
            complain("rilievo mcp: an MCP client is to start this command; Ctrl-C ends it")
            return
        complain(f"serving: {address}; Ctrl-C ends it")
        if not given.is_private and not given.tokens():
            complain("rilievo mcp: whoever reaches this address may use it; see --token-file")

    with needing("rilievo mcp", "mcp"):
        run_assistant = load_of_wing(_RUN, "`rilievo mcp`")
    run_assistant(given, ready)
    return 0
