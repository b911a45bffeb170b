"""A client of ``rilievo mcp`` that has surfaces written: ``python -m lab.torture.assistant``.

    python -m lab.torture.assistant INPUT OUTPUT

The server is this process, so that its syncs are recorded and its group is killed; the client is a
child. The exit code is 1 where a call is refused, in a line on standard error, and else the
server's.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from rilievo.cli import main as rilievo

_PROTOCOL = "2025-06-18"
_LENGTH = {"photo": "part0/0.jpg", "points": [[0.2, 0.8], [0.7, 0.85]], "metres": 1.5}


def calls() -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and arguments of the calls, in their order."""
    yield "known", _LENGTH
    for photo in ("part0/0.jpg", "part0/2.jpg", "part1/1.jpg"):
        yield "depth", {"photo": photo}
        for format in ("glb", "page"):
            yield "surface", {"photo": photo, "format": format}


def ask(requests: BinaryIO, answers: BinaryIO) -> list[str]:
    """Call the tools, one after the other; returns the refusals, or that the server has left."""
    client = {"name": "torture", "version": "1"}
    hello = {"protocolVersion": _PROTOCOL, "capabilities": {}, "clientInfo": client}
    messages: list[tuple[str, dict[str, Any]]] = [("initialize", hello)]
    messages += [("tools/call", {"name": name, "arguments": given}) for name, given in calls()]
    refusals = []
    for number, (method, params) in enumerate(messages):
        _send(requests, {"id": number, "method": method, "params": params})
        line = answers.readline()
        if not line:
            return [*refusals, "the server has left"]
        answer = json.loads(line)
        result = answer.get("result", {})
        if "error" in answer or result.get("isError"):
            refusals.append(_text(answer))
        if method == "initialize":
            _send(requests, {"method": "notifications/initialized"})
    return refusals


def main(arguments: Sequence[str]) -> int:
    """Serve the client until it has its answers."""
    folder, output = arguments
    to_server, to_client = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(to_server[0])
        os.close(to_client[1])
        with os.fdopen(to_server[1], "wb") as requests, os.fdopen(to_client[0], "rb") as answers:
            refusals = ask(requests, answers)
        for line in refusals:
            sys.stderr.write(f"rilievo: {line}\n")
        sys.stderr.flush()
        os._exit(bool(refusals))
    os.dup2(to_server[0], 0)
    os.dup2(to_client[1], 1)
    for each in (*to_server, *to_client):
        os.close(each)
    options = ("--folder", folder, "--folder", output, "--output", output)
    code = rilievo(["mcp", *options, "-m", "rilievo/small", "--threads", "1"])
    refused = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code or refused


def _send(requests: BinaryIO, message: dict[str, Any]) -> None:
    requests.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    requests.flush()


def _text(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return str(answer["error"].get("message"))
    return " ".join(part.get("text", "") for part in answer["result"]["content"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
