"""``rilievo app``."""

import webbrowser
from collections.abc import Sequence

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, say
from rilievo.serving.app.app_options import AppOptions
from rilievo.serving.app.app_server import serve_app
from rilievo.serving.server.decoding.messages import bounds


def main(arguments: Sequence[str]) -> int:
    """Serve the page."""
    options = parse(
        AppOptions,
        arguments,
        prog="rilievo app",
        description="A page in the browser: photograph in, depth and surface out.",
        examples=(
            "rilievo app --open",
            "rilievo app --port 8080",
        ),
    )

    def print_address(address: str) -> None:
        with printing():
            say(f"the app: {address}; Ctrl-C ends it", flush=True)
            say(bounds(), flush=True)
        if options.open:
            webbrowser.open(address)

    serve_app(options, print_address)
    return 0
