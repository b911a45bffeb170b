"""Files on their way to a client: removed at the end, however it comes."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rilievo.io.outputs.save_options import SaveOptions
from rilievo.prediction import Prediction
from rilievo.serving.server import service
from rilievo.serving.server.answer_files import WrittenFiles, write_request_outputs
from rilievo.serving.server.file_responses import FilesResponse
from rilievo.serving.server.request_files import Disk, Folders, RequestFolder
from support.predictions import prediction
from support.served import check_refused, picture, served

Send = Callable[[dict[str, Any]], Awaitable[None]]


def send_all(
    folder: Path, outputs: list[str], send: Send, *, seconds: float = 30.0, leaves: bool = False
) -> None:
    """Write outputs and send them; their files are gone then."""
    disk = Disk(10**9)
    made: Prediction = prediction()
    own = Folders(folder, disk).make("a")
    written = write_request_outputs(made, outputs, SaveOptions(), own, "photo")
    assert disk.reserved_bytes > 0

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0 if leaves else 60)
        return {"type": "http.disconnect"}

    answer = FilesResponse(made.but(notes=("a\nb",)), written, seconds)
    assert answer.headers["x-notes"] == "a\\nb"
    asyncio.run(answer({"type": "http", "headers": []}, receive, send))
    assert list(folder.iterdir()) == []
    assert disk.reserved_bytes == 0


def test_all_of_a_zip_is_sent_in_pieces(tmp_path: Path) -> None:
    pieces: list[bytes] = []

    async def send(message: dict[str, Any]) -> None:
        pieces.append(message.get("body", b""))

    send_all(tmp_path, ["npz", "npy"], send)
    assert b"".join(pieces).startswith(b"PK")
    assert len(pieces) > 3


@pytest.mark.parametrize("outputs", [["npy"], ["npz", "npy"]])
def test_files_are_removed_before_the_answer_ends(tmp_path: Path, outputs: list[str]) -> None:
    """Who has received the last byte finds no folder of the request."""
    left: list[list[Path]] = []

    async def send(message: dict[str, Any]) -> None:
        if message.get("body"):
            left.append(list(tmp_path.iterdir()))

    send_all(tmp_path, outputs, send)
    assert left[-1] == []


def test_files_are_removed_in_another_thread_than_the_event_loops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, threads = RequestFolder.remove, list[threading.Thread]()

    def removed(folder: RequestFolder) -> None:
        threads.append(threading.current_thread())
        remove(folder)

    async def send(message: dict[str, Any]) -> None:
        """Take the message."""

    monkeypatch.setattr(RequestFolder, "remove", removed)
    send_all(tmp_path, ["npy"], send)
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_a_client_that_takes_nothing_is_given_up(tmp_path: Path) -> None:
    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    send_all(tmp_path, ["npz", "npy"], send, seconds=0.05)


def test_nothing_is_read_for_a_client_that_left(tmp_path: Path) -> None:
    pieces = 0

    async def send(message: dict[str, Any]) -> None:
        nonlocal pieces
        pieces += 1
        await asyncio.sleep(0.01)

    send_all(tmp_path, ["npz", "npy", "ply", "glb"], send, leaves=True)
    assert pieces <= 2


def test_a_connection_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        send_all(tmp_path, ["npz", "npy"], send)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_written_too_late_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_slowly(*arguments: Any) -> WrittenFiles:
        written = write_request_outputs(*arguments)
        assert [path for path in tmp_path.rglob("*") if path.is_file()]
        time.sleep(2)
        return written

    monkeypatch.setattr(service, "write_request_outputs", write_slowly)
    with served(tmp_path, time_limit=1.5) as server:
        answer = server.client.post("/v1/predict?save=npy", content=picture())
        check_refused(answer, 503, "no result after 1.5 s")
        deadline = time.monotonic() + 30
        while server.files() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.files() == []
        assert server.disk.reserved_bytes == 0
