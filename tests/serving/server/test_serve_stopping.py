"""A server that is stopped ends soon, whatever it is at, and leaves no file."""

import http.client
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from support.serve_process import ServeProcess, serve_process
from support.served import picture

PATIENCE = 60.0
_STUCK = (
    "import time; import rilievo.serving.server.service as service; "
    "service.finish_photo = lambda *given, **more: time.sleep(600)"
)
_SOON = (
    "from rilievo.serving.listener import http_server; "
    "http_server.GRACE_SECONDS, http_server.EXIT_TIMEOUT = 0.2, 1.0"
)
_MANY = 12


def _delayed(seconds: float) -> str:
    """Lines that make the end of a request take longer."""
    return (
        "import time; import rilievo.serving.server.service as service; "
        "finish = service.finish_photo; service.finish_photo = lambda *given, **more: "
        f"(time.sleep({seconds}), finish(*given, **more))[1]"
    )


def status(server: ServeProcess, rest: threading.Event | None = None) -> int:
    """Status of the answer to a photograph, the second half of which is sent after an event."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    content = picture()
    half = 0 if rest is None else len(content) // 2
    with closing(connection):
        connection.putrequest("POST", "/v1/predict")
        connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content[:half])
        if rest is not None:
            rest.wait(PATIENCE)
        connection.send(content[half:])
        return connection.getresponse().status


def wait_until_begun(server: ServeProcess, count: int) -> None:
    """Wait until requests are at work or wait, and one body arrives."""
    end = time.monotonic() + PATIENCE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        with closing(connection):
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        counts = re.findall(r"^rilievo_(requests_w\w+|uploads) (\d+)", text, re.MULTILINE)
        now = {name: int(number) for name, number in counts}
        if now["requests_working"] + now["requests_waiting"] == count and now["uploads"]:
            return
        assert time.monotonic() < end, now
        time.sleep(0.02)


def send(server: ServeProcess, path: str) -> threading.Thread:
    """Send a photograph, without waiting for the answer."""

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("POST", path, picture())
            connection.getresponse().read()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread


def stuck(server: ServeProcess) -> list[threading.Thread]:
    """Requests that never end, each with files; waits until they have begun."""
    [folder] = server.folders
    asking = [send(server, "/v1/predict?save=npz") for _ in range(2)]
    end = time.monotonic() + PATIENCE
    while len(list(folder.iterdir())) < 3:
        assert time.monotonic() < end
        time.sleep(0.02)
    return asking


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_server_whose_threads_are_stuck_ends(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with serve_process(tmp_path, changed=f"{_SOON}; {_STUCK}") as server:
        asking = stuck(server)
        server.process.send_signal(number)
        assert server.process.wait(PATIENCE) == code
        for thread in asking:
            thread.join(PATIENCE)
    assert list(tmp_path.iterdir()) == []


def test_a_server_at_rest_ends_at_once_and_in_silence(tmp_path: Path) -> None:
    with serve_process(tmp_path, changed="import rilievo") as server:
        socket.create_connection(("127.0.0.1", server.port)).close()
        deadline = time.monotonic() + PATIENCE
        while len(server.log) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 0
    assert list(tmp_path.iterdir()) == []
    assert len(server.log) == 2, "its address, and the bounds of decoding"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_delayed(0.15), {200}),
        pytest.param(_delayed(2), {200, 503}, marks=pytest.mark.slow),
        (f"{_SOON}; {_STUCK}", {503}),
    ],
    ids=["soon done", "later done", "stuck"],
)
def test_ctrl_c_leaves_no_request_without_an_answer(
    tmp_path: Path, change: str, expected: set[int]
) -> None:
    """Photographs at work, others that wait for their turn, and a body that still arrives."""
    with (
        serve_process(tmp_path, changed=change) as server,
        ThreadPoolExecutor(_MANY + 1) as clients,
    ):
        interrupted = threading.Event()
        answers = [clients.submit(status, server) for _ in range(_MANY)]
        answers.append(clients.submit(status, server, interrupted))
        wait_until_begun(server, _MANY)
        server.process.send_signal(signal.SIGINT)
        interrupted.set()
        assert {answer.result(PATIENCE) for answer in answers} <= expected
        assert server.process.wait(PATIENCE) == 130


@pytest.mark.slow
def test_it_ends_within_eight_seconds(tmp_path: Path) -> None:
    with serve_process(tmp_path, changed=_STUCK) as server:
        stuck(server)
        start = time.monotonic()
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 0
        assert time.monotonic() - start < 8
    assert list(tmp_path.iterdir()) == []
