"""The command ``rilievo serve``."""

from collections.abc import Sequence

from rilievo.cli.parsing import parse
from rilievo.cli.streams import complain, printing, say
from rilievo.serving.server.decoding.messages import decoding_bounds
from rilievo.serving.server.server import serve
from rilievo.serving.server.server_options import ServeOptions


def main(arguments: Sequence[str]) -> int:
    """Run ``rilievo serve``: serve depth over HTTP until stopped."""
    options = parse(
        ServeOptions,
        arguments,
        prog="rilievo serve",
        description="Depth, normals, surfaces and measurements over HTTP: POST a photograph to "
        "/v1/predict; /openapi.json lists all addresses and parameters.",
        examples=(
            "rilievo serve",
            "rilievo serve --host 0.0.0.0 --token-file tokens.txt --hosts depth.example.org",
        ),
    )

    def print_address_and_bounds(address: str) -> None:
        with printing():
            say(f"serving: {address} (Ctrl-C ends it)", flush=True)
            say(decoding_bounds(), flush=True)
        if not options.is_private and not options.tokens():
            complain("rilievo serve: whoever reaches this address may use it; see --token-file")

    serve(options, print_address_and_bounds)
    return 0
