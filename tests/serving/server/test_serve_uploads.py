"""Bodies of requests: cut off, slow, too many; their bytes are given back always."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rilievo.serving.listener.request_refusals import JobCancelled, Refusal
from rilievo.serving.server.request_files import Disk
from rilievo.serving.server.uploads import Upload, Uploads, safe_stem
from support.served import Served, picture, served


def read(
    messages: Sequence[dict[str, Any]],
    *,
    seconds: float = 30.0,
    pause: float = 0.0,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> tuple[Upload, Disk]:
    """Read a body that comes in pieces; what is still held then stands in the account."""
    from starlette.requests import Request

    disk, left = Disk(10_000_000), list(messages)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        return left.pop(0)

    async def run() -> Upload:
        reader = Uploads(disk, max_arrivals=8, max_bytes=4_000_000, seconds=seconds)
        request = Request({"type": "http", "method": "POST", "headers": [*headers]}, receive)
        try:
            return await reader.read(request, "a")
        except BaseException:
            assert disk.reserved_bytes == 0
            assert reader.arriving == 0
            raise

    return asyncio.run(run()), disk


def piece(content: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": content, "more_body": more}


def test_a_body_is_read_and_its_bytes_are_given_back() -> None:
    upload, disk = read([piece(b"ab"), piece(b"cd", more=False)])
    assert (upload.read(), upload.size, disk.reserved_bytes) == (b"abcd", 4, 4)
    upload.close()
    upload.close()
    assert disk.reserved_bytes == 0


def test_a_large_body_lies_on_the_disk_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    upload, disk = read([piece(bytes(1_500_000)), piece(bytes(1_500_000), more=False)])
    assert upload.size == disk.reserved_bytes == 3_000_000
    assert list(tmp_path.iterdir()) == []
    upload.close()


def test_a_client_that_leaves_is_given_up() -> None:
    with pytest.raises(JobCancelled):
        read([piece(b"ab"), {"type": "http.disconnect"}])


def test_a_slow_client_is_refused() -> None:
    with pytest.raises(Refusal) as error:
        read([piece(b"a")] * 100, seconds=0.05, pause=0.02)
    assert error.value.status == 408


def test_a_length_that_is_too_large_is_refused_before_anything_is_read() -> None:
    with pytest.raises(Refusal) as error:
        read([], headers=[(b"content-length", b"4000001")])
    assert error.value.status == 413


def test_only_so_many_bodies_arrive_and_a_quarter_of_one_client() -> None:
    async def run() -> None:
        from starlette.requests import Request

        disk = Disk(10_000_000)
        reader = Uploads(disk, max_arrivals=8, max_bytes=100, seconds=30)
        release = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await release.wait()
            return piece(b"a", more=False)

        def ask(client: str) -> "asyncio.Task[Upload]":
            request = Request({"type": "http", "method": "POST", "headers": []}, receive)
            return asyncio.create_task(reader.read(request, client))

        tasks = [ask(client) for client in "aaabbbcccdddeee"]
        await asyncio.sleep(0.05)
        assert reader.arriving == 8
        refused = [each.exception() for each in tasks if each.done()]
        statuses = [refusal.status for refusal in refused if isinstance(refusal, Refusal)]
        assert sorted(statuses) == [408, 408, *[429] * 5]
        # Two each of a, b, c and d, of which the oldest two gave theirs to e.
        assert [n for n, task in enumerate(tasks) if not task.done()] == [3, 4, 6, 7, 9, 10, 12, 13]
        release.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        for each in done:
            if isinstance(each, Upload):
                each.close()
        assert disk.reserved_bytes == 0

    asyncio.run(run())


def test_the_slowest_body_gives_its_place_to_a_newcomer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes a second count, not bytes or age: c has brought most of them, in the longest time."""
    monkeypatch.setattr("rilievo.serving.server.uploads._CREDIT_BYTES", 1)
    sizes = {"c": 3_000, "a": 2_000, "b": 2_500, "d": 2_700}

    async def run() -> None:
        from starlette.requests import Request

        disk = Disk(10_000_000)
        reader = Uploads(disk, max_arrivals=4, max_bytes=10_000, seconds=30)

        def ask(client: str, size: int) -> "asyncio.Task[Upload]":
            pieces = [piece(bytes(size)), piece(b"")]

            async def receive() -> dict[str, Any]:
                return pieces.pop(0) if len(pieces) > 1 else await asyncio.Future()

            request = Request({"type": "http", "method": "POST", "headers": []}, receive)
            return asyncio.create_task(reader.read(request, client))

        tasks = {}
        for client, size in sizes.items():
            tasks[client] = ask(client, size)
            await asyncio.sleep(0.2 if client == "c" else 0.03)
        displaced = []
        for newcomer in "xyz":
            tasks[newcomer] = ask(newcomer, 9_000)
            await asyncio.sleep(0.03)
            assert reader.arriving == 4
            displaced.append([name for name, task in tasks.items() if task.done()])
        assert displaced == [["c"], ["c", "a"], ["c", "a", "b"]]
        for name in displaced[-1]:
            error = tasks[name].exception()
            assert isinstance(error, Refusal)
            assert (error.status, "others are waiting" in error.line) == (408, True)
        assert disk.reserved_bytes == 2_700 + 3 * 9_000
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert (reader.arriving, disk.reserved_bytes) == (0, 0)

    asyncio.run(run())


def test_newcomers_from_everywhere_leave_a_body_that_arrives_its_place() -> None:
    """Bodies of one byte, each from another client, and none of them old."""

    async def run() -> None:
        from starlette.requests import Request

        disk, arriving = Disk(10_000_000), asyncio.Queue[dict[str, Any]]()
        reader = Uploads(disk, max_arrivals=8, max_bytes=1_000_000, seconds=30)

        def ask(client: str, receive: Callable[[], Any]) -> "asyncio.Task[Upload]":
            request = Request({"type": "http", "method": "POST", "headers": []}, receive)
            return asyncio.create_task(reader.read(request, client))

        def slow(number: int) -> "asyncio.Task[Upload]":
            pieces = [piece(b"a")]

            async def receive() -> dict[str, Any]:
                return pieces.pop() if pieces else await asyncio.Future()

            return ask(f"network {number}", receive)

        tasks = [slow(number) for number in range(8)]
        await asyncio.sleep(0.01)
        honest = ask("honest", arriving.get)
        for number in range(8, 80):
            tasks.append(slow(number))
            arriving.put_nowait(piece(bytes(3_000)))
            await asyncio.sleep(0.001)
        arriving.put_nowait(piece(b"", more=False))
        upload = await honest
        assert upload.size == 72 * 3_000
        upload.close()
        for task in tasks:
            task.cancel()
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        statuses = [error.status for error in errors if isinstance(error, Refusal)]
        assert statuses == [408] * 73, "each newcomer took the place of another"
        assert (reader.arriving, disk.reserved_bytes) == (0, 0)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("photo.jpg", "photo"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\a b.jpg", "a-b"),
        (".hidden", "hidden"),
        ("..", "image"),
        ("", "image"),
        (None, "image"),
        ('a\0\r\nX: y".png', "a---X--y"),
        (300 * "a" + ".jpg", 60 * "a"),
        ("\N{SNOWMAN}.jpg", "image"),
    ],
)
def test_a_name_of_a_file_is_harmless(name: str | None, stem: str) -> None:
    assert safe_stem(name) == stem


def test_two_requests_for_one_name_get_their_own_bytes(tmp_path: Path) -> None:
    """Many at once, of photographs with one name and of two outputs."""
    from concurrent.futures import ThreadPoolExecutor
    from io import BytesIO

    import numpy as np

    def ask(server: Served) -> Callable[[int], bool]:
        def one(number: int) -> bool:
            level = 20 + number
            output = "npy" if number % 2 else "npz"
            files = {"image": ("photo.png", picture(level, (48, 40)))}
            answer = server.client.post(f"/v1/predict?save={output}", files=files)
            found = np.load(BytesIO(answer.content))
            depth = found["depth"] if output == "npz" else found
            return answer.status_code == 200 and abs(float(depth.min()) - level) < 0.01

        return one

    with served(tmp_path) as server, ThreadPoolExecutor(8) as clients:
        assert all(clients.map(ask(server), range(100)))
        assert server.files() == []
        assert max(server.model.batches) > 1
