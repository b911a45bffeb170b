"""Streams of frames: depth for each, or for the newest, and one bad frame ends nothing."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from support.served import Served, picture, served


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, streams=4, max_megabytes=0.5) as found:
        yield found


def ask(socket: Any, frame: bytes) -> tuple[dict[str, Any], bytes]:
    socket.send_bytes(frame)
    said = json.loads(socket.receive_text())
    return said, b"" if "error" in said else socket.receive_bytes()


def test_every_frame_comes_back_as_an_array(server: Served) -> None:
    with server.stream("?frames=all") as socket:
        for number, level in enumerate((50, 100)):
            said, content = ask(socket, picture(level, kind="JPEG"))
            depth = np.load(BytesIO(content))
            assert (said["frame"], said["passed_over"]) == (number, 0)
            assert (said["kind"], said["width"], said["height"]) == ("up_to_scale", 96, 64)
            assert depth.shape == (64, 96)
            assert depth.min() == pytest.approx(level, rel=0.05)


def test_a_broken_frame_is_told_and_the_stream_goes_on(server: Served) -> None:
    with server.stream() as socket:
        said, _ = ask(socket, b"hello")
        assert "frame: " in said["error"]
        assert ask(socket, picture())[0]["frame"] == 1


def test_frames_that_come_too_fast_are_passed_over_but_for_the_newest(server: Served) -> None:
    with server.stream() as socket:
        server.model.gate.clear()
        socket.send_bytes(picture(10))
        assert server.model.begun.wait(60)
        for level in (20, 30, 40):
            socket.send_bytes(picture(level))
        # The server has taken all of them once it has answered for another client.
        while passed_over(server) < 2:
            server.client.get("/healthz")
        server.model.gate.set()
        first, _ = json.loads(socket.receive_text()), socket.receive_bytes()
        newest, content = json.loads(socket.receive_text()), socket.receive_bytes()
    assert (first["frame"], newest["frame"], newest["passed_over"]) == (0, 3, 2)
    assert np.load(BytesIO(content)).min() == pytest.approx(40)


def passed_over(server: Served) -> float:
    text = server.client.get("/metrics").text
    key = 'rilievo_stream_frames_total{outcome="passed_over"} '
    return sum(float(line.removeprefix(key)) for line in text.splitlines() if line.startswith(key))


@pytest.mark.parametrize(
    ("query", "status"),
    [("?frames=some", 400), ("?fom=1", 400), ("?model=none", 404), ("?fov=200", 400)],
)
def test_a_stream_that_cannot_be_is_refused(server: Served, query: str, status: int) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        server.stream(query),
    ):
        pass
    assert denied.value.status_code == status
    assert denied.value.json()["error"]


def test_no_more_streams_than_there_may_be(server: Served) -> None:
    streams = server.service.streams
    with ExitStack() as others:
        for _ in range(2):
            others.enter_context(streams.counted("somebody else"))
        with server.stream(), server.stream() as second:
            with pytest.raises(WebSocketDenialResponse) as denied, server.stream():
                pass
            assert denied.value.status_code == 429
            ask(second, picture())
    with server.stream() as again:
        ask(again, picture())


def test_one_client_has_at_most_half_of_the_streams(server: Served) -> None:
    with server.stream(), server.stream():
        with pytest.raises(WebSocketDenialResponse) as denied, server.stream():
            pass
        assert "you already have 2 open streams" in denied.value.json()["error"]
    assert server.service.streams.total() == 0


def test_what_is_no_frame_ends_the_stream(server: Served) -> None:
    for content, code in (("hello", 1000), (bytes(600_000), 1009)):
        with server.stream() as socket:
            socket.send_text(content) if isinstance(content, str) else socket.send_bytes(content)
            with pytest.raises(WebSocketDisconnect) as ended:
                socket.receive_text()
            assert ended.value.code == code


def test_a_stream_needs_the_token_and_the_server_s_own_page(tmp_path: Path) -> None:
    token = "0123456789abcdef0123"
    with served(tmp_path, tokens=(token,)) as server:
        for headers, status in (
            ({}, 401),
            ({"Authorization": f"Bearer {token}", "Origin": "http://evil.example"}, 403),
        ):
            with (
                pytest.raises(WebSocketDenialResponse) as denied,
                server.stream(**headers),
            ):
                pass
            assert denied.value.status_code == status
        headers = {"Authorization": f"Bearer {token}"}
        with server.stream(**headers) as socket:
            ask(socket, picture())
