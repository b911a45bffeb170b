"""The server of an assistant as a process: standard input and output, and its end."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.serving.server.decoding.messages import decoding_isolation
from rilievo.version import VERSION

pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")

from support.assistant_client import Answered, answered, answers, patient_client

ROOT = Path(__file__).parents[3]
POINTS = [[0.2, 0.4], [0.6, 0.45]]
ANGLE = ("measure", {"photo": "a.png", "what": "angle", "points": POINTS})
PATIENCE = 60


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    Image.effect_noise((160, 120), 60).convert("RGB").save(folder / "a.png")
    return folder


def command(folder: Path, *options: str) -> list[str]:
    words = ["mcp", "--folder", str(folder), "-m", "rilievo/small", *options]
    return [sys.executable, "-m", "rilievo", *words]


def test_the_clients_process_speaks_over_standard_streams(pictures: Path) -> None:
    from mcp import StdioServerParameters
    from mcp.client.stdio import stdio_client

    words = command(pictures)
    started = StdioServerParameters(command=words[0], args=words[1:], env={**os.environ})
    measured, refused = answers(
        stdio_client(started), [ANGLE, ("depth", {"photo": "../secret.png"})]
    )
    assert measured.told["unit"] == "°"
    assert refused.refused


def test_an_older_client_shakes_hands_and_the_server_ends_with_its_input(pictures: Path) -> None:
    """The lines of protocol 2025-06-18, by hand."""
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    name, given = ANGLE
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        {
            "jsonrpc": "2.0",
            "id": 3,
            "method": "tools/call",
            "params": {"name": name, "arguments": given},
        },
    ]
    with subprocess.Popen(
        command(pictures), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        found = {}
        for message in messages:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            if "id" in message:
                line = json.loads(process.stdout.readline())
                found[line["id"]] = line["result"]
        said, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert said == b""
    assert log.decode().strip() == f"rilievo mcp: {decoding_isolation()}"
    assert found[1]["serverInfo"]["name"] == "rilievo"
    assert found[1]["serverInfo"]["version"] == VERSION
    assert "eight out of ten" in found[1]["instructions"]
    tools = {each["name"]: each for each in found[2]["tools"]}
    assert set(tools) == {"describe", "measure", "regions", "known", "depth", "surface"}
    assert tools["measure"]["outputSchema"]["properties"]["low"]["description"]
    assert tools["measure"]["annotations"]["readOnlyHint"]
    assert not tools["surface"]["annotations"]["readOnlyHint"]
    assert found[3]["structuredContent"]["unit"] == "°"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it(number: int, code: int, pictures: Path) -> None:
    with subprocess.Popen(
        command(pictures), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE) == code
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    "words",
    [
        ("--http",),
        ("--port", "0"),
        ("--host=0.0.0.0",),
        ("--token_file", "tokens.txt"),
        ("--connections=3",),
    ],
)
def test_options_of_a_server_are_answered_by_the_name_of_the_one_there_is(
    words: tuple[str, ...], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mcp", "--folder", str(pictures), *words]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words[0].partition("=")[0].replace("_", "-") in line
    assert "standard input and output" in line
    assert "'rilievo serve'" in line


def test_two_clients_share_no_facts(pictures: Path) -> None:
    from mcp import StdioServerParameters
    from mcp.client.stdio import stdio_client

    words = command(pictures)
    started = StdioServerParameters(command=words[0], args=words[1:], env={**os.environ})
    depth = ("depth", {"photo": "a.png", "picture": False})
    length = {"photo": "a.png", "points": POINTS, "metres": 5000.0}

    async def both() -> tuple[Answered, Answered]:
        async with (
            patient_client(stdio_client(started)) as one,
            patient_client(stdio_client(started)) as other,
        ):
            [said] = await answered(one, [("known", length)])
            assert said.told["is_metric"]
            [after], [untold] = await answered(one, [depth]), await answered(other, [depth])
            return after, untold

    after, untold = asyncio.run(both())
    assert (after.told["unit"], len(after.told["facts"])) == ("m", 1)
    assert untold.told["unit"] != "m"
    assert untold.told["facts"] == []


def snippets() -> dict[str, list[str]]:
    """Programs with their arguments, as the settings of clients in the guide start them."""
    text = (ROOT / "docs" / "assistants.md").read_text(encoding="utf-8")

    def blocks(language: str) -> list[str]:
        return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)

    found = {}
    for read, language in ((json.loads, "json"), (tomllib.loads, "toml")):
        for block in blocks(language):
            [(key, servers)] = read(block).items()
            entry = servers["rilievo"]
            assert entry.get("type", "stdio") == "stdio"
            found[key] = [entry["command"], *entry["args"]]
    for client, line in re.findall(r"(claude|codex) mcp add rilievo -- ([^`]+?)[`\n]*[`,]", text):
        found[client] = line.split()
    return found


def test_the_guide_has_the_settings_of_clients_in_their_form() -> None:
    found = snippets()
    assert sorted(found) == ["claude", "codex", "mcpServers", "mcp_servers", "servers"]
    assert found["claude"] == found["codex"] == found["mcpServers"] == found["mcp_servers"]


@pytest.mark.parametrize("name", ["mcpServers", "servers"])
def test_a_snippet_of_the_guide_starts_the_server(name: str, tmp_path: Path) -> None:
    from mcp import StdioServerParameters
    from mcp.client.stdio import stdio_client

    pictures, program = tmp_path / "Pictures", tmp_path / "venv" / "bin" / "rilievo"
    pictures.mkdir()
    Image.effect_noise((160, 120), 60).convert("RGB").save(pictures / "a.png")
    program.parent.mkdir(parents=True)
    path = os.pathsep.join(sys.path)
    program.write_text(
        f"#!/bin/sh\nPYTHONPATH='{path}' exec '{sys.executable}' -m rilievo \"$@\"\n"
    )
    program.chmod(0o755)
    words = [
        word.replace("/home/you", str(tmp_path)).replace("${workspaceFolder}", str(pictures))
        for word in snippets()[name]
    ]
    # Clients start servers in a folder of their own, with hardly any environment.
    few = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    started = StdioServerParameters(command=words[0], args=words[1:], env=few, cwd="/")

    async def hello() -> tuple[str, list[str]]:
        async with patient_client(stdio_client(started)) as client:
            listed = await client.list_tools()
            return client.server_info.name, [tool.name for tool in listed.tools]

    server, tools = asyncio.run(hello())
    assert server == "rilievo"
    assert sorted(tools) == ["depth", "describe", "known", "measure", "regions", "surface"]
