"""No command connects to another machine or leaves files outside of its folders."""

import json
import re
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import onnxruntime
import pytest
from PIL import Image

from support.tiny_dataset import write_tiny
from support.watched import Seen, Watched, compiled, start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or shutil.which("cc") is None,
        reason="the watcher is compiled, for Linux",
    ),
]

_PATIENCE = 300
_SERVED = 15
"""Seconds that a server is watched; ONNX Runtime's telemetry looks for its host after nine."""
_DATA = ("--dataset", "support.tiny_dataset:Tiny", "--root", "data")
_SERVE = ("serve", "--port", "0", "-m", "rilievo/small")
_NEEDS = {"openvino": "openvino", "train": "timm", "assistants": "mcp"}
_SERVERS = {
    "serve": _SERVE,
    "serve with telemetry": _SERVE,
    "assistants": ("mcp", "--folder", ".", "-m", "rilievo/small"),
}
_COMMANDS = {
    "predict": ("predict", "photo.png", "-o", "out", "--save", "all", "--workers", "2"),
    "openvino": ("predict", "photo.png", "-o", "vino", "--engine", "openvino"),
    "evaluate": ("evaluate", "-m", "rilievo/small", "--benchmark", "depth", *_DATA, "-o", "scores"),
    "train": (
        *("train", "probe", "--backbone", "timm/test_vit", "--weights", "random", *_DATA),
        *("--probe", "linear", "--size", "64,64", "--epochs", "1", "--batch-size", "2"),
        *("--device", "cpu", "-o", "run"),
    ),
}
_ONE_AFTER_ANOTHER = """
import json, os, sys
from rilievo.cli import main

for name, words in json.loads(sys.argv[1]).items():
    code = main(words)
    log = os.environ["WATCH_LOG"]
    print("ended:", name, code, os.path.getsize(log) if os.path.exists(log) else 0, flush=True)
"""
"""Program that says after each command how it ended, and how much was seen until then."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Seen]]:
    """Traces of every command: of servers side by side, as they mostly wait, of others in turn."""
    base = tmp_path_factory.mktemp("watched")
    library = compiled(base)
    running: dict[str, Watched] = {}

    def started(name: str, *words: str, **variables: str) -> None:
        folder = base / name.replace(" ", "-")
        (folder / "work").mkdir(parents=True)
        Image.new("RGB", (64, 48), (90, 120, 30)).save(folder / "work" / "photo.png")
        write_tiny(folder / "work" / "data", 4)
        running[name] = start(library, folder, [*words], **variables)

    try:
        for name, words in _SERVERS.items():
            if _is_possible(name):
                asked = {"ORT_DISABLE_TELEMETRY": "0"} if "telemetry" in name else {}
                started(name, "-m", "rilievo", *words, **asked)
        possible = {name: words for name, words in _COMMANDS.items() if _is_possible(name)}
        started("commands", "-c", _ONE_AFTER_ANOTHER, json.dumps(possible))
        for each in (running["serve"], running["serve with telemetry"]):
            _predict_through(each)
        if "assistants" in running:
            _call_through(running["assistants"])
        time.sleep(_SERVED)
        told = dict[str, str]()
        for name, each in running.items():
            if name.startswith("serve"):
                each.process.terminate()
            told[name], _ = each.process.communicate(timeout=_PATIENCE)
            assert each.process.returncode == 0, told[name]
        commands = running["commands"]
        ended = re.findall(r"^ended: (\w+) (\d+) (\d+)$", told["commands"], re.MULTILINE)
        assert [(name, code) for name, code, _ in ended] == [(name, "0") for name in possible], told
        ends = [0, *(int(size) for _, _, size in ended)]
        # What comes after the last command, at the end of the process, is of each of them.
        yield {name: each.seen() for name, each in running.items() if each is not commands} | {
            name: commands.seen(slice(begin, end), slice(ends[-1], None))
            for name, begin, end in zip(possible, ends[:-1], ends[1:], strict=True)
        }
    finally:
        for each in running.values():
            each.process.kill()


def _is_possible(name: str) -> bool:
    return name not in _NEEDS or find_spec(_NEEDS[name]) is not None


def _address(server: Watched) -> str:
    output = server.process.stdout
    assert output is not None
    line = next(line for line in output if line.startswith("serving: "))
    return line.removeprefix("serving: ").partition(" (")[0].rstrip("/")


def _call_through(server: Watched) -> None:
    """Let the server of an assistant predict, and write a surface."""
    client = {"name": "test", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    call = {"name": "surface", "arguments": {"photo": "photo.png"}}
    given, told = server.process.stdin, server.process.stdout
    assert given is not None
    assert told is not None
    # What holds of the decoding is said first, on standard error, which is read with the answers.
    assert told.readline().startswith("rilievo mcp: ")
    for number, (method, params) in enumerate((("initialize", hello), ("tools/call", call))):
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        print(json.dumps(message), file=given, flush=True)
        answer = json.loads(told.readline())["result"]
    assert not answer["isError"]


def _predict_through(server: Watched) -> None:
    address = _address(server)
    photo = (server.folder / "work" / "photo.png").read_bytes()
    request = urllib.request.Request(
        f"{address}/v1/predict", photo, {"Content-Type": "image/png"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "name", [each for each in (*_SERVERS, *_COMMANDS) if "telemetry" not in each]
)
def test_a_command_is_silent(name: str, seen: dict[str, Seen]) -> None:
    if not _is_possible(name):
        pytest.skip(f"no {_NEEDS[name]} here")
    assert seen[name] == Seen(network=(), written=(), left=())


@pytest.mark.skipif(
    tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 29),
    reason="this ONNX Runtime has no telemetry",
)
def test_telemetry_is_seen_where_the_user_wants_it(seen: dict[str, Seen]) -> None:
    """The tests above would fail without the switch."""
    found = seen["serve with telemetry"]
    assert any("microsoft" in each for each in found.network)
    assert "temporary/.ses" in found.left
    assert any("DeveloperTools" in each for each in found.written)


def test_what_a_process_does_is_seen(tmp_path: Path) -> None:
    code = (
        "import socket, subprocess, sys, urllib.request\n"
        "for try_it in (\n"
        "    lambda: urllib.request.urlopen('http://example.invalid'),\n"
        "    lambda: socket.create_connection(('192.0.2.1', 9), 1),\n"
        "    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.2', 9)),\n"
        "):\n"
        "    try: try_it()\n"
        "    except OSError: continue\n"
        "open('inside', 'w'); open('../stray', 'w')\n"
        "subprocess.run([sys.executable, '-c', \"open('../stray-of-a-child', 'w')\"])\n"
        "open(__import__('os').environ['TMPDIR'] + '/left', 'w')\n"
    )
    watched = start(compiled(tmp_path), tmp_path, ["-c", code])
    said, _ = watched.process.communicate(timeout=_PATIENCE)
    assert watched.process.returncode == 0, said
    found = watched.seen()
    assert found.network == ("connect 192.0.2.1", "connect 192.0.2.2", "look-up example.invalid")
    assert {Path(each).name for each in found.written} == {"stray", "stray-of-a-child"}
    assert found.left == ("temporary/left",)
