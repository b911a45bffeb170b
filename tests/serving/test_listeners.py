"""Every listener is started, and asked the same questions."""

import http.client
import json
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import COMMANDS
from rilievo.serving.listener.listening import HTTP_LISTENERS, STREAM_LISTENERS
from support.clips import Clip, write_clip

for _extra in ("starlette", "mcp", "av"):
    pytest.importorskip(_extra, reason="an extra is not installed")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

_PATIENCE = 120.0
_CONNECTIONS = 64
_SMALL = ("-m", "rilievo/small")
STARTS: Mapping[str, Sequence[str]] = {
    "serve": ("--port", "0", *_SMALL),
    "app": ("--port", "0", *_SMALL),
    "predict --live": ("long.mp4", *_SMALL),
    "mcp": ("--folder", ".", *_SMALL),
}
"""Words of each listener after its command."""
_OPENERS = re.compile(
    r"create_(?:unix_)?server|HTTPServer|socketserver|start_(?:unix_)?server|serve_forever|run_app"
    r"|uvicorn\.run|\.bind\(|\.listen\(|stdio_server"
)
_PLACES = {
    "serving/listener/listening.py": {"create_server"},
    "serving/assistant/protocol.py": {"stdio_server"},
}


@dataclass(frozen=True)
class Listener:
    """A listener in a process of its own.

    Attributes:
        process: The process.
        port: Port at which it listens.
        path: Path of its page.
    """

    process: "subprocess.Popen[bytes]"
    port: int = 0
    path: str = "/"

    def status(self, path: str = "", **headers: str) -> int:
        """Status of the answer to a request, with a Host of its own unless one is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        with closing(connection):
            connection.putrequest("GET", path or self.path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            return connection.getresponse().status


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a photograph, and a video that is not over soon."""
    work = tmp_path_factory.mktemp("listeners")
    Image.effect_noise((160, 120), 60).convert("RGB").save(work / "a.png")
    pictures = [np.full((64, 96, 3), number % 250, np.uint8) for number in range(5000)]
    write_clip(work / "long.mp4", Clip(pictures=pictures))
    return work


@contextmanager
def started(command: str, folder: Path) -> Iterator[Listener]:
    words = [sys.executable, "-m", "rilievo", *command.split(), *STARTS[command]]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, cwd=folder, **streams) as process:
        try:
            if command in STREAM_LISTENERS:
                assert process.stdin is not None
                assert process.stdout is not None
                ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
                process.stdin.write(json.dumps(ping).encode() + b"\n")
                process.stdin.flush()
                process.stdout.readline()
                yield Listener(process)
            else:
                address = urlsplit(_address(process))
                yield Listener(process, address.port or 0, address.path)
        finally:
            process.kill()


def _address(process: "subprocess.Popen[bytes]") -> str:
    lines: queue.Queue[bytes] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
    line = lines.get(timeout=_PATIENCE).decode()
    address = re.search(r"http://\S+", line)
    assert address is not None, line
    return address[0]


@pytest.fixture(scope="module", params=HTTP_LISTENERS)
def listener(request: pytest.FixtureRequest, folder: Path) -> Iterator[Listener]:
    with started(request.param, folder) as listener:
        yield listener


def test_every_listener_is_started_here_and_is_a_command() -> None:
    assert {*STARTS} == {*HTTP_LISTENERS, *STREAM_LISTENERS}
    assert {name.split()[0] for name in STARTS} <= {*COMMANDS}


def test_nothing_listens_but_by_the_module_that_all_share() -> None:
    root = Path(rilievo.__file__).parent
    places = {
        str(path.relative_to(root)): openers
        for path in root.rglob("*.py")
        if (openers := {*_OPENERS.findall(path.read_text(encoding="utf-8"))})
    }
    assert places == _PLACES


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example:{}",
        *(
            pytest.param(host, marks=pytest.mark.slow)
            for host in ("evil.example:{}", "127.0.0.1.evil", "")
        ),
    ],
)
def test_another_name_is_refused(listener: Listener, host: str) -> None:
    assert listener.status(Host=host.format(listener.port)) == 421


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "[::1]:{}", "LOCALHOST:{}"])
def test_its_own_names_are_taken(listener: Listener, host: str) -> None:
    assert listener.status(Host=host.format(listener.port)) == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_pages_of_other_sites_are_refused(listener: Listener, origin: str) -> None:
    assert listener.status(Origin=origin) == 403


def test_answers_are_shown_in_no_other_page_and_kept_nowhere(listener: Listener) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=_PATIENCE)
    with closing(connection):
        connection.request("GET", "/absent")
        answer = connection.getresponse()
    assert answer.status == 404
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address on Linux alone")
@pytest.mark.parametrize(
    "listener",
    ["serve", *(pytest.param(name, marks=pytest.mark.slow) for name in ("app", "predict --live"))],
    indirect=True,
)
def test_one_address_has_so_many_connections_and_they_end(listener: Listener) -> None:
    """Connections that never send a head: more than there may be are answered 429."""
    held = []
    try:
        for _ in range(_CONNECTIONS + 1):
            channel = socket.create_connection(
                ("127.0.0.1", listener.port), _PATIENCE, source_address=("127.0.0.2", 0)
            )
            held.append(channel)
        assert held[-1].recv(100).startswith(b"HTTP/1.1 429 ")
        assert listener.status() == 200, "other addresses are answered"
        assert held[0].recv(100) == b"", "a head that does not come ends the connection"
    finally:
        for channel in held:
            channel.close()


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, id="Ctrl-C"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [pytest.param(command, marks=[pytest.mark.slow] * (command != "serve")) for command in STARTS],
)
def test_a_signal_ends_it_with_a_reader_that_does_not_leave(
    command: str, number: signal.Signals, folder: Path
) -> None:
    with started(command, folder) as listener, ExitStack() as opened:
        if listener.port:
            place = ("127.0.0.1", listener.port)
            reader = opened.enter_context(socket.create_connection(place, _PATIENCE))
            head = f"GET {listener.path}frames HTTP/1.1\r\nHost: localhost\r\n\r\n"
            reader.sendall(head.encode())
            reader.recv(100)
        listener.process.send_signal(number)
        code = listener.process.wait(_PATIENCE)
        assert listener.process.stderr is not None
        output = listener.process.stderr.read().decode()
    assert "Traceback" not in output
    # Ctrl-C is how users end a camera.
    assert code == (0 if number == signal.SIGTERM or command == "predict --live" else 130), output
