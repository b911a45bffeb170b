"""A server that is stopped ends soon, whatever it is at, and leaves no file."""

import http.client
import signal
import socket
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from serve_process import ServeProcess, serve_process
from served import picture

PATIENCE = 60.0
_STUCK = (
    "import time; import rilievo.serving.server.work.service as service; "
    "service.finish = lambda *given, **more: time.sleep(600)"
)
_SOON = (
    "from rilievo.serving.listener import stopping; "
    "stopping.GRACE, stopping.LAST_SECONDS = 0.2, 1.0"
)


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
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 0
    assert list(tmp_path.iterdir()) == []
    assert len(server.log) == 1, "its address"


@pytest.mark.slow
def test_it_ends_within_eight_seconds(tmp_path: Path) -> None:
    with serve_process(tmp_path, changed=_STUCK) as server:
        stuck(server)
        start = time.monotonic()
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 0
        assert time.monotonic() - start < 8
    assert list(tmp_path.iterdir()) == []
