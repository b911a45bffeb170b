"""Requests that the guard passes on, tested on the guard alone."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from rilievo.views.app.guard import Guard

TOKEN = "A" * 22


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(b"photo")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret.txt")
    return folder


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Reads all there is and says how much."""
    total = 0
    while True:
        message = await receive()
        total += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(total).encode()})


def guard(uploads: Path, root_path: str = "") -> Guard:
    return Guard(echo, uploads=uploads, max_bytes=1_000_000, root_path=root_path)


def answer(
    guard: Guard,
    method: str,
    path: str,
    chunks: tuple[bytes, ...] = (b"",),
    length: int | None = None,
) -> tuple[int, bytes, dict[bytes, bytes]]:
    """Status, body and headers of one request."""
    sent: list[Any] = []
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": place < len(chunks) - 1}
        for place, chunk in enumerate(chunks)
    ]
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/config",
        "/theme.css",
        "/assets/index-a1.js",
        f"/answers/{TOKEN}/depth.jpg",
        f"/answers/{TOKEN}/files/npy",
        f"/answers/{TOKEN}/clip/my clip.depth.mp4",
        "/gradio_api/queue/data",
        "/gradio_api/heartbeat/abc123",
    ],
)
def test_what_the_page_needs_is_there(uploads: Path, path: str):
    assert answer(guard(uploads), "GET", path)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=https://example.com/",
        "/gradio_api/file=https://example.com/",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/file=/etc/passwd",
        "/gradio_api/file=",
        "/gradio_api/file=\0",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/runs",
        "/gradio_api/call/v2/predict",
        "/gradio_api/vibe-code",
        "/gradio_api/stream/a/b/1/playlist.m3u8",
        "/gradio_api/custom_component/1/client/component/x.js",
        "/gradio_api/deep_link",
        "/monitoring",
        "/monitoring/summary",
        "/docs",
        "/static/../../../etc/passwd",
        "/assets/..\\..\\x",
        f"/answers/{TOKEN}/../x",
        "/answers/short/depth.jpg",
        "/answers//depth.jpg",
    ],
)
def test_nothing_else_is_there(uploads: Path, path: str):
    assert answer(guard(uploads), "GET", path)[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/run/predict",
        "/gradio_api/api/predict",
        "/",
        "/gradio_api/component_server",
        "/gradio_api/vibe-edit",
        "/gradio_api/process_recording",
        "/login",
    ],
)
def test_only_uploads_and_questions_are_taken(uploads: Path, path: str):
    assert answer(guard(uploads), "POST", path)[0] == 404
    assert answer(guard(uploads), "POST", "/gradio_api/queue/join", (b"{}",))[0] == 200
    assert answer(guard(uploads), "DELETE", "/")[0] == 404


def test_files_are_those_of_the_uploads_and_no_link_leads_out(uploads: Path):
    read = f"/gradio_api/file={uploads}"
    assert answer(guard(uploads), "GET", f"{read}/photo.jpg")[0] == 200
    for path in ("/link", "/../secret.txt", "/./../secret.txt", "x/../../secret.txt"):
        assert answer(guard(uploads), "GET", read + path)[0] == 404


def test_a_request_that_is_too_large_is_refused_before_it_is_read(uploads: Path):
    status, body, _ = answer(guard(uploads), "POST", "/gradio_api/upload", length=2_000_000)
    assert (status, body) == (413, b"too large: at most 1 MB")
    assert answer(guard(uploads), "POST", "/gradio_api/queue/join", length=2_000_000)[0] == 413


def test_a_request_that_hides_its_length_is_cut_off(uploads: Path):
    chunk = bytes(100_000)
    path = "/gradio_api/upload"
    assert answer(guard(uploads), "POST", path, (chunk,) * 10)[:2] == (200, b"1000000")
    assert answer(guard(uploads), "POST", path, (chunk,) * 20)[0] == 413
    assert answer(guard(uploads), "POST", path, (chunk,) * 20, length=5)[0] == 413


def test_uploads_make_room_first_and_too_many_at_once_are_refused(uploads: Path):
    rooms, most = [], 16
    never = asyncio.Event()

    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        await never.wait()

    async def all_at_once() -> list[int]:
        guarded = Guard(
            stuck,
            uploads=uploads,
            max_bytes=1000,
            root_path="",
            make_room=lambda: rooms.append("made"),
        )
        scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": []}
        refused: list[int] = []

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                refused.append(message["status"])

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        tasks = [asyncio.create_task(guarded(scope, receive, send)) for _ in range(most + 2)]
        await asyncio.wait(tasks, timeout=0.3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Those that were given up left their places.
        last = asyncio.create_task(guarded(scope, receive, send))
        await asyncio.wait([last], timeout=0.1)
        last.cancel()
        return refused

    assert asyncio.run(all_at_once()) == [503, 503]
    assert len(rooms) == most + 1


def question(path: object) -> tuple[bytes, ...]:
    """A question about a file, in two pieces."""
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [[{"deep": file}], 1], "fn_index": 0}).encode()
    return body[:20], body[20:]


def test_a_question_about_an_upload_is_passed_on_whole(uploads: Path):
    chunks = question(str(uploads / "photo.jpg"))
    status, body, _ = answer(guard(uploads), "POST", "/gradio_api/queue/join", chunks)
    assert (status, int(body)) == (200, sum(map(len, chunks)))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../secret.txt",
        "{uploads}/../secret.txt",
        "{uploads}/link",
        "http://127.0.0.1/x",
        "file:///etc/passwd",
        "",
        7,
        None,
        ["/etc/passwd"],
        "\0",
    ],
)
def test_a_question_about_any_other_file_is_not_passed_on(uploads: Path, path: object):
    if isinstance(path, str):
        path = path.replace("{uploads}", str(uploads))
    refused = answer(guard(uploads), "POST", "/gradio_api/queue/join", question(path))
    assert refused[0] == 400


def test_what_is_no_question_is_not_passed_on(uploads: Path):
    for body in (b"", b"{", b"[" * 100_000, b"\xff"):
        assert answer(guard(uploads), "POST", "/gradio_api/queue/join", (body,))[0] == 400


def test_every_answer_forbids_the_browser_to_load_from_elsewhere(uploads: Path):
    for path in ("/", "/nowhere"):
        headers = answer(guard(uploads), "GET", path)[2]
        assert b"default-src 'self'" in headers[b"content-security-policy"]
        assert b"http" not in headers[b"content-security-policy"]


def test_a_path_of_a_proxy_may_be_there_or_cut_off(uploads: Path):
    under = guard(uploads, "/depth")
    assert answer(under, "GET", "/depth/config")[0] == 200
    assert answer(under, "GET", "/config")[0] == 200
    assert answer(under, "GET", "/depth/monitoring")[0] == 404
    assert answer(under, "GET", "/depthconfig")[0] == 404


def test_an_open_line_that_is_no_request_is_refused(uploads: Path):
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": []}
    asyncio.run(guard(uploads)(scope, None, send))  # pyright: ignore[reportArgumentType]
    assert sent[0]["status"] == 404
