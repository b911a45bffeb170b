"""The command ``rilievo serve``."""

from collections.abc import Sequence

from rilievo.cli.parsing import parse
from rilievo.cli.streams import print_to_stderr, printing, say
from rilievo.serving.server.decoding.messages import decoding_isolation
from rilievo.serving.server.server import serve
from rilievo.serving.server.server_options import ServeOptions


def main(arguments: Sequence[str]) -> int:
    """Run ``rilievo serve``: serve depth over HTTP until stopped."""
    options = parse(
        ServeOptions,
        arguments,
        prog="rilievo serve",
        description="Serve depth, normals, surfaces and measurements over HTTP. To get a "
        "prediction, POST a photograph to /v1/predict; /openapi.json lists all addresses and "
        "parameters.",
        examples=(
            "rilievo serve",
            "rilievo serve --host 0.0.0.0 --token-file tokens.txt --hosts depth.example.org",
        ),
    )

    def print_address_and_isolation(address: str) -> None:
        with printing():
            say(f"serving: {address} (press Ctrl-C to stop)", flush=True)
            say(decoding_isolation(), flush=True)
        if not options.is_private and not options.tokens():
            print_to_stderr(
                "rilievo serve: anyone who can reach this address can use the server; to require a "
                "token, pass --token-file"
            )

    serve(options, print_address_and_isolation)
    return 0
