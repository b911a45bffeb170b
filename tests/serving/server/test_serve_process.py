"""The server as a process: real connections, load, kills."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import uvicorn
from PIL import Image
from websockets.sync.client import connect

import rilievo
from rilievo.serving.listener import http_server
from support.serve_process import ServeProcess, serve_process

PATIENCE = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with serve_process(tmp_path_factory.mktemp("tmp"), "--max-megabytes", "2") as found:
        yield found
    assert len(found.log) <= 2, "only its address, and that it was stopped"
    assert found.folders == [], "a server that is stopped removes its folder"


def parts() -> list[bytes]:
    """Parts of a photograph, as PNG."""
    pixels = skimage.data.stereo_motorcycle()[0]
    found = []
    for number in range(4):
        stream = BytesIO()
        Image.fromarray(pixels[:240, 100 * number : 100 * number + 320]).save(stream, "PNG")
        found.append(stream.getvalue())
    return found


def ask(server: ServeProcess, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("GET" if body is None else "POST", path, body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


@pytest.mark.slow
def test_many_at_once_each_get_what_predict_says(server: ServeProcess) -> None:
    photographs = parts()
    expected = [rilievo.predict(each, model="rilievo/small").depth.values for each in photographs]
    with ThreadPoolExecutor(8) as clients:
        path = "/v1/predict?save=npy"
        answers = list(clients.map(lambda n: ask(server, path, photographs[n % 4]), range(24)))
    for number, (status, content) in enumerate(answers):
        assert status == 200
        np.testing.assert_allclose(np.load(BytesIO(content)), expected[number % 4], rtol=1e-3)
    [folder] = server.folders
    assert [each.name for each in folder.iterdir()] == ["lock"]


def test_a_stream_over_a_real_connection(server: ServeProcess) -> None:
    photographs = parts()[:2]
    with connect(f"ws://127.0.0.1:{server.port}/v1/stream?frames=all") as websocket:
        for number, photograph in enumerate(photographs):
            websocket.send(photograph)
            said = json.loads(websocket.recv(PATIENCE))
            content = websocket.recv(PATIENCE)
            assert said["frame"] == number
            assert isinstance(content, bytes)
            assert np.load(BytesIO(content)).shape == (240, 320)


@pytest.mark.parametrize("length", ["Content-Length: 30000000", "Transfer-Encoding: chunked"])
def test_a_client_that_sends_all_before_it_reads_gets_413(
    server: ServeProcess, length: str
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n".encode())
        chunk = bytes(1_000_000)
        for _ in range(30):
            is_chunked = "chunked" in length
            client.sendall(b"f4240\r\n" + chunk + b"\r\n" if is_chunked else chunk)
        client.sendall(b"0\r\n\r\n" if is_chunked else b"")
        answer = client.makefile("rb").readline()
    assert b" 413 " in answer


def test_slow_and_cancelled_uploads_delay_nobody_and_leave_nothing(server: ServeProcess) -> None:
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\nx"
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(16)]
    try:
        for each in slow:
            each.sendall(head)
        wait_until(server, "rilievo_uploads 16.0")
        assert ask(server, "/v1/predict", parts()[0])[0] == 200
        assert b"rilievo_uploads 16.0" in ask(server, "/metrics")[1]
    finally:
        for each in slow:
            each.close()
    wait_until(server, "rilievo_uploads 0.0")
    wait_until(server, "rilievo_disk_bytes 0.0")


def wait_until(server: ServeProcess, line: str) -> None:
    """Wait until the counters have a line."""
    end = time.monotonic() + PATIENCE
    while line.encode() not in ask(server, "/metrics")[1]:
        assert time.monotonic() < end, line
        time.sleep(0.05)


def connected(server: ServeProcess, address: str) -> socket.socket:
    """A connection from another address of this machine, which plays another client."""
    place = ("127.0.0.1", server.port)
    try:
        return socket.create_connection(place, PATIENCE, source_address=(address, 0))
    except OSError:
        pytest.skip(f"this system has no address {address} of its own")


def test_connections_of_one_address_are_bounded_and_others_are_not_refused(
    server: ServeProcess,
) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    held = [connected(server, "127.0.0.2") for _ in range(64)]
    try:
        for each in held:
            each.sendall(head)  # answered, so that it is counted, and kept open
            assert each.recv(12) == b"HTTP/1.1 200"
        with connected(server, "127.0.0.2") as one_more:
            answer = one_more.makefile("rb").read()
            assert b" 429 " in answer.splitlines()[0]
            assert b"too many connections from this address" in answer
        for other in ("127.0.0.1", "127.0.0.3"):
            with connected(server, other) as honest:
                honest.sendall(head)
                assert honest.recv(12) == b"HTTP/1.1 200"
        held.pop().close()
        end = time.monotonic() + PATIENCE
        while True:
            with connected(server, "127.0.0.2") as again:
                again.sendall(head)
                if again.recv(12) == b"HTTP/1.1 200":
                    break
            assert time.monotonic() < end, "a connection that was closed is counted no more"
    finally:
        for each in held:
            each.close()


def test_garbage_gets_400_and_nothing_else(server: ServeProcess) -> None:
    for garbage in (b"\x16\x03\x01\0\xee\x01\0", b"GET\r\n\r\n", 70_000 * b"a"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
            client.sendall(garbage)
            answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"Traceback" not in answer
    form = {"Content-Type": "multipart/form-data; boundary=a"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("POST", "/v1/predict", b"no form", form)
    assert connection.getresponse().status == 400
    connection.close()


@pytest.mark.slow
def test_what_a_killed_server_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    with serve_process(tmp_path) as first:
        [left] = first.folders
        (left / "request").mkdir()
        (left / "request/photo.npz").write_bytes(b"a visitor's photograph")
        first.kill()
    assert first.folders == [left]
    with serve_process(tmp_path) as second:
        assert left not in second.folders
        assert len(second.folders) == 1
        os.kill(second.process.pid, signal.SIGTERM)
        assert second.process.wait(PATIENCE) == 0
    assert second.folders == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of an application in this process that waits a moment for a request's head."""

    async def app(scope: object, receive: object, send: object) -> None:
        """Answer nothing."""

    monkeypatch.setattr(http_server, "HEAD_SECONDS", 0.2)
    config = uvicorn.Config(
        app, http=http_server.ImpatientProtocol, lifespan="off", log_level="critical"
    )
    served = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=served.run, args=([listener],), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        served.should_exit = True
        thread.join(PATIENCE)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: local"])
def test_a_connection_without_a_request_is_ended(impatient: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", impatient), timeout=PATIENCE) as client:
        client.sendall(sent)
        try:
            assert client.recv(100) == b""
        except ConnectionResetError:
            return
